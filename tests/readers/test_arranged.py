"""Packed, padded, causal and shuffled rows, in any combination, for every reader that trainers use.

    python -m pytest tests/readers/test_arranged.py --data-set DIR

DIR is a finished data set with the columns that it has without `--columns`. What they hold is in docs/reference/format.md,
section "Shards", and docs/reference/masking.md, sections 7, 9 and 10. What needs a feature that the set has not is skipped. Plain
rows are read by test_readers.py; test_the_set_is_arranged fails on them. All rows are held in memory: give a small set.
"""

import fractions
import hashlib
import itertools
import json
import struct
from typing import NamedTuple

import datasets
import duckdb
import numpy
import pandas
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest

IGNORED = -100  # the label of an id that no loss is taken on

# The columns in their order. What a value, or an item of a list, is:
ITEMS = {
    "input_ids": "int32",
    "labels": "int32",
    "attention_mask": "int32",
    "prefix_length": "int32",
    "input_segment_ids": "int32",
    "input_positions": "int32",
    "position_ids": "int32",
    "label_segment_ids": "int32",
    "label_positions": "int32",
    "denoiser": "string",
    "source": "string",
    "line": "int64",
    "segment": "int32",
    "epoch": "int32",
}
PER_ROW = ["source", "epoch"]
PER_EXAMPLE = ["line", "segment", "denoiser", "prefix_length"]  # lists in packed rows
PER_ID = [name for name in ITEMS if name not in PER_ROW + PER_EXAMPLE]

ARROW = {"int32": pyarrow.int32(), "int64": pyarrow.int64(), "string": pyarrow.string()}
DUCKDB = {"int32": "INTEGER", "int64": "BIGINT", "string": "VARCHAR"}
POLARS = {"int32": polars.Int32, "int64": polars.Int64, "string": polars.String}

# A row group of so many rows is in order by chance once in 479 million shuffles.
ENOUGH_TO_SHUFFLE = 12


class Format(NamedTuple):
    """What the manifest's spec says about the rows."""

    pack: bool
    pad: bool
    causal: dict | None
    shuffle: bool
    inputs: int  # most ids of a row's input_ids
    labels: int  # most of its labels

    @property
    def columns(self):
        absent = set() if self.pad and not (self.pack and self.causal) else {"attention_mask"}
        if not self.causal:
            absent |= {"prefix_length"}
        if not self.pack:
            absent |= {"input_segment_ids", "input_positions", "position_ids"}
        # What causal models call the positions.
        absent.add("input_positions" if self.causal else "position_ids")
        if not self.pack or self.causal:
            absent |= {"label_segment_ids", "label_positions"}
        return [name for name in ITEMS if name not in absent]

    def is_list(self, name):
        return name in PER_ID or self.pack and name in PER_EXAMPLE

    @property
    def sequences(self):
        """(ids, segment ids, positions, most ids) of a packed row; causal labels stand at the places of their ids."""
        if self.causal:
            return [(name, "input_segment_ids", "position_ids", self.inputs) for name in ("input_ids", "labels")]
        return [
            ("input_ids", "input_segment_ids", "input_positions", self.inputs),
            ("labels", "label_segment_ids", "label_positions", self.labels),
        ]


class Example(NamedTuple):
    """An example, without padding."""

    source: str
    epoch: int
    line: int
    segment: int
    denoiser: str
    prefix_length: int | None
    input_ids: list
    labels: list

    @property
    def key(self):
        return self.source.encode(), self.epoch, self.line, self.segment

    @property
    def where(self):
        return f"{self.source}:{self.line}, segment {self.segment}, epoch {self.epoch}"


@pytest.fixture(scope="session")
def spec(manifest):
    return manifest["spec"]


@pytest.fixture(scope="session")
def form(spec):
    causal = spec.get("causal")
    lengths = [causal["sequence_length"]] * 2 if causal else [spec["inputs_length"], spec["labels_length"]]
    return Format(spec.get("pack", False), spec.get("pad", False), causal, spec.get("shuffle", False), *lengths)


@pytest.fixture
def packed(form):
    if not form.pack:
        pytest.skip("the rows are not packed")


@pytest.fixture
def padded(form):
    if not form.pad:
        pytest.skip("the rows are not padded")


@pytest.fixture
def causal(form):
    if not form.causal:
        pytest.skip("the rows are not causal")
    return form.causal


