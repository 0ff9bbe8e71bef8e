"""Every column of a data set as old readers read it, held to what pyarrow of another environment read.

    python tests/readers/oldest.py --write FILE --data DIR                       # in the environment of the newest readers
    python tests/readers/oldest.py --hold FILE --data DIR --readers duckdb ...   # in one of `oldest.txt`, `oldest-datasets.txt`

A reader that is asked for and cannot be imported is an error, not a reader less.
"""

import argparse
import importlib
import json
import pathlib
import sys


def plain(value):
    """Numbers, texts and lists of them, whatever a reader makes of a value."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


def by_pyarrow(files):
    import pyarrow.parquet
    # Each file by itself: older versions read a folder through another module.
    tables = [pyarrow.parquet.ParquetFile(path).read() for path in files]
    return {name: [value for table in tables for value in table.column(name).to_pylist()] for name in tables[0].column_names}


def by_pandas(files):
    import pandas
    frame = pandas.concat([pandas.read_parquet(path, engine="pyarrow") for path in files])
    return {name: list(frame[name]) for name in frame.columns}


def by_duckdb(files):
    import duckdb
    found = duckdb.execute("SELECT * FROM read_parquet(?)", [files])
    names = [column[0] for column in found.description]
    return dict(zip(names, map(list, zip(*found.fetchall()))))


def by_polars(files):
    import polars
    eager = polars.concat([polars.read_parquet(path) for path in files]).to_dict(as_series=False)
    lazy = polars.concat([polars.scan_parquet(path) for path in files]).collect().to_dict(as_series=False)
    assert eager == lazy, "Polars reads other values lazily"
    return eager


def by_fastparquet(files):
    import fastparquet
    frames = [fastparquet.ParquetFile(path).to_pandas() for path in files]
    # It names a list by the path of its items, as `input_ids.list.element`, or by the column.
    return {str(name).split(".")[0]: [value for frame in frames for value in frame[name]] for name in frames[0].columns}


def by_datasets(files):
    import tempfile
    import datasets
    with tempfile.TemporaryDirectory() as cache:
        datasets.disable_progress_bars()
        loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache)
        stream = list(datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache, streaming=True))
        found = loaded.to_dict()
    assert [dict(zip(found, row)) for row in zip(*found.values())] == stream, "datasets streams other values"
    return found


def by_spark(files):
    import pyspark.sql
    spark = pyspark.sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    # File by file, so that the rows keep their order.
    rows = [row for path in files for row in spark.read.parquet(path).collect()]
    return {name: [row[name] for row in rows] for name in rows[0].asDict()}


READERS = {
    "pyarrow": by_pyarrow, "pandas": by_pandas, "duckdb": by_duckdb, "polars": by_polars, "fastparquet": by_fastparquet,
    "datasets": by_datasets, "pyspark": by_spark,
}


def faults(expected, found):
    """What a reader has otherwise, a line a column."""
    if list(found) != list(expected):
        yield f"other columns: {', '.join(found)}"
    for name in expected.keys() & found.keys():
        mine, theirs = expected[name], [plain(value) for value in found[name]]
        differ = sum(pair[0] != pair[1] for pair in zip(mine, theirs)) + abs(len(mine) - len(theirs))
        if differ:
            yield f"{differ} of {len(mine)} values of {name} differ"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--write", metavar="FILE", type=pathlib.Path)
    group.add_argument("--hold", metavar="FILE", type=pathlib.Path)
    parser.add_argument("--readers", metavar="NAME", nargs="+", choices=READERS, help="those that have to read it")
    parser.add_argument("--data", metavar="DIR", type=pathlib.Path, required=True)
    args = parser.parse_args()
    files = sorted(str(path) for path in (args.data / "data").glob("*.parquet"))
    if not files:
        sys.exit(f"{args.data} has no shards")
    if args.write:
        found = by_pyarrow(files)
        assert found["input_ids"], "a data set without rows shows nothing"
        args.write.write_text(json.dumps(found), encoding="utf-8")
        return
    expected, failed = json.loads(args.hold.read_text(encoding="utf-8")), False
    for name in args.readers:
        version = importlib.import_module(name).__version__
        try:
            found = list(faults(expected, READERS[name](files)))
        except Exception as error:  # a reader's own, of whatever kind
            found = [f"{type(error).__name__}: {error}"]
        for fault in found:
            print(f"{name} {version}: {fault}")
        if not found:
            print(f"{name} {version}: {len(expected['input_ids'])} rows, {len(expected)} columns")
        failed |= bool(found)
    sys.exit(failed)


if __name__ == "__main__":
    main()
