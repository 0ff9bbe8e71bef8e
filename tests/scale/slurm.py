#!/usr/bin/env python3
"""A data set made by a Slurm cluster of two nodes, through nodes and tasks that fail. It has to be the one that one process makes.

The cluster is started here, for these tests alone, on the loopback interface of one machine: a controller and two `slurmd`. Each of its daemons has a
keeper above it, a process that inherits whatever the daemon leaves behind. So the processes below a keeper are those of one node: a node is lost when all of
them are killed, a brain is split when `slurmd` alone is, and nothing outlives the tests.

What goes wrong in a task is the tool's fault, never the launcher's: UL2_PREP names a script that fails or waits, and then starts the tool.

Needs Debian's packages `slurm-wlm` and `munge`. Root installs them; for others, and where that fails, the tests are skipped and say so.
"""

import argparse
import contextlib
import ctypes
import hashlib
import os
import pathlib
import pwd
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "examples/slurm/submit.sh"
PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "scontrol", "sinfo"]
PACKAGES = ["slurm-wlm", "munge"]
NODES = ["n1", "n2"]
COPIES = 2  # of each fixture shard
ARRAY_SIZE = 4  # so that there are several arrays
SEED = "7"

# Nodes have more cores than the machine: a task asks for four, and two are to fit. `NoInAddrAny`: daemons listen on the loopback interface alone.
# `cred_expire` is how long a requeued task waits, two minutes unless told. `proctrack/pgid`: what a job's shell leaves behind is killed, as control
# groups do. MinJobAge: jobs that have ended stay to be asked about.
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
MpiDefault=none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=5
MessageTimeout=3
KillWait=2
MinJobAge=3600
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=8 RealMemory=16000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8 RealMemory=16000
PartitionName=main Nodes=n[1-2] Default=YES
"""


class Failure(Exception):
    pass


def check(holds, what):
    if not holds:
        raise Failure(what)


def wait_for(what, holds, seconds):
    """The first true value of `holds()`."""
    end = time.monotonic() + seconds
    while not (value := holds()):
        check(time.monotonic() < end, f"{what}: not within {seconds} s")
        time.sleep(0.2)
    return value


# --- processes ---

def below(ancestor):
    """The living processes below one, as {pid: name}."""
    parents, names = {}, {}
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # PID (NAME) STATE PARENT …, where NAME may hold anything.
            name, rest = entry.read_text().split("(", 1)[1].rsplit(")", 1)
            state, parent = rest.split()[:2]
            pid = int(entry.parent.name)
            parents[pid] = int(parent)
            if state != "Z":
                names[pid] = name
    found, reached = {}, {ancestor}
    while reached:
        reached = {pid for pid, parent in parents.items() if parent in reached}
        found.update((pid, names[pid]) for pid in reached if pid in names)
    return found


def kill_all_below_this():
    with contextlib.suppress(ChildProcessError):
        while True:
            for pid in below(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass  # one that has ended
            time.sleep(0.01)


class Keeper:
    """A daemon and all that descends from it, whoever dies in between. They end when this process does, however it ends."""

    def __init__(self, command, env, log):
        set_option = ctypes.CDLL(None).prctl
        self.pid = os.fork()
        if self.pid:
            return
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda *_: (kill_all_below_this(), os._exit(0)))
            set_option(36, 1)  # PR_SET_CHILD_SUBREAPER
            set_option(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
            with open(log, "ab") as out:
                subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            while True:
                os.wait()
        except ChildProcessError:
            pass  # nothing is left
        finally:
            os._exit(0)

    def below(self):
        return below(self.pid)

    def kill(self):
        """Ends all at once, as a power cut does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)


# --- the cluster ---

def installed():
    return all(shutil.which(program) for program in PROGRAMS)


