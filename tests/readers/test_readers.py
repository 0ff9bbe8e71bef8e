"""The same rows for every reader that trainers use: pyarrow, pandas, DuckDB, Polars, Hugging Face `datasets`.

    python -m pytest tests/readers --data-set DIR

DIR is a finished data set: DIR/data/train-*.parquet, DIR/manifest.json, DIR/README.md.
"""

import hashlib
import importlib.util
import re

import datasets
import duckdb
import numpy
import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest
import yaml

COLUMNS = ["source", "line", "epoch", "segment", "denoiser", "input_ids", "labels"]
KEY = COLUMNS[:4]
TYPES = {
    "input_ids": pyarrow.list_(pyarrow.field("element", pyarrow.int32(), nullable=False)),
    "labels": pyarrow.list_(pyarrow.field("element", pyarrow.int32(), nullable=False)),
    "source": pyarrow.string(),
    "line": pyarrow.int64(),
    "segment": pyarrow.int32(),
    "epoch": pyarrow.int32(),
    "denoiser": pyarrow.string(),
}
SEQUENCES = ["input_ids", "labels"]


def key(row):
    return row[: len(KEY)]


@pytest.fixture(scope="session")
def rows(files):
    """The rows as pyarrow reads them, file by file, in their order: tuples in the order of COLUMNS."""
    found = []
    for path in files:
        table = pyarrow.parquet.ParquetFile(path).read(columns=COLUMNS)
        found.extend(zip(*(table.column(name).to_pylist() for name in COLUMNS)))
    assert found, "a data set without rows shows nothing"
    return found


def assert_same(actual, rows):
    """Equal rows, compared in the order of their keys."""
    assert len(actual) == len(rows)
    for mine, theirs in zip(sorted(rows, key=key), sorted(actual, key=key)):
        assert mine == theirs


# --- the files themselves ---


def test_rows_have_a_key_of_their_own(rows):
    assert len({key(row) for row in rows}) == len(rows)


def test_rows_are_sound(rows):
    for source, line, epoch, segment, denoiser, input_ids, labels in rows:
        where = f"{source}:{line}, epoch {epoch}, segment {segment}"
        assert source and denoiser, where
        assert line >= 1 and epoch >= 0 and segment >= 0, where
        assert input_ids and labels, where
        assert min(input_ids) >= 0, where
        # -100 stands where a label does not count (decoder-only layouts); no other negative label.
        assert all(label >= 0 or label == -100 for label in labels), where
        assert any(label >= 0 for label in labels), where


def test_arrow_types(files):
    for path in files:
        schema = pyarrow.parquet.read_schema(path)
        for name, expected in TYPES.items():
            field = schema.field(name)
            if name in SEQUENCES:
                assert pyarrow.types.is_list(field.type), f"{path.name}: {name} is {field.type}"  # not a large list
                assert field.type.value_type == pyarrow.int32(), f"{path.name}: {name} is {field.type}"
                assert not field.type.value_field.nullable, f"{path.name}: items of {name} are nullable"
            else:
                assert field.type == expected, f"{path.name}: {name} is {field.type}"
            assert not field.nullable, f"{path.name}: {name} is nullable"


def test_parquet_levels(files):
    """A list that is not nullable, of items that are not, has one level of definition and one of repetition."""
    for path in files:
        schema = pyarrow.parquet.ParquetFile(path).schema
        columns = {column.path.split(".")[0]: column for column in map(schema.column, range(len(schema)))}
        for name in TYPES:
            level = 1 if name in SEQUENCES else 0
            assert columns[name].max_definition_level == level, f"{path.name}: {name}"
            assert columns[name].max_repetition_level == level, f"{path.name}: {name}"


def test_shards_share_one_schema(files):
    first = pyarrow.parquet.read_schema(files[0])
    for path in files[1:]:
        assert pyarrow.parquet.read_schema(path).equals(first), path.name


def test_no_empty_row_group(files):
    """`datasets` takes its batch size from the first row group and fails on an empty one."""
    for path in files:
        metadata = pyarrow.parquet.ParquetFile(path).metadata
        assert metadata.num_row_groups > 0, path.name
        for number in range(metadata.num_row_groups):
            assert metadata.row_group(number).num_rows > 0, f"{path.name}: row group {number}"


# --- what describes them ---


