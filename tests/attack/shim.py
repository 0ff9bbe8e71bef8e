#!/usr/bin/env python3
"""Calls of the C library that go wrong under the tool, one at a time and many at once (`shim.c`).

What does no harm (interruptions, short reads and writes, slow names) may not be noticed. Everything else may end a command, but only with one
message that names the cause once; what is said to be done is done; and the same command resumes to the bytes of an undisturbed run.
"""

import sys

import kit

# What may go wrong with each operation: what the system says of a damaged disk, a full one, a table that is full, and of a reply that is lost.
ERRORS = {
    "open": ["EIO"],
    "create": ["EIO", "ENOSPC", "EACCES"],
    "read": ["EIO"],
    "write": ["EIO", "ENOSPC"],
    "sync": ["EIO", "ENOSPC", "lost"],
    "link": ["EIO", "ENOSPC", "EMLINK", "lost"],
    "rename": ["EIO", "ENOSPC", "lost"],
    "mkdir": ["EIO", "ENOSPC", "lost"],
    "unlink": ["EIO", "lost"],
    "lock": ["EIO", "ENOTSUP"],
    "stat": ["EIO", "EACCES"],
    "list": ["EIO", "EACCES"],
}

# Nothing of this may be noticed.
HARMLESS = {
    "interrupted": "open=EINTR@0+3;create=EINTR@0+2;read=EINTR@0+2;write=EINTR@0+2;sync=EINTR@0+2",
    "short": "read=short@0+1;write=short@0+1",
    "short and interrupted": "read=EINTR@0+5;read=short@0+1;write=EINTR@1+4;write=short@0+1",
    "slow": "rename=slow30@0+1;link=slow30@0+1;sync=slow5@0+1",
    "no locks": "lock=ENOTSUP@0+1",
}

# What an open file is asked of its size has no answer that Parquet's reader would pass on: it takes a failure for an empty file.
NEED_NOT_NAME = {"stat"}

# A fault in these operations need not be noticed: what they do is tidying up, or a question that has another answer.
# `EMLINK` says that a file system has no room for links: a rename that replaces nothing does the same.
MAY_PASS = {"unlink", "lock", "stat", "lost", "EMLINK"}


class Scene:
    def __init__(self, args, folder, library):
        self.folder, self.short = folder, args.short
        self.sources = kit.write_sources(folder / "attacked-in")
        self.tool = kit.Tool(args.tool, folder)
        self.shimmed = self.tool.but(LD_PRELOAD=str(library), ATTACK_UNDER="attacked")
        self.log = folder / "log"
        self.settings = ["--epochs", "2", "--seed", "5", "--workers", "1", "--max-rejects", "100%", "--recipe", "ul2", "--quiet"]
        self.out = folder / "attacked"
        self.whole = self.made(folder / "whole")

    def command(self, out):
        return ["run", self.sources, "--out", out, *self.settings]

    def made(self, out):
        ran = self.tool.run(*self.command(out))
        if ran.code:
            raise SystemExit(f"the undisturbed run ended with {ran.code}: {ran.err}")
        return kit.contents(out)

    def attacked(self, rules, *command):
        """A command under the shim, and the calls that were logged."""
        self.log.unlink(missing_ok=True)
        ran = self.shimmed.but(ATTACK_RULES=rules, ATTACK_LOG=str(self.log)).run(*command)
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return ran, [line.split(" ", 3) for line in lines]

    def calls(self, *command):
        """How many calls of each operation a command makes."""
        ran, log = self.attacked("", *command)
        if ran.code:
            raise SystemExit(f"a run that is only counted ended with {ran.code}: {ran.err}")
        return {operation: sum(call[0] == operation for call in log) for operation in ERRORS}

    def goes_on(self):
        """What is wrong after the same command, undisturbed; the folder is removed."""
        ran = self.tool.run(*self.command(self.out))
        problems = [f"does not go on: {ran.code}, {ran.err.strip()[:300]}"] if ran.code else []
        problems += kit.differences(self.whole, kit.contents(self.out))
        kit.remove(self.out)
        return problems


def spread(count, most):
    """At most so many of `count` numbers from 0, with the first and the last."""
    if count <= most:
        return list(range(count))
    return sorted({round(step * (count - 1) / (most - 1)) for step in range(most)})


def harmless(scene, tally):
    """Interruptions, short reads and writes, slow names: nobody notices."""
    for what, rules in HARMLESS.items():
        ran, log = scene.attacked(rules, *scene.command(scene.out))
        problems = list(ran.problems())
        problems += [f"ended with {ran.code}: {ran.err.strip()[:300]}"] if ran.code else kit.differences(scene.whole, kit.contents(scene.out))
        problems += ["the shim did nothing"] if all(call[2] == "-" for call in log) else []
        tally.check(f"run, {what}", problems)
        kit.remove(scene.out)

    scene.made(scene.out)
    plain = {
        "verify": ["verify", scene.out, "--sources", scene.sources, "--reproduce"],
        "stats": ["stats", scene.out],
        "inspect": ["inspect", scene.out, "--rows", "2", "--width", "80"],
        "reproduce": ["reproduce", scene.out / "manifest.json", scene.sources, "--out", scene.folder / "attacked-again", "--quiet"],
    }
    for name, command in plain.items():
        kit.remove(scene.folder / "attacked-again")
        expected = scene.tool.run(*command)
        if expected.code:
            raise SystemExit(f"{name} ended with {expected.code}: {expected.err}")
        for what, rules in HARMLESS.items():
            if what in ("slow", "no locks") and name != "reproduce":
                continue
            kit.remove(scene.folder / "attacked-again")
            ran, _ = scene.attacked(rules, *command)
            problems = [] if (ran.code, ran.out) == (0, expected.out) else [f"ended with {ran.code}: {(ran.err or ran.out).strip()[:300]}"]
            tally.check(f"{name}, {what}", problems)
    kit.remove(scene.folder / "attacked-again")
    kit.remove(scene.out)