@pytest.fixture(scope="session")
def names(files):
    return [str(path) for path in files]


@pytest.fixture(scope="session")
def columns(files):
    """The columns as pyarrow reads them, file by file, in the order of the rows: name -> values."""
    found = {}
    for path in files:
        table = pyarrow.parquet.ParquetFile(path).read()
        for name in table.column_names:
            found.setdefault(name, []).extend(table.column(name).to_pylist())
    assert found["input_ids"], "a data set without rows shows nothing"
    return found


@pytest.fixture(scope="session")
def rows(columns):
    return [dict(zip(columns, values)) for values in zip(*columns.values(), strict=True)]


def of_example(row, number, ids, segments):
    return [value for value, segment in zip(row[ids], row[segments], strict=True) if segment == number]


def examples_of(row, form):
    """The examples of a row, in its order."""
    if form.pack:
        sequences = [(ids, segments) for ids, segments, _, _ in form.sequences]
        for place in range(len(row["line"])):
            yield Example(
                **{name: row[name] for name in PER_ROW},
                **{name: row[name][place] if name in row else None for name in PER_EXAMPLE},
                **{ids: of_example(row, place + 1, ids, segments) for ids, segments in sequences},
            )
        return
    inputs, labels = len(row["input_ids"]), len(row["labels"])
    if form.pad:
        inputs = sum(row["attention_mask"])
        labels = inputs if form.causal else sum(label != IGNORED for label in row["labels"])
    yield Example(
        **{name: row.get(name) for name in PER_ROW + PER_EXAMPLE},
        input_ids=row["input_ids"][:inputs],
        labels=row["labels"][:labels],
    )


@pytest.fixture(scope="session")
def examples_of_rows(rows, form):
    """[[Example, ...] of each row]"""
    return [list(examples_of(row, form)) for row in rows]


@pytest.fixture(scope="session")
def examples(examples_of_rows):
    return list(itertools.chain(*examples_of_rows))


@pytest.fixture(scope="session")
def groups(files, examples_of_rows):
    """[(file name, [[first example of each row] of each row group])]"""
    firsts, found = (row[0] for row in examples_of_rows), []
    for path in files:
        metadata = pyarrow.parquet.ParquetFile(path).metadata
        sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        found.append((path.name, [list(itertools.islice(firsts, size)) for size in sizes]))
    return found


def assert_same(actual, columns, reader):
    """Equal columns of equal names, row by row in one order."""
    assert list(actual) == list(columns), f"{reader} has other columns"
    for name, mine in columns.items():
        theirs = actual[name]
        assert len(theirs) == len(mine), f"{reader} has {len(theirs)} rows of {name}, pyarrow {len(mine)}"
        differ = [number for number, pair in enumerate(zip(mine, theirs)) if pair[0] != pair[1]]
        if differ:
            at = differ[0]
            pytest.fail(
                f"{reader} reads {len(differ)} values of {name} otherwise than pyarrow,"
                f" that of row {at} as {theirs[at]}, pyarrow as {mine[at]}"
            )


def test_the_set_is_arranged(form):
    assert form.pack or form.pad or form.causal or form.shuffle, (
        "neither packed nor padded nor causal nor shuffled: give this file another set, and this set to test_readers.py"
    )


# --- the files themselves ---


def test_columns(files, form):
    for path in files:
        assert pyarrow.parquet.read_schema(path).names == form.columns, f"{path.name}: not the columns of such rows"


def test_arrow_types(files, form):
    for path in files:
        for field in pyarrow.parquet.read_schema(path):
            where, item = f"{path.name}: {field.name} is {field.type}", field.type
            assert not field.nullable, f"{where}, nullable"
            if form.is_list(field.name):
                assert pyarrow.types.is_list(field.type), f"{where}, not an ordinary list"
                assert field.type.value_field.name == "element", f"{where}, with items of another name"
                assert not field.type.value_field.nullable, f"{where}, with nullable items"
                item = field.type.value_type
            assert item == ARROW[ITEMS[field.name]], where


