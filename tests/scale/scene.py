"""What the tests of stores have in common: the tool, sources of fixed bytes, files and objects compared, and a tidy end."""

import argparse
import contextlib
import dataclasses
import difflib
import gzip
import hashlib
import http.server
import json
import pathlib
import queue
import random
import re
import shutil
import signal
import string
import subprocess
import sys
import tempfile
import threading
import time

SHARDS = pathlib.Path(__file__).parents[2] / "fixtures" / "shards"
MIB = 1 << 20

# Of `.ul2-prep/` and its digests: what follows from where the sources are. Everything else has to be equal.
COMMITS = re.compile(r"\.ul2-prep/commits/\d+-\d+\.json")


class Failed(Exception):
    """Something is not as the contract says."""


def assert_that(condition, what):
    if not condition:
        raise Failed(what)


def ok(what):
    print(f"ok: {what}", flush=True)


# --- the tool ---


@dataclasses.dataclass
class Ran:
    command: str
    code: int
    out: str
    err: str
    seconds: float

    def __str__(self):
        said = "".join(f"\n    {line}" for line in (self.out + self.err).strip().splitlines()[-12:])
        return f"`{self.command}` ended with {self.code} after {self.seconds:.1f} s:{said}"


class Started:
    """A process of the tool that is at work."""

    def __init__(self, process, command):
        self.process, self.command, self.begin = process, command, time.monotonic()

    def ended(self, expected=0, timeout=400):
        """How it ended; anything but `expected` (None: any code) is a failure."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            ran = Ran(self.command, self.process.returncode, out, err, time.monotonic() - self.begin)
            raise Failed(f"still at work after {timeout} s: {ran}") from None
        ran = Ran(self.command, self.process.returncode, out, err, time.monotonic() - self.begin)
        assert_that(expected is None or ran.code == expected, f"{expected} expected, but {ran}")
        return ran

    def kill(self):
        """Whether it was still at work."""
        self.process.kill()
        self.process.communicate()
        return self.process.returncode == -signal.SIGKILL


class Tool:
    """The tool in an environment that holds nothing else than what is said."""

    everything = []
    is_over = False

    def __init__(self, path, folder, **environment):
        self.path, self.folder = path, folder
        self.temporary = folder / "temporary"
        self.temporary.mkdir(exist_ok=True)
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(self.temporary), **environment}

    def but(self, **environment):
        """The same with other settings; None is none."""
        merged = {**self.environment, **environment}
        return Tool(self.path, self.folder, **{name: value for name, value in merged.items() if value is not None})

    def start(self, *arguments):
        assert_that(not Tool.is_over, "the test is over")
        command = [str(self.path), *map(str, arguments)]
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        Tool.everything.append(process)
        return Started(process, " ".join(["ul2-prep", *map(str, arguments)]))

    def run(self, *arguments, expected=0, timeout=400):
        return self.start(*arguments).ended(expected, timeout)

    @classmethod
    def end_all(cls):
        cls.is_over = True
        for process in cls.everything:
            if process.poll() is None:
                process.kill()
                process.wait()


def main(doc, what, installed, unavailable, prove):
    """The command line of a test of one store: skipped where its server cannot be had, 1 if it does not hold."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=pathlib.Path)
    args = parser.parse_args()
    args.tool = args.tool.resolve()
    try:
        args.server = installed()
    except unavailable as error:
        print(f"skipped: {what} ({error})")
        return 0
    scratch, ends = pathlib.Path(tempfile.mkdtemp(prefix="ul2-prep-store-")), []
    with tidy(scratch, ends):
        try:
            prove(args, scratch, ends)
        except (Failed, OSError) as failure:
            print(f"failed: {failure}", flush=True)
            return 1
    return 0