def install():
    """Whether Slurm is there, or could be installed."""
    if not installed() and os.getuid() == 0 and shutil.which("apt-get"):
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
            subprocess.run(["apt-get", "-qq", *arguments], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return installed()


def free_ports(count):
    """Below those that the system gives to connections, which might take one before its daemon does."""
    ports = set()
    while len(ports) < count:
        port = random.randrange(20_000, 30_000)
        with contextlib.suppress(OSError), socket.socket() as tried:
            tried.bind(("127.0.0.1", port))
            ports.add(port)
    return sorted(ports)


class Cluster:
    def __init__(self, folder):
        self.folder, self.keepers = folder, {}
        self.env = dict(os.environ, SLURM_CONF=str(folder / "slurm.conf"))
        # Nothing of a job that this may be started from.
        for name in [name for name in self.env if name.startswith(("SLURM_", "SBATCH_")) and name != "SLURM_CONF"]:
            del self.env[name]

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in list(self.keepers):
            self.keepers.pop(name).kill()

    def start(self):
        for name in ["state", "log", *(f"spool-{node}" for node in NODES)]:
            (self.folder / name).mkdir()
        # munged wants a key that its owner alone reads, and a socket that all can reach.
        for above in [self.folder, self.folder.parent]:
            above.chmod(0o755)
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        host = socket.gethostname().split(".")[0]
        user = pwd.getpwuid(os.getuid()).pw_name
        config = CONFIG.format(folder=self.folder, host=host, user=user, ports=free_ports(1 + len(NODES)))
        (self.folder / "slurm.conf").write_text(config)
        at = str(self.folder / "munge")
        self.keep("munged", ["munged", "--foreground", f"--socket={at}.socket", f"--key-file={key}", f"--pid-file={at}.pid", f"--seed-file={at}.seed",
                             f"--log-file={self.folder}/log/munged.log"])
        wait_for("munged listens", (self.folder / "munge.socket").exists, 20)
        self.keep("slurmctld", ["slurmctld", "-D"])
        for node in NODES:
            self.start_node(node)

    def keep(self, name, command):
        self.keepers[name] = Keeper(command, self.env, self.folder / f"log/{name}.out")

    def start_node(self, node):
        self.keep(node, ["slurmd", "-D", "-N", node])
        wait_for(f"{node} is idle", lambda: self.ask("sinfo", "--noheader", "--nodes", node, "--format=%t").strip() == "idle", 60)

    def lose_node(self, node):
        self.keepers.pop(node).kill()

    def kill_daemon(self, node):
        """The node's jobs go on, and the controller takes the node for lost."""
        daemon = min(pid for pid, name in self.keepers[node].below().items() if name == "slurmd")
        os.kill(daemon, signal.SIGKILL)

    def processes(self, node):
        """Those of jobs."""
        return {pid: name for pid, name in self.keepers[node].below().items() if name != "slurmd"}

    def ask(self, *command):
        done = subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    def jobs(self):
        """What Slurm says of each job and task. Tasks that were not started yet are one job together."""
        lines = self.ask("scontrol", "show", "job", "--oneliner").splitlines()
        return [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines if line.startswith("JobId=")]


# --- the data sets ---

INPUTS = ".ul2-prep/inputs.json"  # where the sources were when the plan was written


def files_of(folder):
    digests = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}
    return {name: digest for name, digest in digests.items() if name != INPUTS}


def indices_of(expression):
    """Of Slurm's `0,2-4`."""
    ranges = [[int(end) for end in part.split("-")] for part in expression.split(",")]
    return [index for ends in ranges for index in range(ends[0], ends[-1] + 1)]