def test_parquet_levels(files, form):
    """A list that is not nullable, of items that are not, has one level of definition and one of repetition."""
    for path in files:
        schema = pyarrow.parquet.ParquetFile(path).schema
        for column in map(schema.column, range(len(schema))):
            level = int(form.is_list(column.path.split(".")[0]))
            assert column.max_definition_level == level, f"{path.name}: {column.path} has other definition levels"
            assert column.max_repetition_level == level, f"{path.name}: {column.path} has other repetition levels"


def test_nothing_is_optional_to_duckdb(names):
    found = duckdb.execute(
        "SELECT file_name, name FROM parquet_schema($files) WHERE repetition_type = 'OPTIONAL'", {"files": names}
    ).fetchall()
    assert not found, "optional fields"


def test_shards_share_one_schema(files):
    first = pyarrow.parquet.read_schema(files[0])
    for path in files[1:]:
        assert pyarrow.parquet.read_schema(path).equals(first), f"{path.name}: another schema than {files[0].name}"


def test_no_empty_row_group(files, manifest):
    """`datasets` takes its batch size from the first row group and fails on an empty one."""
    described = {shard["path"]: shard["row_groups"] for shard in manifest["shards"]}
    for path in files:
        metadata = pyarrow.parquet.ParquetFile(path).metadata
        assert metadata.num_row_groups == described[f"data/{path.name}"], f"{path.name}: row groups of the manifest"
        assert metadata.num_row_groups > 0, f"{path.name}: no row group"
        for number in range(metadata.num_row_groups):
            assert metadata.row_group(number).num_rows > 0, f"{path.name}: row group {number} is empty"


def test_footers_hold_the_spec(files, manifest):
    for path in files:
        footer = pyarrow.parquet.ParquetFile(path).metadata.metadata
        text = footer[b"ul2-prep.spec"]
        assert json.loads(text) == manifest["spec"], f"{path.name}: another spec than the manifest's"
        fingerprint = hashlib.sha256(text).hexdigest()
        assert footer[b"ul2-prep.spec-fingerprint"].decode() == fingerprint, f"{path.name}: fingerprint of another spec"
        assert manifest["spec_fingerprint"] == fingerprint, f"{path.name}: fingerprint of the manifest"


# --- laws of the rows ---


def test_row_lengths(rows, form):
    for number, row in enumerate(rows):
        for name, most in (("input_ids", form.inputs), ("labels", form.labels)):
            assert 0 < len(row[name]) <= most, f"row {number}: {len(row[name])} {name}, not 1 to {most}"
        if form.causal:
            assert len(row["input_ids"]) == len(row["labels"]), f"row {number}: as many labels as ids in causal rows"


def test_columns_of_ids_are_as_long_as_the_ids(rows, form):
    for number, row in enumerate(rows):
        for name in form.columns:
            if name in PER_ID:
                ids = "labels" if name.startswith("label") else "input_ids"
                assert len(row[name]) == len(row[ids]), f"row {number}: {name} and {ids} have different lengths"


def test_padded_rows_have_exactly_their_lengths(rows, form, padded):
    for number, row in enumerate(rows):
        lengths = len(row["input_ids"]), len(row["labels"])
        assert lengths == (form.inputs, form.labels), f"row {number}: {lengths} ids and labels"


def test_padding_is_at_the_end(rows, form, spec, padded):
    pad = spec["vocabulary"]["pad"]
    for number, row in enumerate(rows):
        mask = row["attention_mask"] if "attention_mask" in row else [int(segment > 0) for segment in row["input_segment_ids"]]
        given = sum(mask)
        assert mask == [1] * given + [0] * (len(mask) - given), f"row {number}: the mask is not ones, then zeros"
        assert given > 0, f"row {number}: nothing but padding"
        assert set(row["input_ids"][given:]) <= {pad}, f"row {number}: padding of input_ids is not {pad}"
        if pad != spec["vocabulary"]["eos"]:
            assert pad not in row["input_ids"][:given], f"row {number}: pad before the padding"
        end = given if form.causal else sum(label != IGNORED for label in row["labels"])
        assert set(row["labels"][end:]) <= {IGNORED}, f"row {number}: padding of labels is not {IGNORED}"
        if form.pack:
            ends = {"input": given, "label": end}
            for name in form.columns:
                if name.endswith(("_segment_ids", "_positions")):
                    assert set(row[name][ends[name[:5]] :]) <= {0}, f"row {number}: padding of {name} is not 0"


