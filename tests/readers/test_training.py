"""The card's code for training: the loss of its batches is that of each example alone, computed from the shard without that code.

    python -m pytest -rs tests/readers/test_training.py --tool target/release/ul2-prep

Small models of numpy, with attention as T5 and GPT-2 have it, stand for real ones, and numpy for the few functions of torch that the code calls, so that
this runs everywhere. Where torch and transformers are installed (`just examples`), the same is asked of these.
"""

import importlib.util
import subprocess
import sys
import types
from pathlib import Path

import datasets
import numpy
import pyarrow.parquet
import pytest

ROOT = Path(__file__).resolve().parents[2]
IGNORED = -100
WIDTH = 8
LEAST = numpy.finfo(numpy.float32).min

# Lengths that differ from row to row, so that batches need padding.
SETS = {
    "rows": (),
    "padded": ("--pad",),
    "packed": ("--recipe", "t5", "--pack"),
    "packed and padded": ("--recipe", "t5", "--pack", "--pad"),
    "causal": ("--recipe", "ul2r", "--layout", "causal"),
    "causal, padded": ("--recipe", "ul2r", "--layout", "causal", "--pad"),
    "causal, packed": ("--recipe", "ul2r", "--layout", "causal", "--pack"),
    "causal, packed and padded": ("--recipe", "u-palm", "--pack", "--pad"),
    "causal, loss on all": ("--recipe", "causal-lm", "--pack"),
}


@pytest.fixture(scope="session")
def made(tool, tmp_path_factory):
    sources = tmp_path_factory.mktemp("sources") / "some.jsonl"
    words = "a river of stones and lanterns goes windward over the hills".split()
    texts = [" ".join(words[(start + step) % len(words)] for step in range(3 + 5 * start % 23)) for start in range(40)]
    sources.write_text("".join(f'{{"text": "{text}"}}\n' for text in texts), encoding="utf-8")
    found = {}

    def make(name, *more):
        if (name, more) not in found:
            out = found[name, more] = tmp_path_factory.mktemp("made") / "set"
            lengths = ("--inputs-length", "160", "--labels-length", "160")
            subprocess.run([tool, "run", sources, "--out", out, "--seed", "5", "--quiet", *lengths, *SETS[name], *more], check=True)
        return found[name, more]

    return make