class Scene:
    """A data set of the cluster, from its plan on."""

    def __init__(self, tests, name):
        self.tests, self.name = tests, name
        self.folder = tests.folder / name
        self.folder.mkdir()
        self.out = self.folder / "set"
        tests.tool("plan", tests.sources, "--out", self.out, "--seed", SEED, "--write")

    def faulty(self, script):
        """A command that is the tool, but runs a script first in each task, and writes down when that begins and how all ended."""
        path = self.folder / "tool"
        path.write_text(f"""#!/bin/bash
tool={shlex.quote(str(self.tests.path))}
folder={shlex.quote(str(self.folder))}
[ "$1" = run ] || exec "$tool" "$@"
unit=$SLURM_ARRAY_TASK_ID node=$SLURMD_NODENAME attempt=${{SLURM_RESTART_COUNT:-0}}
echo "$unit $node $attempt $$" >> "$folder/begun"
trap 'echo "$unit $node $attempt $?" >> "$folder/ended"' EXIT
wait_for() {{ until [ -e "$folder/$1" ]; do sleep 0.1; done; }}
{script}
"$tool" "$@"
""")
        path.chmod(0o755)
        return path

    def begun(self):
        """(unit, node, attempt, pid) of each attempt."""
        return self.noted("begun")

    def ended(self):
        """(unit, node, attempt, exit code) of each attempt that was not killed."""
        return self.noted("ended")

    def noted(self, name):
        lines = (self.folder / name).read_text().splitlines() if (self.folder / name).exists() else []
        return sorted((int(unit), node, int(attempt), int(number)) for unit, node, attempt, number in map(str.split, lines))

    def open(self, *gates):
        for gate in gates:
            (self.folder / gate).touch()

    def submit(self, tool=None, size=1001):
        """Submits what is missing. The units of each array, and the job that finalizes."""
        env = dict(self.tests.cluster.env, UL2_PREP=str(tool or self.tests.path))
        done = subprocess.run([LAUNCH, self.out, str(size)], cwd=self.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        check(done.returncode == 0, f"submit.sh ended with {done.returncode}:\n{done.stdout}")
        arrays = re.findall(r"^job (\d+): units (\d+) \+ (\S+)$", done.stdout, re.MULTILINE)
        [job] = re.findall(r"^job (\d+): finalize$", done.stdout, re.MULTILINE)
        self.arrays = [array for array, _, _ in arrays]
        return [[int(offset) + index for index in indices_of(expression)] for _, offset, expression in arrays], job

    def finalized(self, job, exit_code="0:0", seconds=120):
        def ended():
            [found] = [each for each in self.tests.cluster.jobs() if each["JobId"] == job]
            return found["JobState"] in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL") and found
        found = wait_for(f"job {job} has ended", ended, seconds)
        check(found["ExitCode"] == exit_code, f"the job that finalizes ended as {found['JobState']} with {found['ExitCode']} instead of {exit_code}")

    def is_the_whole(self):
        """No process is left of the jobs, and the data set is the one of one process."""
        for node in NODES:
            wait_for(f"no process of a job is left on {node}", lambda node=node: not self.tests.cluster.processes(node), 20)
        made, whole = files_of(self.out), self.tests.whole
        check(made.get("manifest.json") == whole["manifest.json"], "manifest.json is not the one of one process")
        differ = sorted(name for name in made.keys() | whole.keys() if made.get(name) != whole.get(name))
        check(not differ, f"other files than those of one process: {', '.join(differ)}")
        self.tests.tool("verify", self.out)


class Tests:
    def __init__(self, tool, folder, cluster):
        self.path, self.folder, self.cluster = tool, folder, cluster
        # Each source is a unit, here and in all jobs.
        cluster.env["UL2_PREP_UNIT_BYTES"] = "1"
        self.sources = folder / "sources"
        self.sources.mkdir()
        shards = sorted(path for path in (ROOT / "fixtures/shards").rglob("*") if path.is_file())
        self.units = COPIES * len(shards)
        for copy in range(COPIES):
            for shard in shards:
                shutil.copy(shard, self.sources / f"{copy}-{shard.name}")
        self.tool("run", self.sources, "--out", folder / "whole", "--seed", SEED, "--quiet")
        self.whole = files_of(folder / "whole")

    def tool(self, *arguments):
        command = [self.path, *map(str, arguments)]
        done = subprocess.run(command, env=self.cluster.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        check(done.returncode == 0, f"`{' '.join(map(str, command))}` ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    # --- what may happen ---

    def arrays(self):
        scene = Scene(self, "arrays")
        self.tool("run", "--plan", scene.out, "--unit", 5, "--quiet")
        submitted, job = scene.submit(size=ARRAY_SIZE)
        missing = [[unit for unit in range(first, min(first + ARRAY_SIZE, self.units)) if unit != 5] for first in range(0, self.units, ARRAY_SIZE)]
        check(submitted == missing, f"{self.units} units but unit 5 are missing, and submitted are {submitted}")
        scene.finalized(job)
        scene.is_the_whole()
        yield f"{self.units} units in {len(submitted)} arrays, one of them done before and left out, then a job that finalizes"
        submitted, job = scene.submit()
        check(not submitted, f"submitted again: {submitted}")
        scene.finalized(job)
        scene.is_the_whole()
        yield "submitted again, a finished data set costs one job that changes nothing"

    def failing_tasks(self):
        scene = Scene(self, "failing_tasks")
        # One of the two is the task whose job id is the array's too: whoever requeues by that id requeues all.
        tool = scene.faulty("""\
[ "$attempt" = 0 ] && { [ "$SLURM_JOB_ID" = "$SLURM_ARRAY_JOB_ID" ] || [ "$unit" = 1 ]; } && exit 75
[ "$unit" = 2 ] && exit 64""")
        _, job = scene.submit(tool)
        scene.finalized(job, "75:0")
        again = [unit for unit, _, attempt, _ in scene.begun() if attempt > 0]
        check(again == [1, self.units - 1], f"tasks 1 and {self.units - 1} exit with 75, requeued are {again}")
        check(len(scene.begun()) == self.units + 2, f"not {self.units + 2} attempts: {scene.begun()}")
        yield "tasks that exit with 75 are requeued, no other is, and finalize waits for them"
        submitted, job = scene.submit()
        check(submitted == [[2]], f"unit 2 failed, but submitted are {submitted}")
        scene.finalized(job)
        scene.is_the_whole()
        yield "a task that exits with 64 is not, finalize says so with 75, and the same command submits that unit alone and finishes the data set"

    def cancelled(self):
        scene = Scene(self, "cancelled")
        # It takes a moment to stop, and is not killed meanwhile.
        tool = scene.faulty("""trap 'sleep 0.5; exit 143' TERM; wait_for never""")
        _, job = scene.submit(tool)
        wait_for("four tasks are at work", lambda: len(scene.begun()) == 4, 60)
        self.cluster.ask("scancel", *scene.arrays)
        scene.finalized(job, "75:0")
        codes = [code for _, _, _, code in scene.ended()]
        check(codes == [143] * len(scene.begun()), f"{len(scene.begun())} tools were told to stop, and ended with {codes}")
        _, job = scene.submit()
        scene.finalized(job)
        scene.is_the_whole()
        yield "an array is cancelled: the tools at work stop by themselves, and the same command resumes"

    def lost_node(self):
        scene = Scene(self, "lost_node")
        # What the first attempts on n2 come to: the step after the shard has its name, before a record says so.
        tool = scene.faulty("""\
[ "$node" = n2 ] && { UL2_PREP_FAULT=abort:7 "$tool" "$@"; echo > "$folder/cut-$unit"; wait_for never; }""")
        _, job = scene.submit(tool)
        lost = self.at_work(scene, "n2")
        wait_for("both were cut off", lambda: all((scene.folder / f"cut-{unit}").exists() for unit in lost), 60)
        for unit in lost:
            found = [name for name in files_of(scene.out) if f"{unit:05}-00000" in name]
            check(found == [f"data/train-{unit:05}-00000.parquet"], f"unit {unit} is not half made: {found}")
        self.cluster.lose_node("n2")
        scene.finalized(job)
        again = [unit for unit, node, attempt, _ in scene.begun() if (node, attempt) == ("n1", 1)]
        check(again == lost, f"n2 had {lost}, started again were {again}")
        self.cluster.start_node("n2")
        scene.is_the_whole()
        yield "a node is killed with two units half made: both are made on the other one"

    def split_brain(self):
        scene = Scene(self, "split_brain")
        tool = scene.faulty("""[ "$node" = n2 ] || [ "$attempt" -gt 0 ] && wait_for "$unit-$node" """)
        _, job = scene.submit(tool)
        first, second = self.at_work(scene, "n2")
        self.cluster.kill_daemon("n2")
        # n1 does all that n2 does not, and then what n2 does.
        wait_for("both run on n1 as well", lambda: sum(attempt for _, _, attempt, _ in scene.begun()) == 2, 120)
        at_work = [(unit, node) for unit, node, _, pid in scene.begun() if pathlib.Path(f"/proc/{pid}").exists()]
        check(at_work == [(first, "n1"), (first, "n2"), (second, "n1"), (second, "n2")], f"at work are {at_work}")
        scene.open(f"{first}-n1", f"{first}-n2", f"{second}-n1")
        scene.finalized(job)
        scene.open(f"{second}-n2")
        scene.is_the_whole()
        codes = {(unit, node): code for unit, node, _, code in scene.ended() if unit in (first, second)}
        check(len(codes) == 4 and not any(codes.values()), f"the four attempts ended with {codes}")
        self.cluster.lose_node("n2")
        self.cluster.start_node("n2")
        yield "a node loses its daemon, not its jobs: two attempts at a unit run beside each other, one ends after finalize, and all succeed"

    @staticmethod
    def at_work(scene, node):
        """The two units that a node has begun."""
        def units():
            return [unit for unit, at, _, _ in scene.begun() if at == node]
        return wait_for(f"two tasks are at work on {node}", lambda: len(units()) == 2 and units(), 60)


# --- all together ---

def show_logs(folder):
    """The ends of what the daemons and the jobs wrote."""
    logs = [*sorted((folder / "cluster/log").glob("*.out")), *sorted(folder.glob("*/*.log"))]
    for log in logs:
        lines = log.read_text(errors="replace").splitlines()[-15:]
        print(f"--- {log.relative_to(folder)}", *lines, sep="\n", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=pathlib.Path)
    parser.add_argument("--short", action="store_true", help="tasks that fail, but no nodes")
    args = parser.parse_args()
    # An exception, so that all ends as it should.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Debian's daemons lie where not every user looks.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if not install():
        print(f"skipped: Slurm (needs {' and '.join(PACKAGES)}, which cannot be installed here)")
        return
    with tempfile.TemporaryDirectory(prefix="ul2-prep-slurm-") as folder:
        folder = pathlib.Path(folder)
        (folder / "cluster").mkdir()
        try:
            with Cluster(folder / "cluster") as cluster:
                tests = Tests(args.tool.resolve(strict=True), folder, cluster)
                for scenario in [tests.arrays, tests.failing_tasks, tests.cancelled, *([] if args.short else [tests.lost_node, tests.split_brain])]:
                    begin = time.monotonic()
                    for proven in scenario():
                        print(f"ok: {proven} ({time.monotonic() - begin:.0f} s)", flush=True)
        except (Failure, subprocess.TimeoutExpired, OSError) as error:
            show_logs(folder)
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
