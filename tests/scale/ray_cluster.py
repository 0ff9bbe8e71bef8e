"""examples/ray_launch.py on a Ray cluster of three nodes, all of them on this machine, and what goes wrong on such a cluster.

    python tests/scale/ray_cluster.py --tool target/ci/ul2-prep [--short]

This Python needs what ray-requirements.txt names; without Ray the test says that it is skipped. `--short` leaves out one node and what is killed.
After each launch the data set must be the one that `ul2-prep run` makes in one process, and no process of the launch may be left.
"""

import argparse
import contextlib
import hashlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LAUNCHER = REPOSITORY / "examples" / "ray_launch.py"
ADDRESS = "127.0.0.2"  # 127.0.0.1 will not do: Ray takes the address of a network card for it, and then waits for minutes
COPIES = 3  # of the fixtures' shards, under other names
UNIT_BYTES = "70000"  # most of the fixtures' shards are larger, so that there are ten units or so
PATIENCE = 180  # seconds for a launch

# What the launcher takes for the tool: it writes down who begins which unit, lets the first attempt at one unit fail if it was told to, or go wrong
# inside the tool (docs/internals/testing.md), takes its time, and becomes the tool. It is one process, as the tool is: only that one is tied to the worker.
WRAPPER = """#!{python} -IS
import os, sys, time
if "--unit" in sys.argv:
    unit = sys.argv[sys.argv.index("--unit") + 1]
    with open({attempts!r}, "a+") as file:
        file.write(f"{{unit}} {{os.getpid()}} {{os.getppid()}}\\n")
        file.seek(0)
        first = sum(line.split()[0] == unit for line in file) == 1
    if unit == "{failing}" and first:
        if not {code}:
            os.environ["UL2_PREP_FAULT"] = "abort:6"
        else:
            print("error: failed on purpose", file=sys.stderr)
            sys.exit({code})
    time.sleep({seconds})
os.execv({tool!r}, [{tool!r}, *sys.argv[1:]])
"""


class Failed(Exception):
    """A statement that does not hold."""


def ok(statement, since):
    print(f"ok: {statement} ({time.monotonic() - since:.1f} s)", flush=True)


def must(holds, statement):
    if not holds:
        raise Failed(statement)


