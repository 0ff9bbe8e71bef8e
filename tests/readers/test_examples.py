"""The scripts of examples/, in a short form, over data sets that are made here from the fixtures.

    python -m pytest -rs tests/readers/test_examples.py --tool target/release/ul2-prep

What trains needs torch, transformers and text-denoising, which are large: without torch these tests are skipped, and `just examples` runs them.
"""

import importlib.util
import io
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pyarrow.parquet
import pytest
import zstandard

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES, FIXTURES = ROOT / "examples", ROOT / "fixtures"
sys.path.insert(0, str(EXAMPLES))

import loss_curve  # noqa: E402
import questions  # noqa: E402

trains = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed: `just examples` installs it and runs this"
)

# Lines that are rejected, beside 54 that are not.
BAD = ['{"text": "cut', '{"body": "no text"}', '{"body": "none either"}', '{"text": 7}']
REASONS = {"missing-text": 2, "invalid-json": 1, "text-not-a-string": 1}


@pytest.fixture(scope="session")
def made(tool, tmp_path_factory):
    """made(OPTIONS...): a data set of a few sources, made once."""
    sources = tmp_path_factory.mktemp("sources")
    shutil.copy(FIXTURES / "shards" / "english-00000.jsonl.zst", sources)
    (sources / "bad.jsonl").write_text("\n".join(BAD), encoding="utf-8")
    found = {}

    def make(*options):
        if options not in found:
            found[options] = tmp_path_factory.mktemp("made") / "set"
            command = [tool, "run", sources, "--out", found[options], "--seed", "5", "--max-rejects", "100%", "--quiet", *options]
            subprocess.run(command, check=True)
        return found[options]

    return make


def run(script, *arguments):
    return subprocess.run([sys.executable, EXAMPLES / script, *map(str, arguments)], capture_output=True, text=True)


def manifest_of(path):
    return json.loads((path / "manifest.json").read_text(encoding="utf-8"))


# --- questions.py ---

SETS = {
    "bytes": ("--epochs", "2"),
    "splits and mode tokens": ("--recipe", "ul2", "--tokenizer", FIXTURES / "tokenizer"),
    "unions": ("--recipe", "text-denoising", "--tokenizer", FIXTURES / "tokenizer"),
    "joined": ("--recipe", "oslo-t5", "--tokenizer", FIXTURES / "tokenizer", "--shuffle"),
}


@pytest.mark.parametrize("name", SETS)
def test_duckdb_pandas_and_the_manifest_agree(made, name):
    done = run("questions.py", made(*SETS[name]))
    assert done.returncode == 0, done.stdout + done.stderr
    for question in questions.QUESTIONS:
        assert question.asked in done.stdout


FIRST = ("english-00000.jsonl.zst", 1)


def answer(question, path, manifest=None, document=FIRST):
    manifest = manifest or manifest_of(path)
    return questions.answer(question, questions.connect(path, manifest, document), questions.read(path, manifest, document))


def test_rejects_are_counted_by_reason(made):
    table, faults = answer(questions.REJECTS, made(*SETS["bytes"]))
    assert dict(zip(table["reason"], table["lines"])) == REASONS
    assert not faults


def test_rows_of_one_document_are_its_segments_in_each_epoch(made):
    table, _ = answer(questions.ONE_DOCUMENT, made(*SETS["bytes"]), document=("english-00000.jsonl.zst", 2))
    for epoch in (0, 1):
        found = table[table["epoch"] == epoch]
        assert len(found) > 1, "a document of one row shows little"
        assert list(found["segment"]) == list(range(len(found)))


WRONG = {
    "noise": (questions.HIDES_MOST, lambda manifest: manifest["denoisers"]["s"].update(noise_tokens=1)),
    "spans": (questions.LONGEST_SPAN, lambda manifest: manifest["denoisers"]["r"].update(spans=1)),
    "examples": (questions.MIXTURE, lambda manifest: manifest["denoisers"]["r"].update(examples=1)),
    "rows": (questions.LENGTHS, lambda manifest: manifest["totals"].update(rows=1)),
    "labels": (questions.PADDING, lambda manifest: manifest["totals"].update(labels=1)),
    "documents": (questions.SOURCES, lambda manifest: manifest["sources"][1].update(documents=1)),
    "rejects": (questions.REJECTS, lambda manifest: manifest["totals"]["rejects"].update({"empty-text": 1})),
}


@pytest.mark.parametrize("name", WRONG)
def test_another_count_in_the_manifest_is_found(made, name):
    path, (question, change) = made(*SETS["bytes"]), WRONG[name]
    manifest = manifest_of(path)
    change(manifest)
    _, faults = answer(question, path, manifest)
    assert faults and all("the manifest counts" in fault for fault in faults)