def test_footers_name_the_spec(files, manifest):
    for path in files:
        metadata = pyarrow.parquet.ParquetFile(path).metadata.metadata
        assert metadata[b"ul2-prep.spec-fingerprint"].decode() == manifest["spec_fingerprint"], path.name


def test_duckdb_reads_the_footers(files, manifest):
    found = duckdb.execute(
        "SELECT file_name, value FROM parquet_kv_metadata($files) WHERE key = 'ul2-prep.spec-fingerprint'::BLOB",
        {"files": [str(path) for path in files]},
    ).fetchall()
    assert len(found) == len(files)
    assert {bytes(value).decode() for _, value in found} == {manifest["spec_fingerprint"]}


def test_manifest_describes_every_shard(data_set, files, manifest, rows):
    shards = {shard["path"]: shard for shard in manifest["shards"]}
    assert len(shards) == len(manifest["shards"])
    assert sorted(shards) == [path.relative_to(data_set).as_posix() for path in files]
    for path in files:
        shard = shards[path.relative_to(data_set).as_posix()]
        content = path.read_bytes()
        assert shard["bytes"] == len(content), path.name
        assert shard["sha256"] == hashlib.sha256(content).hexdigest(), path.name
        assert shard["rows"] == pyarrow.parquet.ParquetFile(path).metadata.num_rows, path.name
    assert sum(shard["rows"] for shard in shards.values()) == len(rows)


def test_manifest_names_every_source(manifest, rows):
    assert isinstance(manifest["spec"], dict)
    names = [source["name"] for source in manifest["sources"]]
    assert len(set(names)) == len(names)
    assert {row[0] for row in rows} <= set(names)
    for source in manifest["sources"]:
        assert source["bytes"] >= 0
        assert len(source["sha256"]) == 64 and int(source["sha256"], 16) >= 0


def test_no_stray_files_beside_the_shards(data_set, files):
    """A loader takes every file of data/ whose name does not start with a dot."""
    visible = [path for path in (data_set / "data").rglob("*") if not path.name.startswith(".")]
    assert sorted(visible) == files


