"""What Hugging Face `datasets` knows of a data set from its card alone.

    python -m pytest tests/readers/test_card.py --data-set DIR

DIR is a finished data set.
"""

import datasets
import pytest


@pytest.fixture(scope="module")
def info(data_set):
    return datasets.load_dataset_builder(str(data_set)).info


def test_the_builder_knows_features_splits_and_sizes(data_set, manifest, info):
    loaded = datasets.load_dataset(str(data_set))
    assert {name: split.num_examples for name, split in info.splits.items()} == {name: rows.num_rows for name, rows in loaded.items()}
    for name, rows in loaded.items():
        # What Arrow makes of the shards, whatever the card says.
        from_shards = datasets.Dataset.from_parquet([str(path) for path in sorted((data_set / "data").glob(f"{name}-*.parquet"))])
        assert info.features == rows.features == from_shards.features
        assert list(info.features) == manifest["plan"]["columns"]
        # Each table of a stream has one more offset a list.
        assert info.splits[name].num_bytes == pytest.approx(from_shards.data.nbytes, rel=0.01, abs=4096)
    assert info.dataset_size == sum(split.num_bytes for split in info.splits.values())
    assert info.download_size == manifest["totals"]["shard_bytes"]