def test_two_answers_that_differ_are_found(made):
    changed = questions.SENTINELS._replace(in_pandas=lambda data: questions.sentinels(data).assign(most=0))
    _, faults = answer(changed, made(*SETS["bytes"]))
    assert len(faults) == 1 and "pandas answers otherwise" in faults[0]


def test_a_fault_is_an_exit_status(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made(*SETS["bytes"]), copy)
    manifest = manifest_of(copy)
    manifest["totals"]["input_ids"] += 1
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    done = run("questions.py", copy)
    assert done.returncode == 1 and "not all answers agree" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(("options", "says"), [
    (("--layout", "causal"), "of the causal layout"),
    (("--pack",), "packed"),
    (("--columns", "input_ids,labels"), "no column `denoiser`"),
], ids=["causal", "packed", "columns"])
def test_rows_that_the_questions_are_not_about_are_refused(made, options, says):
    assert says in questions.unfit(manifest_of(made(*options)))


# --- loss_curve.py ---

def falling(steps=400, seed=0):
    """8 to 5 with noise of 0.2, as small models do."""
    noise = numpy.random.default_rng(seed).normal(0, 0.2, steps)
    return 5 + 3 * numpy.exp(-numpy.arange(steps) / (steps / 6)) + noise


def test_a_falling_curve_has_no_fault():
    for seed in range(50):
        assert loss_curve.faults(falling(seed=seed), know_nothing=6.0) == []


@pytest.mark.parametrize(("curve", "fault"), [
    (numpy.full(400, 6.0) + falling() - falling().mean(), "not below"),
    (falling()[::-1], "does not fall"),
    (numpy.random.default_rng(1).normal(6, 0.2, 400), "does not fall"),
    (falling() + 2 * ((numpy.arange(400) >= 200) & (numpy.arange(400) < 220)), "spike"),
    (falling() + 20 * (numpy.arange(400) == 300), "spike"),
    (numpy.where(numpy.arange(400) == 7, numpy.nan, falling()), "not a finite number"),
], ids=["above know-nothing", "rising", "flat", "hump", "one step", "not a number"])
def test_a_bad_curve_has_a_fault(curve, fault):
    assert any(fault in found for found in loss_curve.faults(curve, know_nothing=5.2))


def test_noise_is_estimated_whatever_the_slope():
    curve = loss_curve.smoothed(falling(4000))
    assert curve.window == 200
    # A standard deviation of 0.2; its estimate from 4,000 steps is within 5 %.
    assert curve.error == pytest.approx(0.2 * (2 / 200) ** 0.5, rel=0.05)


def test_entropy():
    assert loss_curve.entropy(numpy.array([3, 3, 3, 3]), 10) == 0
    assert loss_curve.entropy(numpy.arange(8), 10) == pytest.approx(numpy.log(8))


def test_difference_of_two_curves():
    gap = loss_curve.difference(falling(seed=1) + 0.1, falling(seed=2))
    # Of 200 differences with a standard deviation of 0.2 * sqrt(2).
    assert gap.error == pytest.approx(0.02, rel=0.7)  # from 8 parts: within 70 %
    assert gap.mean == pytest.approx(0.1, abs=5 * gap.error)


# --- what trains ---

TINY = ("--width", "32", "--layers", "1", "--batch", "8")


@pytest.fixture
def picture(tmp_path):
    return tmp_path / "loss.png"


def assert_is_a_picture(path):
    assert path.read_bytes().startswith(b"\x89PNG")


@trains
def test_t5_learns_and_its_picture_is_drawn(made, picture):
    path = made("--recipe", "t5", "--inputs-length", "96", "--labels-length", "48")
    done = run("train_t5.py", path, *TINY, "--steps", "150", "--picture", picture)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_is_a_picture(picture)


@trains
@pytest.mark.parametrize("pack", [("--pack",), ("--pack", "--pad"), ("--pad",), ()], ids=["packed", "packed and padded", "padded", "plain"])
def test_gpt2_learns_and_its_picture_is_drawn(made, picture, pack):
    path = made("--recipe", "ul2r", "--layout", "causal", "--inputs-length", "96", "--labels-length", "96", *pack)
    done = run("train_causal.py", path, *TINY, "--steps", "150", "--picture", picture)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("together and alone" in done.stdout) == ("--pack" in pack)
    assert_is_a_picture(picture)


