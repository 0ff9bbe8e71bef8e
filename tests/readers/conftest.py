"""Which data set the reader tests read: `--data-set DIR`, else the environment variable UL2_PREP_DATA_SET.

Tests that make data sets themselves take the command from `--tool PATH`, else from UL2_PREP_TOOL.
"""

import json
import os
import tempfile
from pathlib import Path

import pytest

# Before any import of `datasets`, which reads these once: no network, and no cache outside a temporary folder.
_HOME = tempfile.TemporaryDirectory(prefix="readers-")
os.environ["HF_HOME"] = _HOME.name
for _name in ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
    os.environ[_name] = "1"


def pytest_addoption(parser):
    parser.addoption("--data-set", metavar="DIR", help="a finished output of `ul2-prep run`")
    parser.addoption("--page", metavar="FILE", help="a page of `ul2-prep stats --html`")
    parser.addoption("--screenshot", metavar="FILE", help="where to keep what the browser draws of it")
    parser.addoption("--tool", metavar="PATH", help="the command `ul2-prep`")


@pytest.fixture(scope="session")
def tool(request):
    """The command. Without one the tests fail, for the same reason."""
    name = request.config.getoption("--tool") or os.environ.get("UL2_PREP_TOOL")
    if not name:
        pytest.fail("name the command with `--tool PATH` or UL2_PREP_TOOL", pytrace=False)
    return Path(name).resolve(strict=True)


@pytest.fixture(scope="session")
def data_set(request):
    """The folder of the data set. Without one the tests fail: a skipped check would look like a passed one."""
    name = request.config.getoption("--data-set") or os.environ.get("UL2_PREP_DATA_SET")
    if not name:
        pytest.fail("name a data set with `--data-set DIR` or UL2_PREP_DATA_SET", pytrace=False)
    path = Path(name).resolve()
    if not (path / "manifest.json").is_file():
        pytest.fail(f"{path} has no manifest.json", pytrace=False)
    return path


@pytest.fixture(scope="session")
def manifest(data_set):
    return json.loads((data_set / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def files(data_set):
    """The shards, sorted by name."""
    found = sorted((data_set / "data").glob("train-*.parquet"))
    assert found, "no data/train-*.parquet"
    return found
