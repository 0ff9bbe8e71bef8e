#!/usr/bin/env python3
"""File systems that are full: at every size, down to the last page, and with too few names. In a mount namespace of its own.

A run on a full file system ends with one message that says so once, leaves no temporary file, and says nothing of success; with room the same
command goes on to the bytes of an undisturbed run.
"""

import os
import shutil
import subprocess
import sys

import kit

PAGE = os.sysconf("SC_PAGE_SIZE")
INSIDE = "ATTACK_INSIDE_NAMESPACE"


def inside_namespace():
    """Starts this file again where a mount is nobody else's; says why if that is not allowed."""
    if os.environ.get(INSIDE):
        return True
    unshare = shutil.which("unshare")
    if not unshare:
        print("skipped: file systems that are full (no `unshare`)")
        return False
    own = [unshare, "--mount", "--propagation", "private"]
    for command in (own, [*own, "--user", "--map-root-user"]):
        probe = [*command, "sh", "-c", "mount -t tmpfs -o size=1m probe /mnt"]
        if subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            os.environ[INSIDE] = "1"
            os.execv(unshare, [*command, sys.executable, __file__, *sys.argv[1:]])
    print("skipped: file systems that are full (mounting a tmpfs is not allowed here)")
    return False


class Scene:
    def __init__(self, args, folder):
        self.folder, self.short = folder, args.short
        self.sources = kit.write_sources(folder / "in", documents=30)
        self.tool = kit.Tool(args.tool, folder)
        self.settings = ["--seed", "5", "--workers", "1", "--max-rejects", "100%", "--epochs", "2", "--quiet"]
        self.disk = folder / "disk"
        self.disk.mkdir()
        self.out = self.disk / "out"
        self.whole, self.most_pages, self.most_names = self.measured()

    def command(self, out):
        return ["run", self.sources, "--out", out, *self.settings]

    def mount(self, options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "attack", self.disk], check=True)

    def unmount(self):
        subprocess.run(["umount", self.disk], check=True)

    def used(self):
        """Pages and names that are taken."""
        found = os.statvfs(self.disk)
        return found.f_blocks - found.f_bfree, found.f_files - found.f_ffree

    def measured(self):
        """What an undisturbed run makes, and the pages and names that it ends with."""
        self.mount("size=64m,nr_inodes=4096")
        try:
            ran = self.tool.run(*self.command(self.out))
            if ran.code:
                raise SystemExit(f"the undisturbed run ended with {ran.code}: {ran.err}")
            return kit.contents(self.out), *self.used()
        finally:
            self.unmount()

    def full(self, tally, what, options):
        """A run where there is too little room, then one with room. Whether the first had enough."""
        self.mount(options)
        try:
            ran = self.tool.run(*self.command(self.out))
            problems = list(ran.problems())
            there = kit.contents(self.out) if self.out.exists() else {}
            if ran.code == 0:
                problems += [f"said to be done, but {line}" for line in kit.differences(self.whole, there)]
            else:
                # A folder that cannot be made has no data set yet: a matter of the environment.
                problems += [] if ran.code == 1 or not there else [f"ended with {ran.code}: {ran.err.strip()[:300]}"]
                problems += [f"said to have failed, but {name} is there" for name in ("_SUCCESS",) if name in there]
                problems += [f"left `{name}`" for name in there if name.startswith(".ul2-prep/tmp/")]
                hint = "make room and run the same command again" in ran.err
                problems += [] if hint else [f"no hint to make room: {ran.err.strip()[:300]}"]
            subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=4096", self.disk], check=True)
            again = self.tool.run(*self.command(self.out))
            problems += [f"does not go on: {again.code}, {again.err.strip()[:300]}"] if again.code else []
            problems += kit.differences(self.whole, kit.contents(self.out))
        finally:
            self.unmount()
        tally.check(what, problems)
        return ran.code == 0

    def last_file(self):
        """Sizes at which the card, the sums, the manifest or the mark of success is what finds no room."""
        pages = range(self.most_pages - 8, self.most_pages + 3)
        return [*pages]


def main():
    if not inside_namespace():
        return 0
    args = kit.arguments(__doc__)
    tally = kit.Tally()
    with kit.scratch() as folder:
        scene = Scene(args, folder)
        step = scene.most_pages // (6 if args.short else 60) or 1
        sizes = sorted({*range(2, scene.most_pages, step), *scene.last_file()})
        enough = [scene.full(tally, f"room for {pages} pages", f"size={pages * PAGE},nr_inodes=4096") for pages in sizes]
        names = sorted({*range(2, scene.most_names, 5 if args.short else 1), scene.most_names + 3})
        enough_names = [scene.full(tally, f"room for {count} names", f"size=64m,nr_inodes={count}") for count in names]
        for what, found in (("pages", enough), ("names", enough_names)):
            tally.check(f"{what}: from too few to enough", [] if not found[0] and found[-1] else [f"{found}"])
        print(f"full at {enough.count(False)} sizes and at {enough_names.count(False)} numbers of names, up to {scene.most_pages} pages and {scene.most_names} names")
    return tally.end()


if __name__ == "__main__":
    sys.exit(main())
