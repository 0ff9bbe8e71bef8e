"""The Python code that pages of docs/ show runs as it stands there, and prints what they show.

    python -m pytest tests/readers/test_pages.py --tool target/release/ul2-prep

Blocks that need torch are left out: tests/readers/test_training.py has the card's code, and tests/it/readme.rs compares it with the guide's.
"""

import contextlib
import io
import json
import re
import subprocess
from pathlib import Path

import pyarrow.parquet
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tool, tmp_path_factory):
    """What a checkout has, as far as the code reads it, and the data sets `masked` and `split`."""
    folder = tmp_path_factory.mktemp("pages")
    for name in ("fixtures", "tests"):
        (folder / name).symlink_to(ROOT / name)
    for out, more in [("masked", []), ("split", ["--validation", "5%"])]:
        command = [tool, "run", "fixtures/shards", "--out", out, "--seed", "7", "--quiet", *more]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def blocks(page):
    """(language, text) of each fenced block."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def ran(code, folder, monkeypatch):
    """What the code prints, and the names that it leaves."""
    monkeypatch.chdir(folder)
    printed, names = io.StringIO(), {}
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "page", "exec"), names)
    return printed.getvalue(), names


def test_the_guide_to_training_prints_what_it_shows(folder, monkeypatch):
    found = blocks("guide/training.md")
    checked = 0
    for (language, code), (following, shown) in zip(found, [*found[1:], ("", "")]):
        if language == "python" and "torch" not in code:
            printed, _ = ran(code, folder, monkeypatch)
            assert following == "text" and printed.strip() == shown.strip()
            checked += 1
    assert checked == 3


def test_the_digest_of_rows_is_the_one_that_its_page_computes(folder, monkeypatch):
    (code,) = [text for language, text in blocks("reference/manifest.md") if language == "python"]
    printed, _ = ran(code, folder, monkeypatch)
    manifest = json.loads((folder / "masked/manifest.json").read_text(encoding="utf-8"))
    assert printed.strip() == manifest["totals"]["rows_digest"]


def test_one_row_alone_is_the_row_of_the_data_set(folder, monkeypatch):
    (code,) = [text for language, text in blocks("reference/reproducibility.md") if language == "python"]
    _, names = ran(code, folder, monkeypatch)
    rows = pyarrow.parquet.read_table(folder / "masked/data").to_pylist()
    alone = [row for row in rows if row["source"] == "nested/small.jsonl.gz" and row["line"] == 3]
    made = list(names["rows"])
    assert alone and len(made) == len(alone)
    for row, again in zip(alone, made):
        assert all(list(again[name]) == row[name] for name in ("input_ids", "labels")), again