def wait_for(found, seconds, what):
    """What `found` returns, as soon as that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.05)
    raise Failed(f"waited {seconds} s for {what}")


def alive(pid):
    """Whether there is such a process. One that has ended and that nobody has asked about is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def processes(path):
    """The processes that have this path in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(path).encode() in (entry / "cmdline").read_bytes() and alive(entry.name):
                found.append(int(entry.name))
    return found


def tail(path, lines=15):
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


class Test:
    """A cluster, sources and the data set that one process makes of them."""

    def __init__(self, tool, scratch):
        self.tool, self.scratch, self.cluster = str(tool), scratch, None
        self.sources = scratch / "sources"
        for copy in range(COPIES):
            shutil.copytree(REPOSITORY / "fixtures" / "shards", self.sources / f"copy-{copy}")
        self.settings = [str(self.sources), "--seed", "7"]
        self.run("run", *self.settings, "--out", str(scratch / "one-process"), "--quiet")
        self.expected = self.digest("one-process")

    def run(self, *arguments):
        done = subprocess.run([self.tool, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        must(done.returncode == 0, f"`ul2-prep {' '.join(arguments)}` ended with exit code {done.returncode}:\n{done.stdout}")
        return done.stdout

    def digest(self, name):
        return hashlib.sha256((self.scratch / name / "manifest.json").read_bytes()).hexdigest()

    def start(self, nodes):
        """A head without cores, and the other nodes, two tasks each."""
        import ray.cluster_utils

        begin = time.monotonic()
        common = {"node_ip_address": ADDRESS, "object_store_memory": 80 << 20, "include_dashboard": False}
        self.cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **common})
        self.nodes = [self.cluster.add_node(num_cpus=2, **common) for _ in range(nodes - 1)]
        ok(f"a cluster of {nodes} nodes, Ray {ray.__version__}", begin)

    def launch(self, name, seconds=0, failing=None, code=0, disturb=None, expect=0):
        """Plans, launches, disturbs meanwhile. The units that were begun, an entry for each attempt, and what the launcher said.

        The first attempt at the unit `failing` ends with `code`; if that is 0, the tool aborts.
        """
        folder, attempts, wrapper, log = (self.scratch / f"{name}{ending}" for ending in ("", ".attempts", ".tool", ".log"))
        self.run("plan", *self.settings, "--out", str(folder), "--write")
        attempts.touch()
        text = WRAPPER.format(python=sys.executable, attempts=str(attempts), failing=failing, code=code, seconds=seconds, tool=self.tool)
        wrapper.write_text(text)
        wrapper.chmod(0o755)
        command = [sys.executable, str(LAUNCHER), str(folder), "--tool", str(wrapper), "--address", self.cluster.address]
        with log.open("w") as file:
            launcher = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        try:
            if disturb:
                disturb(lambda: [tuple(map(int, line.split())) for line in attempts.read_text().splitlines()])
            ended = launcher.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"the launcher has not ended after {PATIENCE} s") from error
        finally:
            launcher.kill()
            launcher.wait()
        must(ended == expect, f"the launcher ended with exit code {ended} instead of {expect}")
        # The launcher's end ends tasks that still run, but it does not wait for them.
        wait_for(lambda: not processes(folder), 10 if expect else 1, "the processes of the launch to be gone")
        begun = [int(line.split()[0]) for line in attempts.read_text().splitlines()]
        return folder, begun, log.read_text()

    def same(self, folder):
        """The data set is the one of one process, and sound."""
        must(self.digest(folder.name) == self.expected, "manifest.json is another than that of one process")
        must((folder / "_SUCCESS").is_file(), "_SUCCESS is missing")
        self.run("verify", str(folder))

    # --- what is proven ---

    def a_launch(self):
        begin = time.monotonic()
        folder, begun, _ = self.launch("plain")
        must(len(begun) >= 8, f"only {len(begun)} units")
        must(sorted(begun) == list(range(len(begun))), f"units were begun otherwise than once each: {begun}")
        self.same(folder)
        ok(f"a launch of {len(begun)} units makes the data set of one process", begin)

        begin = time.monotonic()
        folder, begun, said = self.launch("plain")
        must("to go" not in said, f"a second launch did something:\n{said}")
        self.same(folder)
        ok("a second launch finds nothing to do", begin)

    def a_transient_failure(self):
        begin = time.monotonic()
        folder, begun, _ = self.launch("transient", failing=1, code=75)
        must(begun.count(1) == 2, f"unit 1 was begun {begun.count(1)} times")
        self.same(folder)
        ok("a unit that fails once with exit code 75 is made by a second attempt", begin)

    def a_crash(self):
        begin = time.monotonic()
        folder, begun, _ = self.launch("crash", failing=1)
        must(begun.count(1) == 2, f"unit 1 was begun {begun.count(1)} times")
        self.same(folder)
        ok("a tool that aborts between a shard and its record is started again", begin)

    def a_permanent_failure(self):
        begin = time.monotonic()
        _, begun, said = self.launch("permanent", seconds=1, failing=1, code=64, expect=64)
        must(begun.count(1) == 1, f"unit 1 was begun {begun.count(1)} times")
        must("unit 1 failed with exit code 64\nerror: failed on purpose\n" in said, f"the launcher says otherwise:\n{said}")
        ok("exit code 64 ends the launch, with what the tool said, and all tasks with it", begin)

    def a_killed_worker(self):
        def disturb(attempts):
            self.victim, child, worker = wait_for(attempts, PATIENCE, "the first task")[0]
            os.kill(worker, signal.SIGKILL)
            time.sleep(1)
            must(not alive(child), "the child of a killed worker is alive a second later")

        begin = time.monotonic()
        folder, begun, _ = self.launch("worker", seconds=4, disturb=disturb)
        must(begun.count(self.victim) == 2, f"unit {self.victim} was begun {begun.count(self.victim)} times")
        self.same(folder)
        ok("a worker is killed: its child is gone a second later, another worker makes the unit", begin)

    def a_killed_node(self):
        def disturb(attempts):
            raylet = self.nodes[-1].all_processes["raylet"][0].process.pid
            here = wait_for(lambda: [one for one in attempts() if parent(one[2]) == raylet], PATIENCE, "a task on the last node")
            self.victim, child, _ = here[0]
            killed = time.monotonic()
            self.cluster.remove_node(self.nodes.pop(), allow_graceful=False)
            wait_for(lambda: not alive(child), 10, "the killed node's child to be gone")
            self.gone = time.monotonic() - killed

        begin = time.monotonic()
        folder, begun, _ = self.launch("node", seconds=4, disturb=disturb)
        must(begun.count(self.victim) == 2, f"unit {self.victim} was begun {begun.count(self.victim)} times")
        self.same(folder)
        ok(f"a node is killed: its child is gone after {self.gone:.1f} s, the other node makes the unit", begin)

    def show(self):
        """The ends of all logs."""
        logs = [*self.scratch.glob("*.log"), *self.scratch.glob("*.attempts"), *self.scratch.glob("ray/session_latest/logs/*.err")]
        logs += self.scratch.glob("ray/session_latest/logs/raylet*.out")
        for log in sorted(logs):
            if text := tail(log):
                print(f"--- {log.relative_to(self.scratch)}\n{text}", file=sys.stderr)

    def stop(self):
        if self.cluster:
            self.cluster.shutdown()
        for pid in processes(self.scratch):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=Path)
    parser.add_argument("--short", action="store_true")
    args = parser.parse_args()
    if not importlib.util.find_spec("ray"):
        print("skipped: Ray is not installed in this Python")
        return 0

    # So that `finally` runs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begin = time.monotonic()
    # A short name: Ray makes sockets below it, and names of sockets end at 107 bytes.
    scratch = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    # Some of Ray's ports listen at all addresses of the machine, so it asks for a token that nobody else has. All this is read when Ray is imported.
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_TMPDIR=str(scratch), RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    # What a dead worker leaves, Ray ends only in some versions and settings; the launcher must not need that.
    os.environ.update(RAY_process_group_cleanup_enabled="0", UL2_PREP_UNIT_BYTES=UNIT_BYTES)
    test = None
    try:
        test = Test(args.tool.resolve(strict=True), scratch)
        test.start(nodes=2 if args.short else 3)
        test.a_launch()
        test.a_transient_failure()
        test.a_crash()
        test.a_permanent_failure()
        if not args.short:
            test.a_killed_worker()
            test.a_killed_node()
    except Exception as error:
        print(f"failed: {error}", file=sys.stderr)
        if test:
            test.show()
        if not isinstance(error, Failed):
            raise
        return 1
    finally:
        if test:
            test.stop()
        shutil.rmtree(scratch, ignore_errors=True)
    ok("all of it", begin)
    return 0


if __name__ == "__main__":
    sys.exit(main())
