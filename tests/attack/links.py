#!/usr/bin/env python3
"""Links inside a data set that lead out of it: folders and files, before a run, after one that was killed, and after one that is finished.

Whatever a command makes of them, what they lead to keeps its files and their bytes, and the data set is never said to be well by `verify`.
"""

import shutil
import sys

import kit

FOLDERS = [".ul2-prep", ".ul2-prep/tmp", ".ul2-prep/commits", "data", "rejects"]
FILES = ["README.md", "manifest.json", "SHA256SUMS", "_SUCCESS", ".ul2-prep/plan.json", "data/train-00000-00000.parquet", ".ul2-prep/commits/00000-00000.json"]

# What a foreign folder may hold that looks like a file of ours.
FOREIGN = ["thesis.tex", "train-00000-00000.parquet", "train-00000-00007.parquet", "00000-00000.json", "shard.1-0", "_SUCCESS"]


class Scene:
    def __init__(self, args, folder):
        self.folder, self.short = folder, args.short
        self.sources = kit.write_sources(folder / "in", documents=30)
        self.tool = kit.Tool(args.tool, folder)
        self.settings = ["--seed", "5", "--workers", "1", "--max-rejects", "100%", "--quiet"]
        self.out, self.foreign = folder / "out", folder / "foreign"
        self.finished, self.begun = folder / "finished", folder / "begun"
        self.made(self.tool, self.finished, 0)
        # Ended when the shard has its name, but no record.
        for step in range(40):
            kit.remove(self.begun)
            self.made(self.tool.but(UL2_PREP_FAULT=f"abort:{step}"), self.begun, None)
            if list(self.begun.glob("data/*.parquet")):
                break
        else:
            raise SystemExit("no step leaves a shard")

    def command(self, out):
        return ["run", self.sources, "--out", out, *self.settings]

    def made(self, tool, out, expected):
        ran = tool.run(*self.command(out))
        if expected is not None and ran.code != expected:
            raise SystemExit(f"a run ended with {ran.code}: {ran.err}")

    def foreign_files(self):
        kit.remove(self.foreign)
        self.foreign.mkdir()
        for name in FOREIGN:
            (self.foreign / name).write_text(f"not ours: {name}\n")

    def commands(self):
        """What a person does in a folder that is a data set."""
        return {
            "run": self.command(self.out),
            "finalize": ["finalize", self.out],
            "verify": ["verify", self.out],
            "status": ["status", self.out],
            "stats": ["stats", self.out],
            "inspect": ["inspect", self.out, "--rows", "1"],
        }


def put_link(scene, state, name, target):
    """The data set in `state`, with a link for `name`."""
    kit.remove(scene.out)
    if state == "fresh":
        scene.out.mkdir()
    else:
        shutil.copytree(scene.finished if state == "finished" else scene.begun, scene.out)
    path = scene.out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        kit.remove(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def attack(scene, tally, state, name, is_folder, command):
    scene.foreign_files()
    target = scene.foreign if is_folder else scene.foreign / FOREIGN[0]
    put_link(scene, state, name, target)
    before = kit.contents(scene.foreign)
    ran = scene.tool.run(*scene.commands()[command])
    problems = list(ran.problems(cause=False)) if command != "verify" else []
    problems += [f"foreign: {line}" for line in kit.differences(before, kit.contents(scene.foreign))]
    if command == "verify" and state == "finished" and ran.code == 0:
        problems.append("verify finds nothing")
    tally.check(f"{command}, {state}, `{name}` leads to a foreign {'folder' if is_folder else 'file'}", problems)


def main():
    args = kit.arguments(__doc__)
    tally = kit.Tally()
    with kit.scratch() as folder:
        scene = Scene(args, folder)
        for is_folder, names in ((True, FOLDERS), (False, FILES)):
            for name in names:
                for state in ("fresh", "begun", "finished"):
                    commands = ["run", "finalize"] + (["verify"] if state == "finished" else [])
                    for command in commands if args.short else scene.commands():
                        # The short form leaves out what differs little.
                        if args.short and not is_folder and state == "begun":
                            continue
                        attack(scene, tally, state, name, is_folder, command)
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
