#!/usr/bin/env python3
"""Forged files in a data set: what is not a plain file, what is damaged at random with the right digests, what claims more than it has.

    python3 tests/attack/forged.py --tool target/ci/ul2-prep [--short]

No command that reads a data set may panic, wait for ever or hold more memory than a small data set needs. The last line is `N passed, N failed`.
"""

import hashlib
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading

import kit

MOST_MEMORY = 400 << 20
MOST_SECONDS = 30
PLAN, RECORD, MANIFEST = ".ul2-prep/plan.json", ".ul2-prep/commits/00000-00000.json", "manifest.json"
SHARD = "data/train-00000-00000.parquet"
OF_PLAN = [["status", "set"], ["finalize", "set"], ["run", "--plan", "set", "--unit", "0", "--quiet"]]
OF_MANIFEST = [["inspect", "set", "--rows", "0"], ["stats", "set", "--workers", "2"], ["verify", "set", "--workers", "2"]]
AGAIN = ["reproduce", "set", "in", "--out", "again", "--quiet"]


def ended(tool, folder, command):
    """How a command ended, and the most memory that it held."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

    with tempfile.TemporaryFile(dir=folder) as out, tempfile.TemporaryFile(dir=folder) as err:
        process = subprocess.Popen([tool, *command], cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, preexec_fn=limit)
        killer = threading.Timer(MOST_SECONDS, process.kill)
        killer.start()
        _, status, usage = os.wait4(process.pid, 0)
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        ran = kit.Ran(process.returncode, out.read().decode(errors="replace"), err.read().decode(errors="replace"))
    return ran, usage.ru_maxrss << 10


def problems(ran, memory, is_refused=False):
    yield from ran.problems(cause=False) if not ran.out.startswith("verified") else ()
    if memory > MOST_MEMORY:
        yield f"{memory >> 20} MiB of memory"
    if is_refused and ran.code in (0, 75):
        yield f"ended with {ran.code}: {ran.err.strip()[:200]}"


def judge(tally, tool, folder, what, commands, is_refused=False):
    for command in commands:
        ran, memory = ended(tool, folder, command)
        found = [problem for problem in problems(ran, memory, is_refused) if not (command[0] in ("verify", "reproduce") and "without a message" in problem)]
        tally.check(f"{what}: {' '.join(command)}", found)
        kit.remove(folder / "again")


def odd(kind, path):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with open(path, "wb") as file:
            file.truncate(6 << 30)


def sealed(folder, name, data):
    """Puts a file in the place of one, with digests as manifest and sums would have them."""
    path = folder / "set" / name
    old, new = hashlib.sha256(path.read_bytes()).hexdigest(), hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    for file in [MANIFEST, "SHA256SUMS"]:
        listing = folder / "set" / file
        if file != name:
            listing.write_bytes(listing.read_bytes().replace(old.encode(), new.encode()))


def damaged(data, number, is_shard):
    """Some bytes changed; of a shard mostly those of the footer, which says what is where and how much."""
    data = bytearray(data)
    footer = int.from_bytes(data[-8:-4], "little") if is_shard else 0
    first = len(data) - 8 - footer if is_shard and number.random() < 0.7 else 0
    for _ in range(number.choice([1, 1, 2, 5])):
        place = number.randrange(first, len(data))
        data[place] = number.choice([number.randrange(256), 0xFF, 0x7F, data[place] ^ 1]) if is_shard else number.choice(b'0123456789",[]{}e-')
    return bytes(data)


def main():
    args = kit.arguments(__doc__)
    tally, number = kit.Tally(), random.Random(11)
    with kit.scratch() as folder:
        kit.write_sources(folder / "in")
        plan = ["plan", "in", "--out", "whole", "--write", "--inputs-length", "64", "--labels-length", "64"]
        for command in [plan, ["run", "--plan", "whole", "--quiet", "--max-rejects", "99"]]:
            ran, _ = ended(args.tool, folder, command)
            assert ran.code == 0, ran
        shutil.copytree(folder / "whole", folder / "set")
        for name, commands in [(PLAN, OF_PLAN), (RECORD, OF_PLAN), (MANIFEST, [*OF_MANIFEST, AGAIN]), (SHARD, OF_MANIFEST)]:
            path = folder / "set" / name
            for kind in ["pipe", "device", "sparse"]:
                # To digest a sparse shard takes its time, as one of that size would.
                if (name, kind) == (SHARD, "sparse"):
                    continue
                path.unlink()
                odd(kind, path)
                # `verify` may take the time to digest a sparse manifest.
                short = [command for command in commands if (kind, name, command[0]) != ("sparse", MANIFEST, "verify")]
                judge(tally, args.tool, folder, f"{kind} as {name}", short, is_refused=True)
                path.unlink()
                shutil.copy(folder / "whole" / name, path)
        for index in range(10 if args.short else 300):
            for name, commands in [(PLAN, OF_PLAN[:1]), (RECORD, OF_PLAN[1:2]), (MANIFEST, OF_MANIFEST), (SHARD, OF_MANIFEST)]:
                kit.remove(folder / "set")
                shutil.copytree(folder / "whole", folder / "set")
                sealed(folder, name, damaged((folder / "set" / name).read_bytes(), number, name == SHARD))
                judge(tally, args.tool, folder, f"damage {index} of {name}", commands)
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