def test_code_of_the_card_runs(data_set, rows):
    """Every block that loads rows, with the folder's path in it; PyTorch's only where that is installed."""
    card = (data_set / "README.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in card.split("```python\n")[1:]]
    assert [block.split("\n")[0] for block in blocks[:4]] == [
        "from datasets import load_dataset", "import pandas", "import polars", "import duckdb"
    ]
    for block in blocks:
        if "import torch" in block and importlib.util.find_spec("torch") is None:
            continue
        scope = {}
        exec(block.replace("PATH/OF/THIS/FOLDER", str(data_set)), scope)
        assert len(scope["rows"]) == len(rows), block
        if "batches" in scope:
            sizes = [len(batch["input_ids"]) for batch in scope["batches"]]
            assert sum(sizes) == len(rows)


def test_two_data_sets_of_one_folder_name_are_told_apart(data_set, files, tmp_path):
    """`datasets` caches by the folder's name and the card's head: the rows of one must not come out of the other."""
    lengths = []
    for number in [1, 2]:
        folder = tmp_path / str(number) / "masked"
        (folder / "data").mkdir(parents=True)
        card = (data_set / "README.md").read_text(encoding="utf-8")
        digest = re.search(r"description: rows ([0-9a-f]{64})", card).group(1)
        table = pyarrow.parquet.read_table(files[0]).slice(0, number)
        pyarrow.parquet.write_table(table, folder / "data" / "train-00000-00000.parquet")
        # Another data set has another digest, and its own number of rows.
        card = re.sub("num_examples: [0-9]+", f"num_examples: {number}", card.replace(digest, f"{number:064x}"))
        (folder / "README.md").write_text(card, encoding="utf-8")
        lengths.append(len(datasets.load_dataset(str(folder), split="train")))
    assert lengths == [1, 2]


def test_card_points_to_the_shards(data_set, files):
    card = (data_set / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    header = yaml.safe_load(card.split("---\n")[1])
    patterns = []
    for config in header["configs"]:
        data_files = config["data_files"]
        if isinstance(data_files, str):
            patterns.append(data_files)
            continue
        for entry in data_files:
            assert entry["split"] == "train"
            patterns.extend([entry["path"]] if isinstance(entry["path"], str) else entry["path"])
    matched = {path for pattern in patterns for path in data_set.glob(pattern)}
    assert sorted(matched) == files


# --- the readers ---


def test_pandas(files, rows):
    frame = pandas.concat([pandas.read_parquet(path, columns=COLUMNS) for path in files], ignore_index=True)
    assert frame["line"].dtype == numpy.int64
    assert frame["segment"].dtype == frame["epoch"].dtype == numpy.int32
    for name in SEQUENCES:
        assert all(value.dtype == numpy.int32 and value.ndim == 1 for value in frame[name])
        frame[name] = frame[name].map(lambda value: value.tolist())
    assert not frame.isna().any(axis=None)
    assert_same(list(frame[COLUMNS].itertuples(index=False, name=None)), rows)


def test_duckdb(files, rows):
    names = [str(path) for path in files]
    described = dict(
        row[:2] for row in duckdb.execute("DESCRIBE SELECT * FROM read_parquet($files)", {"files": names}).fetchall()
    )
    expected = {
        "input_ids": "INTEGER[]",
        "labels": "INTEGER[]",
        "source": "VARCHAR",
        "line": "BIGINT",
        "segment": "INTEGER",
        "epoch": "INTEGER",
        "denoiser": "VARCHAR",
    }
    assert {name: described[name] for name in expected} == expected
    actual = duckdb.execute(f"SELECT {', '.join(COLUMNS)} FROM read_parquet($files)", {"files": names}).fetchall()
    assert_same(actual, rows)


def test_polars(files, rows):
    frame = polars.read_parquet(files, columns=COLUMNS).select(COLUMNS)
    assert frame.schema == {
        "source": polars.String,
        "line": polars.Int64,
        "epoch": polars.Int32,
        "segment": polars.Int32,
        "denoiser": polars.String,
        "input_ids": polars.List(polars.Int32),
        "labels": polars.List(polars.Int32),
    }
    assert sum(frame.null_count().row(0)) == 0
    assert_same(frame.rows(), rows)


FEATURES = {
    "input_ids": datasets.List(datasets.Value("int32")),
    "labels": datasets.List(datasets.Value("int32")),
    "source": datasets.Value("string"),
    "line": datasets.Value("int64"),
    "segment": datasets.Value("int32"),
    "epoch": datasets.Value("int32"),
    "denoiser": datasets.Value("string"),
}


@pytest.fixture(scope="session")
def loaded(data_set, tmp_path_factory):
    return datasets.load_dataset(str(data_set), cache_dir=str(tmp_path_factory.mktemp("cache")))


def test_datasets(loaded, rows):
    assert list(loaded) == ["train"]
    train = loaded["train"]
    assert {name: train.features[name] for name in FEATURES} == FEATURES
    actual = train.to_dict()
    assert_same(list(zip(*(actual[name] for name in COLUMNS))), rows)


def test_datasets_streaming(data_set, rows):
    stream = datasets.load_dataset(str(data_set), split="train", streaming=True)
    assert_same([tuple(row[name] for name in COLUMNS) for row in stream], rows)


def test_datasets_concatenate(loaded):
    """`List(int32)` joins another data set of lists of int32; a large list or int64 would not."""
    train = loaded["train"].select_columns(SEQUENCES)
    other = datasets.Dataset.from_dict(
        {"input_ids": [[5, 1]], "labels": [[6, 1]]},
        features=datasets.Features({name: FEATURES[name] for name in SEQUENCES}),
    )
    both = datasets.concatenate_datasets([train, other])
    assert len(both) == len(train) + 1
    assert both[len(train)] == {"input_ids": [5, 1], "labels": [6, 1]}


def test_padding_as_a_collator_does(loaded):
    """What `DataCollatorForSeq2Seq` does: inputs padded with pad and a mask, labels with -100."""
    batch = loaded["train"].select(range(min(64, len(loaded["train"])))).with_format("numpy")[:]
    for name, padding in (("input_ids", 0), ("labels", -100)):
        lengths = [len(row) for row in batch[name]]
        padded = numpy.full((len(lengths), max(lengths)), padding, dtype=numpy.int64)
        for number, row in enumerate(batch[name]):
            padded[number, : len(row)] = row
        mask = numpy.arange(max(lengths)) < numpy.array(lengths)[:, None]
        assert mask.sum() == sum(lengths)
        assert (padded[~mask] == padding).all()
        assert padded[mask].tolist() == [value for row in batch[name] for value in row.tolist()]