@trains
def test_both_ways_to_mask_are_drawn_in_one_picture(made, picture):
    path = made("--recipe", "text-denoising", "--tokenizer", FIXTURES / "tokenizer", "--epochs", "4")
    done = run("train_t5.py", path, "--compare", "--width", "16", "--layers", "1", "--batch", "2", "--steps", "10", "--picture", picture)
    assert "difference in the second half" in done.stdout, done.stdout + done.stderr  # 10 steps are too few for a good curve
    assert_is_a_picture(picture)


@trains
def test_a_run_is_the_same_again(made, picture):
    path = made("--recipe", "t5", "--inputs-length", "96", "--labels-length", "48")
    losses = [
        [line for line in run("train_t5.py", path, *TINY, "--steps", "10", "--picture", picture).stdout.splitlines() if line.startswith("step")]
        for _ in range(2)
    ]
    assert losses[0] and losses[0] == losses[1]


@trains
def test_a_data_set_of_the_same_name_is_not_taken_for_it(made, tmp_path):
    import training
    counts = []
    for recipe in ("t5", "prefix-lm"):
        path = tmp_path / recipe / "masked"
        shutil.copytree(made("--recipe", recipe, "--inputs-length", "96", "--labels-length", "48"), path)
        manifest, rows = training.data_set(path)
        counts.append(len(rows))
        assert len(rows) == manifest["totals"]["rows"]
    assert counts[0] != counts[1]


@trains
def test_segments_are_the_tokens_of_the_text(made):
    import train_t5
    with open(FIXTURES / "shards" / "english-00000.jsonl.zst", "rb") as file:
        lines = list(io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"))
    for row in pyarrow.parquet.read_table(made("--recipe", "text-denoising") / "data").to_pylist():
        segment = train_t5.segment_of(row, sentinels=set(range(259, 384)), eos=1)
        text = json.loads(lines[row["line"] - 1])["text"].encode()
        assert len(segment) == min(600, len(text))
        assert bytes(token - 3 for token in segment) in text


@trains
def test_the_collator_loses_nothing_and_ends_labels_with_eos(made):
    import train_t5
    path = made("--recipe", "text-denoising", "--tokenizer", FIXTURES / "tokenizer")
    spec = manifest_of(path)["spec"]
    collator = train_t5.collator_of(train_t5.tokenizer_of(spec["vocabulary"]), spec)
    random.seed(3)
    numpy.random.seed(3)
    for length in (5, 17, 100, 599, 600):
        segment = list(range(10, 10 + length))
        for _ in range(20):
            row = train_t5.on_the_fly(collator, segment, eos=1)
            assert row["labels"][-1] == 1 and row["labels"].count(1) == 1
            assert 1 not in row["input_ids"]
            assert train_t5.segment_of(row, set(spec["vocabulary"]["sentinels"]), eos=1) == segment


@trains
def test_examples_of_a_packed_row_do_not_see_each_other(made, monkeypatch):
    import torch
    import train_causal
    path = made("--recipe", "ul2r", "--layout", "causal", "--inputs-length", "96", "--labels-length", "96", "--pack")
    spec = manifest_of(path)["spec"]
    row = max(pyarrow.parquet.read_table(path / "data").to_pylist(), key=lambda row: max(row["input_segment_ids"]))
    assert max(row["input_segment_ids"]) > 1
    torch.manual_seed(0)
    model = train_causal.model_of(spec, width=32, layers=2)
    assert train_causal.crossing(model, row, pad=0) < train_causal.TOLERANCE
    # The check bites: a mask that forgets the segments, and positions that do not begin anew.
    anew = dict(row, position_ids=list(range(len(row["input_ids"]))))
    assert train_causal.crossing(model, anew, pad=0) > 10 * train_causal.TOLERANCE
    mask = train_causal.attention_mask
    monkeypatch.setattr(train_causal, "attention_mask", lambda segments: mask(torch.ones_like(segments)))
    assert train_causal.crossing(model, row, pad=0) > 10 * train_causal.TOLERANCE


@trains
def test_no_label_is_asked_of_the_example_before():
    import train_causal
    row = {
        "input_ids": [5, 6, 7, 8, 9],
        "labels": [5, 6, 7, 8, 9],
        "input_segment_ids": [1, 1, 1, 2, 2],
        "position_ids": [0, 1, 2, 0, 1],
    }
    shorter = {name: values[:3] for name, values in row.items()}
    batch = train_causal.batch_of([row, shorter], pad=3)
    assert batch["labels"].tolist() == [[-100, 6, 7, -100, 9], [-100, 6, 7, -100, -100]]
    assert batch["input_ids"].tolist()[1] == [5, 6, 7, 3, 3]
    assert (batch["attention_mask"][:, 0] == 0).int().tolist() == [
        [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 1]],
        [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 1]],
    ]