def test_segment_ids_and_positions(rows, form, packed):
    """Segment ids 1, 2, ... in runs, then 0 for padding; positions from 0 in each run, 0 in padding."""
    for number, row in enumerate(rows):
        for ids, segments, positions, _ in form.sequences:
            runs = [(segment, len(list(run))) for segment, run in itertools.groupby(row[segments])]
            padding = runs.pop()[1] if runs[-1][0] == 0 else 0
            assert form.pad or not padding, f"row {number}: segment id 0 in {segments} of rows that are not padded"
            found = [segment for segment, _ in runs]
            assert found == list(range(1, len(row["line"]) + 1)), f"row {number}: runs of {segments}"
            counted = [place for _, length in runs for place in range(length)] + [0] * padding
            assert row[positions] == counted, f"row {number}: {positions} do not count from 0 in each example"
            if ids == "input_ids" and "attention_mask" in form.columns:
                assert row["attention_mask"] == [int(segment > 0) for segment in row[segments]], f"row {number}: mask"


def test_lists_of_examples(rows, form, packed):
    for number, row in enumerate(rows):
        lengths = {name: len(row[name]) for name in form.columns if name in PER_EXAMPLE}
        assert set(lengths.values()) == {max(row["input_segment_ids"])}, f"row {number}: an item for each example"
        keys = list(zip(row["line"], row["segment"]))
        assert keys == sorted(set(keys)), f"row {number}: the examples are not in the order of lines and segments"


def test_examples_have_a_key_of_their_own(examples):
    assert len({example.key for example in examples}) == len(examples)


def test_examples_are_sound(examples, spec):
    size, denoisers = spec["vocabulary"]["size"], {denoiser["name"] for denoiser in spec["denoisers"]}
    for example in examples:
        assert example.source and example.denoiser in denoisers, example.where
        assert example.line >= 1 and example.segment >= 0 and 0 <= example.epoch < spec["epochs"], example.where
        assert example.input_ids and all(0 <= value < size for value in example.input_ids), example.where
        assert all(0 <= label < size or label == IGNORED for label in example.labels), example.where
        assert any(label != IGNORED for label in example.labels), f"{example.where}: no label"


def test_causal_labels(examples, spec, causal):
    """With loss on the targets, -100 on the prefix and there alone; with loss on all, the ids."""
    for example in examples:
        given, length = example.prefix_length, len(example.input_ids)
        assert 0 <= given < length, f"{example.where}: a prefix of {given} of {length} ids"
        assert given <= spec["inputs_length"], f"{example.where}: the prefix is over inputs_length"
        assert length - given <= spec["labels_length"], f"{example.where}: the targets are over labels_length"
        ignored = given if causal["loss"] == "targets" else 0
        assert example.labels == [IGNORED] * ignored + example.input_ids[ignored:], f"{example.where}: labels"
        if causal["separator"] is not None:
            assert example.input_ids[given - 1] == causal["separator"], f"{example.where}: no separator ends the prefix"


def test_labels_of_two_sequences_all_count(examples, form):
    if form.causal:
        pytest.skip("the rows are causal")
    for example in examples:
        assert IGNORED not in example.labels, f"{example.where}: {IGNORED} in labels that are no padding"


def test_eos_ends_the_sequences(examples, spec, form):
    eos = spec["vocabulary"]["eos"]
    for example in examples:
        if spec["eos"] != "none":
            assert example.labels[-1] == eos, f"{example.where}: the labels do not end with EOS"
        if spec["eos"] == "both":
            place = -1 if not form.causal else example.prefix_length - 1 - (form.causal["separator"] is not None)
            assert example.input_ids[place] == eos, f"{example.where}: the inputs do not end with EOS"


# --- their order ---


def test_order_of_rows(groups, form):
    """By source, epoch, line and segment, packed rows by their first example; shuffled, in the row group alone."""
    for name, found in groups:
        keys = [[example.key for example in group] for group in found]
        if form.shuffle:
            keys = [sorted(group) for group in keys]
        joined = list(itertools.chain(*keys))
        for before, after in itertools.pairwise(joined):
            assert before < after, f"{name}: {after} stands behind {before}"