def code_of(path):
    """The card's block that makes batches; None if it has none."""
    card = (path / "README.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in card.split("```python\n")[1:]]
    return next((block for block in blocks if "import torch" in block), None)


def stand_in():
    """What the card's code calls of torch, in numpy."""
    torch = types.ModuleType("torch")
    torch.tensor, torch.tril, torch.where, torch.finfo, torch.float32 = (
        numpy.array, numpy.tril, numpy.where, numpy.finfo, numpy.float32
    )

    class DataLoader:
        def __init__(self, rows, batch_size, shuffle, collate_fn):
            assert shuffle, "a trainer wants the rows shuffled"
            self.rows, self.size, self.collate = list(rows), batch_size, collate_fn

        def __iter__(self):
            order = numpy.random.default_rng(0).permutation(len(self.rows))
            for start in range(0, len(order), self.size):
                yield self.collate([self.rows[place] for place in order[start:start + self.size]])

    # What `datasets` asks whether a value is one of.
    torch.Tensor, torch.Generator, torch.nn = type("Tensor", (), {}), type("Generator", (), {}), types.SimpleNamespace(Module=type("Module", (), {}))
    torch.utils = types.SimpleNamespace(data=types.SimpleNamespace(DataLoader=DataLoader))
    return torch


def batches_of(path, monkeypatch, cache):
    """The batches that the card's code makes, with the stand-in for torch."""
    monkeypatch.setitem(sys.modules, "torch", stand_in())
    load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: load(*args, cache_dir=str(cache), **options))
    scope = {}
    exec(code_of(path).replace("PATH/OF/THIS/FOLDER", str(path)), scope)
    return list(scope["batches"])


def examples_of(path):
    """(input_ids, labels) of each example, without padding, taken from the shard by what docs/reference/format.md says of the columns."""
    causal = "prefix_length" in pyarrow.parquet.read_schema(next((path / "data").glob("*.parquet"))).names
    for row in pyarrow.parquet.read_table(path / "data").to_pylist():
        of_inputs = row.get("input_segment_ids") or row.get("attention_mask") or [1] * len(row["input_ids"])
        if causal:
            of_labels = of_inputs
        else:
            of_labels = row.get("label_segment_ids") or [int(label != IGNORED) for label in row["labels"]]
        for number in range(1, max(of_inputs) + 1):
            inputs = [value for value, segment in zip(row["input_ids"], of_inputs) if segment == number]
            yield inputs, [value for value, segment in zip(row["labels"], of_labels) if segment == number]


# --- the models ---

_RANDOM = numpy.random.default_rng(1)
IDS, PLACES, QUERY, KEY, OUT = (_RANDOM.normal(size=size) for size in [(512, WIDTH), (512, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, 512)])


def attended(queries, values, mask):
    """[rows, queries, width]: `mask` is added to the scores, of [rows, queries, values]."""
    scores = (queries @ QUERY) @ (values @ KEY).swapaxes(1, 2) / WIDTH + mask
    weights = numpy.exp(scores - scores.max(axis=-1, keepdims=True))
    return queries + weights / weights.sum(axis=-1, keepdims=True) @ values


def additive(mask, queries):
    """The mask of a batch as both libraries' models take it: 1 and 0 by id, or what is added to the scores."""
    if mask.ndim == 4:
        return mask[:, 0]
    return numpy.where(mask[:, None, :] == 1, 0.0, LEAST) * numpy.ones((1, queries, 1))


def before(length):
    return numpy.where(numpy.tril(numpy.ones((length, length))) == 1, 0.0, LEAST)


def losses(hidden, labels):
    """The sum of the losses of labels, and their number."""
    logits = hidden @ OUT
    logits = logits - logits.max(axis=-1, keepdims=True)
    chances = logits - numpy.log(numpy.exp(logits).sum(axis=-1, keepdims=True))
    given = labels != IGNORED
    return -numpy.take_along_axis(chances, numpy.where(given, labels, 0)[..., None], axis=-1)[..., 0][given].sum(), given.sum()


def numpy_t5(input_ids, labels, attention_mask=None):
    """An encoder and a decoder with a layer each; without a mask everything is seen, as T5 has it."""
    if attention_mask is None:
        attention_mask = numpy.ones_like(input_ids)
    longest = input_ids.shape[1]
    inputs = IDS[input_ids] + PLACES[:longest]
    encoded = attended(inputs, inputs, additive(attention_mask, longest))
    shifted = numpy.where(labels == IGNORED, 0, labels)
    shifted = numpy.concatenate([numpy.zeros_like(shifted[:, :1]), shifted[:, :-1]], axis=1)
    targets = IDS[shifted] + PLACES[:labels.shape[1]]
    decoded = attended(targets, targets, before(labels.shape[1])[None])
    return losses(attended(decoded, encoded, additive(attention_mask, labels.shape[1])), labels)


def numpy_gpt2(input_ids, labels, attention_mask=None, position_ids=None):
    """Two causal layers; labels are shifted, and positions count from 0, as GPT-2 has it."""
    longest = input_ids.shape[1]
    if attention_mask is None:
        attention_mask = numpy.ones_like(input_ids)
    if position_ids is None:
        position_ids = numpy.arange(longest)[None]
    mask = numpy.minimum(additive(attention_mask, longest), before(longest)[None])
    hidden = IDS[input_ids] + PLACES[position_ids]
    for _ in range(2):
        hidden = attended(hidden, hidden, mask)
    return losses(hidden[:, :-1], labels[:, 1:])


def model_of(name):
    return numpy_gpt2 if name.startswith("causal") else numpy_t5


def mean_of(model, batches):
    """The mean loss of a label over all batches, and how many labels there are."""
    sums = [model(**batch) for batch in batches]
    return sum(loss for loss, _ in sums) / sum(count for _, count in sums), sum(count for _, count in sums)


def alone(model, path):
    rows = [{"input_ids": numpy.array([inputs]), "labels": numpy.array([labels])} for inputs, labels in examples_of(path)]
    return mean_of(model, rows)


# --- the tests ---


@pytest.mark.parametrize("name", SETS)
def test_the_loss_of_the_card_s_batches_is_that_of_each_example_alone(made, name, monkeypatch, tmp_path):
    path, model = made(name), model_of(name)
    expected, labels = alone(model, path)
    batches = batches_of(path, monkeypatch, tmp_path)
    assert len(batches) > 1 or "pack" in name
    found, counted = mean_of(model, batches)
    assert counted == labels, "labels that a loss is taken on"
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", [name for name in SETS if name not in ("causal", "causal, padded")])
def test_the_check_bites(made, name, monkeypatch, tmp_path):
    """Without the mask the loss is another one. In causal rows that are not packed nothing looks at padding, which comes last."""
    path, model = made(name), model_of(name)
    expected, _ = alone(model, path)
    batches = batches_of(path, monkeypatch, tmp_path)
    found, _ = mean_of(model, [{key: value for key, value in batch.items() if key != "attention_mask"} for batch in batches])
    assert abs(found - expected) > 1e-4


@pytest.mark.parametrize(("name", "columns", "missing"), [
    ("padded", "input_ids,labels", "`attention_mask`"),
    ("packed", "input_ids,labels,label_segment_ids", "`input_segment_ids`"),
    ("causal, packed", "input_ids,labels,input_segment_ids", "`position_ids`"),
    ("rows", "input_ids,source", "`labels`"),
])
def test_a_card_has_no_batches_of_rows_that_lack_what_they_need(made, name, columns, missing):
    path = made(name, "--columns", columns)
    assert code_of(path) is None
    assert f"the column {missing} is missing" in (path / "README.md").read_text(encoding="utf-8")


@pytest.mark.skipif(
    importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None,
    reason="torch is not installed: `just examples` installs it and runs this",
)
@pytest.mark.parametrize("name", SETS)
def test_models_of_hugging_face_have_the_loss_of_each_example_alone(made, name):
    import torch
    import transformers
    path = made(name)
    torch.manual_seed(0)
    if name.startswith("causal"):
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
            vocab_size=512, n_positions=512, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0
        ))
    else:
        model = transformers.T5ForConditionalGeneration(transformers.T5Config(
            vocab_size=512, d_model=32, d_kv=8, num_heads=4, d_ff=64, num_layers=2, dropout_rate=0.0, decoder_start_token_id=0
        ))

    @torch.no_grad()
    def losses_of(**batch):
        labels = batch["labels"][:, 1:] if name.startswith("causal") else batch["labels"]
        count = int((labels != IGNORED).sum())
        return model.eval()(**batch).loss.item() * count, count

    rows = [{"input_ids": torch.tensor([inputs]), "labels": torch.tensor([labels])} for inputs, labels in examples_of(path)]
    expected, labels = mean_of(losses_of, rows)
    scope = {}
    exec(code_of(path).replace("PATH/OF/THIS/FOLDER", str(path)), scope)
    found, counted = mean_of(losses_of, scope["batches"])
    assert counted == labels
    assert found == pytest.approx(expected, rel=1e-5)
