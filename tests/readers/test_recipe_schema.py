"""docs/reference/recipe.schema.json, with which editors check recipes: the built-in recipes are valid, wrong ones are not.

python -m pytest tests/readers/test_recipe_schema.py
"""

import copy
import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "src" / "recipe").glob("*.toml"))
SPANS = {"noise_density": 0.15, "mean_span_length": 3}
ABSENT = object()


@pytest.fixture(scope="session")
def schema():
    return json.loads((ROOT / "docs" / "reference" / "recipe.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def validator(schema):
    return jsonschema.Draft202012Validator(schema)


def recipe(denoiser=None, **more):
    """A recipe of one denoiser, with some keys in the place of others; ABSENT leaves a key out."""
    first = {"name": "r", "mode": "R", "weight": 1, "random_spans": SPANS} | (denoiser or {})
    first = {key: value for key, value in first.items() if value is not ABSENT}
    whole = {"denoiser": [first]} | more
    return {key: value for key, value in whole.items() if value is not ABSENT}


def spans(**more):
    return recipe({"random_spans": {key: value for key, value in (SPANS | more).items() if value is not ABSENT}})


def pattern(**patterns):
    return recipe({"random_spans": ABSENT} | patterns)


def errors(validator, value):
    """What is wrong, one line an error: where and what."""
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def objects_of(schema, path="$"):
    """(path, schema) of every schema of an object in a schema."""
    if isinstance(schema, dict):
        if "properties" in schema or schema.get("type") == "object":
            yield path, schema
        for key, value in schema.items():
            yield from objects_of(value, f"{path}.{key}")
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from objects_of(value, f"{path}[{number}]")


# --- the schema itself ---


def test_schema_is_valid(schema):
    assert schema["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"], "another draft"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_every_object_refuses_unknown_keys(schema):
    for path, value in objects_of(schema):
        assert value.get("additionalProperties") is False, f"{path} takes any key"


def test_every_key_is_described(schema):
    """Editors show the description of a key."""
    for name, table in (("a recipe", schema), ("a denoiser", schema["$defs"]["Denoiser"])):
        for key, value in table["properties"].items():
            assert value.get("description"), f"{key} of {name} has no description"


# --- recipes ---


def test_there_are_recipes():
    assert RECIPES, "no src/recipe/*.toml"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_built_in_recipe_is_valid(validator, path):
    found = errors(validator, tomllib.loads(path.read_text(encoding="utf-8")))
    assert not found, "\n".join(found)


# Valid as they are, so what is refused below is refused for what is wrong with it.
RIGHT = {
    "one denoiser": recipe(),
    "two denoisers": {"denoiser": [*recipe()["denoiser"], *recipe({"name": "x", "mode": "X"})["denoiser"]]},
    "union of two": pattern(union=[SPANS, SPANS]),
    "union of four": pattern(union=[SPANS] * 4),
    "independent tokens": pattern(independent_tokens={"noise_density": 0.15}),
    "suffix of a share": pattern(suffix={"split": {"share": 0.25}}),
    "whole": pattern(whole={}),
    "label": recipe({"random_spans": ABSENT, "label": {}}, label_field="label"),
    "separate": recipe({"random_spans": ABSENT, "separate": {"text": SPANS, "label": SPANS}}, label_field="label"),
    "permute": recipe({"random_spans": ABSENT, "permute": {"rows": 5}}, label_field="label"),
    "multiple choice": recipe({"random_spans": ABSENT, "multiple_choice": {"least": 1, "most": 2}}, label_field="l"),
    "span length as a share": spans(mean_span_length={"share": 0.1}),
    "normal law": spans(law={"normal": {"std": 1}}),
    "mode token by name": recipe({"mode_token": "[S2S]"}),
    "mode token by id": recipe({"mode_token": 5}),
    "mode token as text": recipe({"mode_token": {"text": "[S2S]"}}),
    "segmenting by name": recipe(segmenting="document"),
    "concat": recipe(segmenting={"concat": {"eos_between": True}}),
    "window": recipe(segmenting={"window": {}}),
    "causal": recipe(layout="causal", sequence_length=100, loss="all", separator="<sep>", pack=True, pad=True),
}

WRONG = {
    "unknown key": recipe(inputs_len=512),
    "unknown key of a denoiser": recipe({"wieght": 1}),
    "unknown key of a pattern": spans(density=0.15),
    "two patterns in a denoiser": recipe({"suffix": {}}),
    "no pattern": pattern(),
    "unknown pattern": pattern(spans=SPANS),
    "no denoiser": {"denoiser": []},
    "denoiser missing": {"inputs_length": 512, "labels_length": 512},
    "denoiser a table": {"denoiser": recipe()["denoiser"][0]},
    "denoiser without name": recipe({"name": ABSENT}),
    "denoiser without mode": recipe({"mode": ABSENT}),
    "denoiser without weight": recipe({"weight": ABSENT}),
    "weight 0": recipe({"weight": 0}),
    "weight negative": recipe({"weight": -1}),
    "weight no integer": recipe({"weight": 0.5}),
    "mode Q": recipe({"mode": "Q"}),
    "mode in small letters": recipe({"mode": "r"}),
    "mode_token a list": recipe({"mode_token": ["[S2S]"]}),
    "mode_token text with more": recipe({"mode_token": {"text": "[S2S]", "id": 3}}),
    "mode_token negative": recipe({"mode_token": -1}),
    "union of one": pattern(union=[SPANS]),
    "union of five": pattern(union=[SPANS] * 5),
    "union of suffixes": pattern(union=[{"suffix": {}}, {"suffix": {}}]),
    "negative density": spans(noise_density=-0.15),
    "density a text": spans(noise_density="0.15"),
    "density missing": spans(noise_density=ABSENT),
    "mean span length missing": spans(mean_span_length=ABSENT),
    "mean span length below 1": spans(mean_span_length=0.5),
    "unknown law": spans(law="poisson"),
    "normal law without std": spans(law={"normal": {}}),
    "unknown roll": spans(roll="sometimes"),
    "roll a boolean": spans(roll=True),
    "unknown split": pattern(suffix={"split": "half"}),
    "split with two keys": pattern(suffix={"split": {"up_to": 0.5, "share": 0.5}}),
    "whole with a key": pattern(whole={"noise_density": 0.5}),
    "whole a boolean": pattern(whole=True),
    "separate without label": pattern(separate={"text": SPANS}),
    "permute without rows": pattern(permute={}),
    "multiple choice without most": pattern(multiple_choice={"least": 2}),
    "unknown layout of a denoiser": recipe({"layout": "causal"}),
    "unknown s_sentinel": recipe({"s_sentinel": "labels"}),
    "closing_sentinel a text": recipe({"closing_sentinel": "yes"}),
    "segmenting of unknown name": recipe(segmenting="sentences"),
    "segmenting of unknown kind": recipe(segmenting={"chunks": {"tokens": 512}}),
    "segmenting of two kinds": recipe(segmenting={"concat": {"eos_between": True}, "window": {}}),
    "concat without eos_between": recipe(segmenting={"concat": {}}),
    "unknown start of a window": recipe(segmenting={"window": {"start": "last"}}),
    "unknown layout": recipe(layout="decoder"),
    "unknown loss": recipe(layout="causal", loss="labels"),
    "unknown eos": recipe(eos="inputs"),
    "inputs_length negative": recipe(inputs_length=-1),
    "inputs_length no integer": recipe(inputs_length=512.5),
    "sentinels a text": recipe(sentinels="<extra_id_{n}>"),
    "sentinels by id": recipe(sentinels=[32099]),
    "pack a number": recipe(pack=1),
    "text_field a list": recipe(text_field=["body", "text"]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_recipe_is_valid(validator, name):
    found = errors(validator, RIGHT[name])
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_recipe_is_refused(validator, name):
    assert errors(validator, WRONG[name]), f"the schema takes a recipe with {name}: {WRONG[name]}"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_built_in_recipe_with_a_mistake_is_refused(validator, path):
    """Whatever else is in a recipe: a key misspelt, anywhere, is found."""
    right = tomllib.loads(path.read_text(encoding="utf-8"))
    places = [()] + [("denoiser", number) for number in range(len(right["denoiser"]))]
    for place in places:
        wrong = copy.deepcopy(right)
        table = wrong
        for key in place:
            table = table[key]
        table["misspelt"] = 1
        assert errors(validator, wrong), f"the schema takes an unknown key at {place}"