def made_by_many(tool, sources, out, options, attempts, finalizers):
    """Unit 0 of a new plan, its only one, made by so many processes at once; then so many finalize at once."""
    tool.run("plan", sources, "--out", out, *options, "--write")
    runs = [tool.start("run", "--plan", out, "--unit", "0", "--workers", "1", "--max-rejects", "10", "--quiet") for _ in range(attempts)]
    for run in runs:
        run.ended()
    together([lambda: tool.run("finalize", out)] * finalizers)


def together(tasks, at_once=4):
    """Calls all of them, so many at once; what they gave, in order. The first failure is raised when all have ended."""
    results, failures, waiting = [None] * len(tasks), [], queue.SimpleQueue()
    for number, task in enumerate(tasks):
        waiting.put((number, task))

    def work():
        with contextlib.suppress(queue.Empty):
            while True:
                number, task = waiting.get_nowait()
                try:
                    results[number] = task()
                except Exception as failure:
                    failures.append(failure)

    # Not those of `concurrent.futures`, for which Python waits at its end, whatever happened.
    workers = [threading.Thread(target=work, daemon=True) for _ in range(min(at_once, len(tasks)))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise Failed("\n".join(str(failure) if isinstance(failure, Failed) else repr(failure) for failure in failures))
    return results


# --- sources ---


class Words:
    """Lines of random words, the same for the same seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        letters = string.ascii_letters + string.digits
        self.words = ["".join(self.random.choices(letters, k=self.random.randint(2, 11))) for _ in range(20_000)]

    def lines(self, size):
        """At least `size` bytes."""
        made = []
        while size > 0:
            text = " ".join(self.random.choices(self.words, k=self.random.randint(20, 900)))
            made.append(json.dumps({"text": text}).encode() + b"\n")
            size -= len(made[-1])
        return b"".join(made)


def core_sources():
    """By name: one source that gives a shard of two parts (two batches, 15 MB) and one in a single request, and two small ones."""
    words = Words(11)
    return {
        "large.jsonl": words.lines(17 * MIB),
        "nested/small.jsonl.gz": (SHARDS / "nested" / "small.jsonl.gz").read_bytes(),
        "small.jsonl.zst": (SHARDS / "english-00000.jsonl.zst").read_bytes(),
    }


def whole_sources():
    """By name: plain, gzip and Zstandard, in sub folders, with rejects, and a name that has to be escaped in a URL. And what is no source."""
    words = Words(12)
    sources = {path.relative_to(SHARDS).as_posix(): path.read_bytes() for path in SHARDS.rglob("*.jsonl.*")}
    sources["large.jsonl"] = words.lines(26 * MIB)
    sources["sub/middle.jsonl.gz"] = gzip.compress(words.lines(2 * MIB), 1, mtime=0)
    sources["sub/deep/a b+ü%41&#.jsonl"] = words.lines(100_000) + b'{"text": 3}\nno JSON\n' + words.lines(50_000)
    others = {
        ".hidden.jsonl": words.lines(1000),
        "sub/.hidden/inner.jsonl": words.lines(1000),
        "sub/notes.txt": b"no source\n",
    }
    return sources, others


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


# --- what was made ---


def files_of(folder):
    """All files of a data set on the disk, by their paths in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def digest(content):
    return hashlib.sha256(content).hexdigest()


def records_of(files):
    return sorted(name for name in files if COMMITS.fullmatch(name))


def assert_same(found, expected, what):
    """The same files with the same bytes."""
    missing, more = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    assert_that(not missing and not more, f"{what}: missing {missing}, more than expected {more}")
    other = [name for name in sorted(expected) if found[name] != expected[name]]
    assert_that(not other, f"{what}: {describe_difference(found, expected, other)}")


def describe_difference(found, expected, names):
    lines = [f"other bytes in {names}"]
    for name in names[:2]:
        if not name.endswith(".parquet"):
            pair = [content.decode(errors="replace").splitlines() for content in (expected[name], found[name])]
            lines += list(difflib.unified_diff(*pair, "expected", "found", lineterm="", n=1))[:30]
    return "\n    ".join(lines)


# What only says where sources and tokenizer were.
INPUTS = ".ul2-prep/inputs.json"


def assert_same_rows(found, expected, what):
    """The same bytes, but for what the plan brings: tags of sources, its own fingerprint in the records, and the digests of these files."""
    differs = [".ul2-prep/plan.json", INPUTS, "SHA256SUMS", *records_of(expected)]
    for files in (found, expected):
        assert_that(".ul2-prep/plan.json" in files, f"{what}: no plan in {sorted(files)}")
    assert_same(*({name: content for name, content in files.items() if name not in differs} for files in (found, expected)), what)
    assert_that(records_of(found) == records_of(expected), f"{what}: records {records_of(found)} instead of {records_of(expected)}")

    def plan(files):
        plan = json.loads(files[".ul2-prep/plan.json"])
        plan["sources"] = [{name: source[name] for name in ("bytes", "name")} for source in plan["sources"]]
        return plan

    assert_that(plan(found) == plan(expected), f"{what}: the plans differ in more than the tags of sources")
    for name in records_of(expected):
        # The record's bytes with the other plan's fingerprint in them.
        fingerprints = [json.loads(files[name])["plan"].encode() for files in (found, expected)]
        assert_that(found[name].replace(*fingerprints) == expected[name], f"{what}: {name} differs in more than the plan's fingerprint")

    def sums(files):
        lines = (line.split("  ", 1) for line in files["SHA256SUMS"].decode().splitlines())
        return {name: value for value, name in lines}

    mine, theirs = sums(found), sums(expected)
    assert_that(mine.keys() == theirs.keys(), f"{what}: SHA256SUMS names {sorted(mine.keys() ^ theirs.keys())} on one side alone")
    for name, value in mine.items():
        assert_that(digest(found[name]) == value, f"{what}: SHA256SUMS has another digest of {name}")


def assert_same_but_inputs(found, expected, what):
    """The same bytes, whether or not it is written down where sources and tokenizer were."""
    assert_same(*({name: content for name, content in files.items() if name != INPUTS} for files in (found, expected)), what)


# --- a web server ---


class WebServer:
    """Files over HTTP, by ranges and with tags, on the loopback interface."""

    def __init__(self, files):
        self.files = files
        self.asked = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer(body=True)

            def answer(self, body):
                content = web.files.get(self.path.lstrip("/"))
                wanted = self.headers.get("range")
                web.asked.append((self.command, self.path, wanted))
                if content is None:
                    return self.reply(404, b"", {}, body)
                tag = f'"{digest(content)[:16]}"'
                if self.headers.get("if-match", tag) != tag:
                    return self.reply(412, b"", {}, body)
                headers = {"etag": tag, "accept-ranges": "bytes", "last-modified": "Sun, 01 Nov 2026 10:00:00 GMT"}
                if span := re.fullmatch(r"bytes=(\d+)-(\d*)", wanted or ""):
                    begin, end = int(span[1]), min(int(span[2] or len(content)), len(content) - 1)
                    headers["content-range"] = f"bytes {begin}-{end}/{len(content)}"
                    return self.reply(206, content[begin : end + 1], headers, body)
                return self.reply(200, content, headers, body)

            def reply(self, status, content, headers, body):
                self.send_response(status)
                for name, value in {**headers, "content-length": len(content)}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                if body:
                    self.wfile.write(content)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


# --- the end ---


@contextlib.contextmanager
def tidy(folder, ends):
    """Whatever happens in it: all that `ends` holds is called, in the other order, the tool's processes are killed, the folder is removed."""

    def interrupted(number, _frame):
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        yield
    finally:
        Tool.end_all()
        for end in reversed(ends):
            end()
        # What a thread has started meanwhile.
        Tool.end_all()
        shutil.rmtree(folder, ignore_errors=True)
