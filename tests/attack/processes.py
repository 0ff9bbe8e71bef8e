#!/usr/bin/env python3
"""Four processes of one command in one folder, killed and started again at random moments, some of them with slow names.

Afterwards the same command ends with the bytes of an undisturbed run and leaves nothing else; a shard that has its record is never written again,
not even by a process that looked before the record was there.
"""

import random
import sys
import time

import kit

PROCESSES = 4


class Scene:
    def __init__(self, args, folder):
        self.folder = folder
        self.sources = kit.write_sources(folder / "attacked-in", documents=200)
        self.tool = kit.Tool(args.tool, folder)
        self.settings = ["--epochs", "3", "--seed", "5", "--workers", "1", "--max-rejects", "100%", "--recipe", "ul2", "--quiet"]
        self.out = folder / "attacked"
        begin = time.monotonic()
        ran = self.tool.run(*self.command(folder / "whole"))
        self.seconds = time.monotonic() - begin
        if ran.code:
            raise SystemExit(f"the undisturbed run ended with {ran.code}: {ran.err}")
        self.whole = kit.contents(folder / "whole")

    def command(self, out):
        return ["run", self.sources, "--out", out, *self.settings]

    def committed(self):
        """Number and time of each shard that has its record: another file of that name has others."""
        found = {}
        for record in self.out.glob(".ul2-prep/commits/*.json"):
            shard = self.out / "data" / f"train-{record.stem}.parquet"
            if shard.exists():
                found[shard.name] = (shard.stat().st_ino, shard.stat().st_mtime_ns)
        return found

    def end(self):
        ran = self.tool.run(*self.command(self.out))
        problems = [f"does not go on: {ran.code}, {ran.err.strip()[:300]}"] if ran.code else []
        problems += kit.differences(self.whole, kit.contents(self.out))
        kit.remove(self.out)
        return problems


def rewritten(before, now):
    return [f"the committed shard `{name}` was written again" for name, file in before.items() if now.get(name, file) != file]


def kills(scene, tally, library, number, rounds, most):
    """Each round: four at work until so many were killed; what was committed stays as it is."""
    at_work, endings = 0, 0
    for turn in range(rounds):
        slow = scene.tool
        if library is not None:
            slow = scene.tool.but(LD_PRELOAD=str(library), ATTACK_UNDER="attacked", ATTACK_RULES="rename=slow40@0+1;link=slow15@0+1")
        start = lambda: number.choice([scene.tool, slow]).start(*scene.command(scene.out))  # noqa: E731
        running = [start() for _ in range(PROCESSES)]
        hit, problems, seen = 0, [], {}
        deadline = time.monotonic() + 120
        while hit < most and time.monotonic() < deadline:
            time.sleep(number.uniform(0, scene.seconds / 3))
            index = number.randrange(PROCESSES)
            now = scene.committed()
            problems += rewritten(seen, now)
            seen = {**now, **seen}
            victim = running[index]
            if victim.poll() is None:
                hit += kit.killed(victim)
            else:
                endings += 1
                ran = kit.ended(victim)
                problems += ran.problems(cause=False)
                problems += [f"ended with {ran.code}: {ran.err.strip()[:300]}"] if ran.code > 0 else []
                # Everything is made: from the beginning.
                if scene.out.exists() and (scene.out / "_SUCCESS").exists():
                    for process in running:
                        process.kill()
                        process.communicate()
                    problems += scene.end()
                    seen, running = {}, [start() for _ in range(PROCESSES)]
                    continue
            running[index] = start()
        for process in running:
            ran = kit.ended(process)
            problems += ran.problems(cause=False)
            problems += [f"ended with {ran.code}: {ran.err.strip()[:300]}"] if ran.code else []
        problems += rewritten(seen, scene.committed())
        problems += scene.end()
        problems += [f"only {hit} kills in two minutes"] if hit < most else []
        at_work += hit
        tally.check(f"four processes, round {turn + 1}", problems)
    print(f"{at_work} kills of processes at work, {endings} endings before a kill", flush=True)


def late_second(scene, tally, library):
    """A process that is slow between its look for a record and the name it gives, while another one commits."""
    leaves_shard = None
    for step in range(40):
        kit.remove(scene.out)
        ran = scene.tool.but(UL2_PREP_FAULT=f"abort:{step}").run(*scene.command(scene.out))
        if ran.code == 0:
            break
        if list(scene.out.glob("data/*.parquet")) and not list(scene.out.glob(".ul2-prep/commits/*")):
            leaves_shard = step
            break
    if leaves_shard is None:
        tally.check("a late second process", ["no step leaves a shard without a record"])
        return
    slow = scene.tool.but(LD_PRELOAD=str(library), ATTACK_UNDER="attacked/data", ATTACK_RULES="rename=slow1500@0+1")
    late = slow.start(*scene.command(scene.out))
    time.sleep(0.3)
    first = scene.tool.run(*scene.command(scene.out))
    before = scene.committed()
    problems = [f"the first ended with {first.code}: {first.err.strip()[:300]}"] if first.code else []
    second = kit.ended(late)
    problems += second.problems(cause=False)
    problems += [f"the second ended with {second.code}: {second.err.strip()[:300]}"] if second.code else []
    problems += rewritten(before, scene.committed())
    problems += scene.end()
    tally.check("a late second process does not write a committed shard again", problems)


def main():
    args = kit.arguments(__doc__)
    tally = kit.Tally()
    with kit.scratch() as folder:
        library = kit.compiled(folder)
        scene = Scene(args, folder)
        if library is None:
            print("skipped: slow names (no C compiler `cc`, or not Linux)")
        else:
            late_second(scene, tally, library)
        rounds, most = (1, 10) if args.short else (40, 25)
        kills(scene, tally, library, random.Random(14), rounds, most)
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
