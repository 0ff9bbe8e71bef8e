"""A data set with a validation split, by the readers that trainers use.

    python -m pytest tests/readers/test_validation.py --data-set DIR

DIR is a finished data set made with `--validation` or `--validation-source`.
"""

import datasets
import duckdb
import pyarrow.dataset
import pytest


@pytest.fixture(scope="session")
def counts(manifest):
    """The rows of each split by the manifest."""
    validation = manifest["validation"]["totals"]["rows"]
    assert validation > 0
    return {"train": manifest["totals"]["rows"] - validation, "validation": validation}


def test_datasets_gives_both_splits(data_set, counts):
    loaded = datasets.load_dataset(str(data_set))
    assert {name: rows.num_rows for name, rows in loaded.items()} == counts
    for name, rows in counts.items():
        streamed = datasets.load_dataset(str(data_set), split=name, streaming=True)
        assert sum(1 for _ in streamed) == rows


def test_no_document_is_in_both_splits(data_set, manifest, counts):
    """As a person would ask."""
    line = "UNNEST(line)" if manifest["spec"].get("pack") else "line"
    documents = {name: f"SELECT DISTINCT source, {line} AS line FROM '{data_set}/data/{name}-*.parquet'" for name in counts}
    shared = duckdb.sql(" INTERSECT ".join(documents.values())).fetchall()
    assert shared == []
    validation = duckdb.sql(f"SELECT count(*) FROM ({documents['validation']})").fetchall()[0][0]
    assert 0 < validation <= manifest["validation"]["totals"]["documents"]


def test_pyarrow_counts_the_rows_of_each_split(data_set, counts):
    for name, rows in counts.items():
        files = [str(path) for path in (data_set / "data").glob(f"{name}-*.parquet")]
        assert pyarrow.dataset.dataset(files).count_rows() == rows