def test_shuffled_rows_are_out_of_order(groups, form):
    if not form.shuffle:
        pytest.skip("the rows are not shuffled")
    large = [(name, group) for name, found in groups for group in found if len(group) >= ENOUGH_TO_SHUFFLE]
    if not large:
        pytest.skip(f"no row group of {ENOUGH_TO_SHUFFLE} rows")
    for name, group in large:
        keys = [example.key for example in group]
        assert keys != sorted(keys), f"{name}: a row group of {len(keys)} rows stands in the order of the sources"


# --- what the manifest says ---


def test_manifest_counts_rows_and_examples(manifest, rows, examples):
    totals = manifest["totals"]
    assert totals["rows"] == len(rows), "rows of the manifest's totals"
    assert totals["examples"] == len(examples), "examples of the manifest's totals"
    for source in manifest["sources"]:
        name = source["name"]
        assert source["rows"] == sum(row["source"] == name for row in rows), f"rows of {name}"
        assert source["examples"] == sum(example.source == name for example in examples), f"examples of {name}"
    assert {example.source for example in examples} <= {source["name"] for source in manifest["sources"]}


def test_manifest_counts_ids_without_padding(manifest, examples):
    for name, counts in manifest["denoisers"].items():
        mine = [example for example in examples if example.denoiser == name]
        assert counts["examples"] == len(mine), f"examples of {name}"
        for column in ("input_ids", "labels"):
            assert counts[column] == sum(len(getattr(example, column)) for example in mine), f"{column} of {name}"
    for column in ("input_ids", "labels"):
        found = sum(len(getattr(example, column)) for example in examples)
        assert manifest["totals"][column] == found, f"{column} of the manifest's totals"


def test_fill_rate(manifest, rows, form):
    """The share of its rows' lengths that a data set fills with ids, from the totals and from the rows."""
    totals = manifest["totals"]
    filled = fractions.Fraction(totals["input_ids"] + totals["labels"], totals["rows"] * (form.inputs + form.labels))
    assert 0 < filled <= 1, "a share"
    ids = room = 0
    for row in rows:
        for name, segments, _, most in form.sequences:
            room += len(row[name]) if form.pad else most
            if form.pack:
                ids += sum(segment != 0 for segment in row[segments])
            elif not form.pad:
                ids += len(row[name])
            elif form.causal or name == "input_ids":
                ids += sum(row["attention_mask"])
            else:
                ids += sum(label != IGNORED for label in row[name])
    found = fractions.Fraction(ids, room)
    assert filled == found, f"{float(filled):.6f} by the totals, {float(found):.6f} by the rows"


def test_manifest_describes_every_shard(data_set, files, manifest, form, examples_of_rows):
    """Names, bytes, rows, and the digest of the rows, which docs/reference/manifest.md defines."""
    shards = {shard["path"]: shard for shard in manifest["shards"]}
    assert sorted(shards) == [path.relative_to(data_set).as_posix() for path in files], "shards of the manifest"

    def text(value):
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def digest_of(row):
        encoded = b""
        for example in row:
            encoded += text(example.source) + text(example.denoiser)
            encoded += struct.pack("<3Q", example.line, example.segment, example.epoch)
            if form.causal:
                encoded += struct.pack("<Q", example.prefix_length)
            for ids in (example.input_ids, example.labels):
                encoded += struct.pack(f"<Q{len(ids)}i", len(ids), *ids)
        return int.from_bytes(hashlib.sha256(encoded).digest(), "little")

    total, left = 0, iter(examples_of_rows)
    for path in files:
        shard, content = shards[f"data/{path.name}"], path.read_bytes()
        assert shard["bytes"] == len(content), f"{path.name}: bytes"
        assert shard["sha256"] == hashlib.sha256(content).hexdigest(), f"{path.name}: sha256"
        assert shard["rows"] == pyarrow.parquet.ParquetFile(path).metadata.num_rows, f"{path.name}: rows"
        digest = sum(digest_of(row) for row in itertools.islice(left, shard["rows"]))
        assert shard["rows_digest"] == (digest % 2**256).to_bytes(32, "little").hex(), f"{path.name}: rows_digest"
        total += digest
    assert manifest["totals"]["rows_digest"] == (total % 2**256).to_bytes(32, "little").hex(), "rows_digest of all"


# --- the readers ---


def test_pyarrow_dataset(data_set, columns):
    table = pyarrow.dataset.dataset(data_set / "data").to_table()
    assert_same({name: table.column(name).to_pylist() for name in table.column_names}, columns, "pyarrow.dataset")


