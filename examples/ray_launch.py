#!/usr/bin/env python3
"""Makes a planned data set on a Ray cluster: a task for each unit that is missing, which starts the tool and nothing else.

    ul2-prep plan s3://corpus/pile/ --out s3://sets/pile-ul2 --seed 7 --write
    python examples/ray_launch.py s3://sets/pile-ul2 --cpus 2

Ray finds a place for each task and repeats what failed for a while. What a unit holds, and whether it is there already, the tool knows. So whatever
ended a launch, the same command goes on. Every node needs the tool, credentials, and DIR and sources under the same names. Ends with the tool's exit
code: 0 if the data set is finished, 75 if the same command may finish it, anything else if it would fail again.
"""

import argparse
import os
import shutil
import subprocess
import sys

import ray

RETRIES = 5  # of a unit, lost workers and nodes included; the tool itself has tried each request to the store for minutes before it gives up
AGAIN = (75, 130, 143)  # exit codes of the tool after which another attempt may succeed

# What a task starts: it becomes the tool, which the kernel kills when its parent dies. A killed worker cannot do that itself, and the tool would
# go on beside the unit's next attempt: harmless for the data set, but not for the node's cores. Not a `preexec_fn`, because a worker has threads, and
# Python between fork and exec can hang there; not `setpriv --pdeathsig`, which misses a parent that died before it had asked. The kernel's "parent" is
# the thread that starts the child. Here it waits for the child, so it cannot end sooner unless its process dies.
TIED = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL)) != 0 or os.getppid() != int(sys.argv[1]):
    sys.exit("the child cannot be tied to its worker")
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"error: {error}: `{sys.argv[2]}`")
"""


class Transient(Exception):
    """Another attempt may succeed."""


@ray.remote(max_retries=RETRIES, retry_exceptions=[Transient])
def make(command):
    """The exit code of the command and what it said, if another attempt would end in the same way."""
    tied = [sys.executable, "-IS", "-c", TIED, str(os.getpid())]
    done = subprocess.run(tied + command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode in AGAIN or done.returncode < 0:
        raise Transient(f"exit code {done.returncode}: {done.stderr.strip()}")
    return done.returncode, done.stderr


def make_all(units, command, args):
    """Makes these units; ends the launch at the first that would fail again."""
    ray.init(address=args.address)
    task = make.options(num_cpus=args.cpus)
    unit_of = {task.remote([*command, "--unit", unit, "--workers", str(args.cpus)]): unit for unit in units}
    pending = list(unit_of)
    while pending:
        [done], pending = ray.wait(pending)
        try:
            code, message = ray.get(done)
        except ray.exceptions.RayError as error:
            # Out of retries. The other units may fare better; `finalize` says that this one is missing.
            print(f"unit {unit_of[done]} failed, {RETRIES} retries included: {getattr(error, 'cause', error)}", file=sys.stderr)
            continue
        if code != 0:
            # The end of this process ends the other tasks.
            print(f"unit {unit_of[done]} failed with exit code {code}", message, sep="\n", end="", file=sys.stderr)
            sys.exit(code)
        print(f"unit {unit_of[done]} is done, {len(pending)} to go", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", metavar="DIR", help="where `ul2-prep plan --write` wrote the plan: a URL, or a path that every node has")
    parser.add_argument("--tool", default="ul2-prep", help="the command, as every node finds it [%(default)s]")
    parser.add_argument("--address", help="the cluster's; without it, the one that runs here, or else this machine alone")
    parser.add_argument("--cpus", type=int, default=1, help="cores of a unit [%(default)s]")
    args = parser.parse_args()
    # Tasks run in other folders than this process.
    folder = args.dir if "://" in args.dir else os.path.abspath(args.dir)
    tool = os.path.abspath(args.tool) if os.sep in args.tool else args.tool
    if not shutil.which(tool):
        parser.error(f"there is no command `{tool}`")

    status = subprocess.run([tool, "status", folder, "--missing"], stdout=subprocess.PIPE, text=True)
    if status.returncode != 0:
        sys.exit(status.returncode)
    units = status.stdout.split()
    if units:
        make_all(units, [tool, "run", "--plan", folder, "--quiet"], args)
    sys.exit(subprocess.run([tool, "finalize", folder]).returncode)


if __name__ == "__main__":
    main()