def one_fault(scene, tally, operation, action, number, forever):
    rules = f"{operation}={action}@{number}" + ("+1" if forever else "")
    ran, log = scene.attacked(rules, *scene.command(scene.out))
    hit = [call for call in log if call[2] != "-"]
    if not hit:
        kit.remove(scene.out)
        tally.check(f"run, {rules}", ["the shim did nothing"])
        return
    what = f"run, {rules} ({hit[0][3].replace(str(scene.folder) + '/', '')})"
    # A link that is there although it was said to have failed is success; so is what nobody needs.
    problems = list(ran.problems(cause=operation not in NEED_NOT_NAME))
    if ran.code == 0:
        problems += [f"said to be done, but {line}" for line in kit.differences(scene.whole, kit.contents(scene.out))]
        if operation not in MAY_PASS and action not in MAY_PASS:
            problems += [f"`{action}` was not noticed"] if not is_tidying(hit[0]) else []
    problems += scene.goes_on()
    tally.check(what, problems)


def is_tidying(call):
    """Whether the call looks after leftovers, of which a run may be left with none or all; or is the sync of a folder, or opens one for it: that is done
    again before a record that is there counts."""
    if call[0] == "open" and call[3].rsplit("/", 1)[-1] in ("attacked", ".ul2-prep", "commits", "data", "rejects"):
        return True
    return (call[0] in ("open", "list") and ".ul2-prep/tmp" in call[3]) or (call[0] == "sync" and ".ul2-prep/tmp/" not in call[3])


def faults(scene, tally):
    """Each call of a run fails, alone, and with all after it."""
    calls = scene.calls(*scene.command(scene.out))
    kit.remove(scene.out)
    for needed in ("read", "write", "sync", "link", "rename", "mkdir"):
        if not calls[needed]:
            tally.check("the shim", [f"a run makes no call of `{needed}`: is the tool linked with the C library?"])
    print("calls of a run: " + ", ".join(f"{count} {operation}" for operation, count in calls.items()), flush=True)
    for operation, actions in ERRORS.items():
        for number in spread(calls[operation], 3 if scene.short else 400):
            for index, action in enumerate(actions):
                # The short form takes the errors in turn.
                if not scene.short or index == number % len(actions):
                    one_fault(scene, tally, operation, action, number, forever=False)
        if operation in ("write", "create", "sync", "link", "rename"):
            for number in spread(calls[operation], 2 if scene.short else 60):
                one_fault(scene, tally, operation, "ENOSPC", number, forever=True)


def readers(scene, tally):
    """A file of a data set that cannot be read is never "no finding"."""
    scene.made(scene.out)
    commands = {
        "verify": ["verify", scene.out, "--sources", scene.sources],
        "stats": ["stats", scene.out],
        "inspect": ["inspect", scene.out, "--rows", "2", "--width", "80"],
    }
    for name, command in commands.items():
        expected = scene.tool.run(*command)
        calls = scene.calls(*command)
        for operation in ("open", "read", "stat", "list"):
            for number in spread(calls[operation], 2 if scene.short else 100):
                ran, log = scene.attacked(f"{operation}=EIO@{number}", *command)
                hit = [call[3] for call in log if call[2] != "-"]
                where = hit[0].replace(str(scene.folder) + "/", "") if hit else "nothing hit"
                problems = [] if hit else ["the shim did nothing"]
                # `verify` puts its findings on standard output.
                problems += [problem for problem in ran.problems(cause=False) if "without a message" not in problem or not ran.out]
                if ran.code == 0:
                    problems += [] if ran.out == expected.out and operation == "stat" else ["said to be well"]
                else:
                    named = kit.CAUSES.findall(ran.out + ran.err)
                    problems += [] if len(named) == 1 or operation in NEED_NOT_NAME else [f"names the cause {len(named)} times: {(ran.out + ran.err).strip()[:300]}"]
                tally.check(f"{name}, {operation}=EIO@{number} ({where})", problems)
    kit.remove(scene.out)


def main():
    args = kit.arguments(__doc__)
    tally = kit.Tally()
    with kit.scratch() as folder:
        library = kit.compiled(folder)
        if library is None:
            print("skipped: calls that go wrong (no C compiler `cc`, or not Linux)")
            return 0
        scene = Scene(args, folder, library)
        harmless(scene, tally)
        faults(scene, tally)
        readers(scene, tally)
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