def test_pandas(data_set, columns, form):
    frame = pandas.read_parquet(data_set / "data")
    assert not frame.isna().any(axis=None), "a missing value"
    actual = {}
    for name in frame.columns:
        values, item = frame[name], ITEMS[name]
        if form.is_list(name):
            expected = numpy.dtype(object if item == "string" else item)
            for number, value in enumerate(values):
                assert isinstance(value, numpy.ndarray) and value.ndim == 1, f"{name} of row {number}: {type(value)}"
                assert value.dtype == expected, f"{name} of row {number} holds {value.dtype}, not {expected}"
            actual[name] = [value.tolist() for value in values]
        else:
            if item == "string":
                assert pandas.api.types.is_string_dtype(values.dtype), f"{name} is {values.dtype}"
            else:
                assert values.dtype == numpy.dtype(item), f"{name} is {values.dtype}"
            actual[name] = values.tolist()
    assert_same(actual, columns, "pandas")


def test_duckdb(names, columns, form):
    described = duckdb.execute("DESCRIBE SELECT * FROM read_parquet($files)", {"files": names}).fetchall()
    expected = [(name, DUCKDB[ITEMS[name]] + "[]" * form.is_list(name)) for name in form.columns]
    assert [row[:2] for row in described] == expected, "columns and types"
    found = duckdb.execute("SELECT * FROM read_parquet($files)", {"files": names}).fetchall()
    assert_same(dict(zip(form.columns, map(list, zip(*found)))), columns, "DuckDB")


def polars_schema(form):
    return {
        name: polars.List(POLARS[ITEMS[name]]) if form.is_list(name) else POLARS[ITEMS[name]] for name in form.columns
    }


def test_polars(files, columns, form):
    frame = polars.read_parquet(files)
    assert dict(frame.schema) == polars_schema(form), "columns and types"
    assert_same(frame.to_dict(as_series=False), columns, "Polars")


def test_polars_lazily(data_set, columns, form):
    frame = polars.scan_parquet(data_set / "data" / "train-*.parquet")
    assert dict(frame.collect_schema()) == polars_schema(form), "columns and types"
    assert_same(frame.collect().to_dict(as_series=False), columns, "Polars, lazily,")


def test_rows_of_one_source(data_set, names, rows):
    """What readers leave out by the statistics of row groups is what they should."""
    for source in sorted({row["source"] for row in rows}):
        expected = [row["input_ids"] for row in rows if row["source"] == source]
        found = {
            "pyarrow": pyarrow.parquet.read_table(data_set / "data", filters=[("source", "==", source)])
            .column("input_ids")
            .to_pylist(),
            "Polars": polars.scan_parquet(names)
            .filter(polars.col("source") == source)
            .collect()["input_ids"]
            .to_list(),
            "DuckDB": [
                ids
                for (ids,) in duckdb.execute(
                    "SELECT input_ids FROM read_parquet($files) WHERE source = $source",
                    {"files": names, "source": source},
                ).fetchall()
            ],
        }
        for reader, ids in found.items():
            assert len(ids) == len(expected), f"{reader}: {len(ids)} rows of {source}, not {len(expected)}"
            assert ids == expected, f"{reader}: other rows of {source}"


LOADERS = {
    "folder": lambda data_set, names, **options: datasets.load_dataset(str(data_set), **options),
    "data_files": lambda data_set, names, **options: datasets.load_dataset("parquet", data_files=names, **options),
}


@pytest.fixture(scope="session")
def features(form):
    values = {name: datasets.Value(ITEMS[name]) for name in form.columns}
    return datasets.Features(
        {name: datasets.List(value) if form.is_list(name) else value for name, value in values.items()}
    )


