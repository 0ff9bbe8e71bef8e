"""What the attacks have in common: a small scene, the tool in an environment that holds nothing else, folders compared, counts."""

import argparse
import contextlib
import dataclasses
import gzip
import hashlib
import json
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
SHARDS = HERE.parents[1] / "fixtures" / "shards"

# What the system says of an error that an attack makes.
CAUSES = re.compile(
    r"Input/output error|No space left on device|Interrupted system call|Permission denied|Too many links|Operation not supported|File too large|Not a directory"
)

# Codes that the tool may end with, by `docs/` and `--help`: done, data, usage, and those of units.
CODES = {0, 1, 2, 64, 75}


@dataclasses.dataclass
class Ran:
    """How a process of the tool ended."""

    code: int
    out: str
    err: str

    def problems(self, cause=True):
        """What no ending may show, whatever was done to the process. With `cause`, a failure names what the system said, once."""
        if "panicked" in self.err or "RUST_BACKTRACE" in self.err or "stack backtrace" in self.err:
            yield f"a panic: {self.err.strip()[:300]}"
        if self.code not in CODES:
            yield f"ended with {self.code}: {self.err.strip()[:300]}"
        elif self.code and not self.err.startswith("error: ") and "\nerror: " not in self.err:
            yield f"ended with {self.code} without a message: {self.err.strip()[:300]!r}"
        elif self.code and cause:
            named = CAUSES.findall(self.err)
            if len(named) != 1:
                yield f"names the cause {len(named)} times: {self.err.strip()[:300]}"


class Tally:
    """Counts what held and what did not."""

    def __init__(self):
        self.passed, self.failed = 0, 0

    def check(self, what, problems):
        problems = [problem for problem in problems if problem]
        if problems:
            self.failed += 1
            for problem in problems:
                print(f"failed: {what}: {problem}", flush=True)
        else:
            self.passed += 1
        return not problems

    def end(self):
        """Prints the last line. The exit code."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


class Tool:
    """The tool, with nothing in its environment but what is said."""

    def __init__(self, path, folder, **environment):
        self.path, self.folder = path, folder
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), **environment}

    def but(self, **environment):
        return Tool(self.path, self.folder, **{**self.environment, **environment})

    def start(self, *arguments):
        command = [str(self.path), *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
        )

    def run(self, *arguments, timeout=120):
        return ended(self.start(*arguments), timeout)


def ended(process, timeout=120):
    """How it ended. A process that does not is killed, and has ended with a code that none has."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return Ran(-999, out, f"still at work after {timeout} s: {err}")
    return Ran(process.returncode, out, err)


def killed(process):
    """Whether it was at work when it was killed."""
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


# --- sources ---


def write_sources(folder, seed=7, documents=60):
    """Three sources in three formats, with a few rejected lines: a shard of the fixtures, gzip and plain text."""
    folder.mkdir()
    shutil.copy(SHARDS / "nested" / "code-00000.jsonl.zst", folder / "a.jsonl.zst")
    number = random.Random(seed)
    words = "the of and to in is that for it as was with be by on not he his but at are this have from or had".split()

    def line(index):
        if index % 29 == 11:
            return '{"text": 3}\n' if index % 2 else "not JSON\n"
        return json.dumps({"text": " ".join(number.choices(words, k=number.randrange(60, 400)))}) + "\n"

    lines = [line(index) for index in range(documents)]
    with gzip.GzipFile(folder / "b.jsonl.gz", "wb", mtime=0) as file:
        file.write("".join(lines[: documents // 2]).encode())
    (folder / "c.jsonl").write_text("".join(lines[documents // 2 :]))
    return folder


# --- folders ---


def contents(folder):
    """The digest of every file below, by name; folders and links as such."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def differences(expected, found):
    """What two folders differ in, in one line each."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            yield f"`{name}` is missing"
        elif name not in expected:
            yield f"`{name}` should not be there"
        elif expected[name] != found[name]:
            yield f"`{name}` differs"


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def scratch():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ul2-prep-attack-"))
    try:
        yield folder
    finally:
        remove(folder)


def arguments(doc):
    """The command line that all attacks have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=pathlib.Path, help="the binary under attack")
    parser.add_argument("--short", action="store_true", help="a part of it, for the gate")
    args = parser.parse_args()
    args.tool = args.tool.resolve()
    return args


def compiled(folder):
    """The shim, compiled into `folder`; None where there is no C compiler or no LD_PRELOAD."""
    if sys.platform != "linux" or not shutil.which("cc"):
        return None
    library = folder / "shim.so"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, HERE / "shim.c", "-ldl"], check=True)
    return library