@pytest.fixture(scope="session")
def load(data_set, names, tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    return lambda way, **options: LOADERS[way](data_set, names, cache_dir=cache, **options)


@pytest.mark.parametrize("way", LOADERS)
def test_datasets(load, way, columns, features):
    loaded = load(way)
    assert list(loaded) == ["train"], "splits"
    assert loaded["train"].features == features, "columns and types"
    assert_same(loaded["train"].to_dict(), columns, f"datasets, by {way},")


@pytest.mark.parametrize("way", LOADERS)
def test_datasets_streaming(load, way, columns, features):
    stream = load(way, split="train", streaming=True)
    assert stream.features == features, "columns and types"
    actual = {name: [] for name in columns}
    for row in stream:
        assert list(row) == list(columns), "columns of a row"
        for name, value in row.items():
            actual[name].append(value)
    assert_same(actual, columns, f"datasets, streaming by {way},")


def test_datasets_concatenate(load, features, rows):
    """A set of the same rows, made in Python with these types, joins this one: no large list, no other integer."""
    train = load("folder", split="train")
    other = datasets.Dataset.from_list(rows[:2], features=features)
    both = datasets.concatenate_datasets([train, other])
    assert len(both) == len(rows) + len(rows[:2]), "rows of both"
    assert both[len(rows)] == rows[0], "first row of the other"


def test_padded_batches_are_rectangular(load, form, padded):
    """Padded rows need no collator: a batch is an array, of rows times the full length."""
    train = load("folder", split="train")
    batch = train.select(range(min(16, len(train)))).with_format("numpy")[:]
    for name in form.columns:
        if name in PER_ID:
            length = form.labels if name.startswith("label") else form.inputs
            assert batch[name].dtype.kind == "i", f"{name} is {batch[name].dtype}"
            assert batch[name].shape == (min(16, len(train)), length), f"{name} has the shape {batch[name].shape}"


# --- one line for each example ---


@pytest.fixture(scope="session")
def per_example(form):
    return [name for name in PER_EXAMPLE if name in form.columns]


@pytest.fixture(scope="session")
def lines(examples, per_example):
    """What says something about an example as a whole, in the order of PER_ROW and PER_EXAMPLE."""
    return [tuple(getattr(example, name) for name in PER_ROW + per_example) for example in examples]


def assert_lines(found, lines, reader):
    assert len(found) == len(lines), f"{reader} makes {len(found)} lines of {len(lines)} examples"
    for number, (theirs, mine) in enumerate(zip(found, lines)):
        assert theirs == mine, f"{reader}: line {number}"


def test_duckdb_unnest(names, lines, per_example, packed):
    chosen = ", ".join(PER_ROW + [f"UNNEST({name})" for name in per_example])
    found = duckdb.execute(f"SELECT {chosen} FROM read_parquet($files)", {"files": names}).fetchall()
    assert_lines(found, lines, "DuckDB's UNNEST")


def test_duckdb_rebuilds_examples_from_segment_ids(names, examples, form, packed):
    for ids, segments, positions, _ in form.sequences:
        found = duckdb.execute(
            f"""
            WITH each AS (
                SELECT source, epoch, line, segment,
                       UNNEST({ids}) AS id, UNNEST({segments}) AS example, UNNEST({positions}) AS position
                FROM read_parquet($files)
            )
            SELECT source, epoch, line[example], segment[example], list(id ORDER BY position)
            FROM each WHERE example > 0 GROUP BY ALL
            """,
            {"files": names},
        ).fetchall()
        expected = [(e.source, e.epoch, e.line, e.segment, getattr(e, ids)) for e in examples]
        assert_lines(sorted(found), sorted(expected), f"DuckDB's UNNEST of {ids}")


def test_pandas_explode(data_set, lines, per_example, packed):
    frame = pandas.read_parquet(data_set / "data", columns=PER_ROW + per_example)[PER_ROW + per_example]
    found = frame.explode(per_example, ignore_index=True)
    assert_lines(list(found.itertuples(index=False, name=None)), lines, "pandas' explode")


def test_pandas_rebuilds_lengths_from_segment_ids(data_set, examples, form, packed):
    frame = pandas.read_parquet(data_set / "data")
    for ids, segments, positions, _ in form.sequences:
        exploded = frame[[ids, segments, positions]].explode([ids, segments, positions])
        exploded = exploded[exploded[segments] > 0]
        grouped = exploded.groupby([exploded.index, segments])
        expected = [len(getattr(example, ids)) for example in examples]
        assert grouped.size().tolist() == expected, f"numbers of {ids} by {segments}"
        assert (grouped[positions].max() + 1).tolist() == expected, f"numbers of {ids} by {positions}"


def test_polars_explode(files, lines, per_example, packed):
    frame = polars.read_parquet(files, columns=PER_ROW + per_example).select(PER_ROW + per_example)
    assert_lines(frame.explode(per_example).rows(), lines, "Polars' explode")
