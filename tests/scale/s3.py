#!/usr/bin/env python3
"""Sources and data sets in an object store that speaks S3: the bytes of a run on local disks, whatever goes wrong between.

    python3 tests/scale/s3.py --tool target/ci/ul2-prep [--long] [--only resume,faults]

SeaweedFS is started on the loopback interface, and a proxy before it where replies are to be lost. One line is printed for each statement that
was proven. The short form takes some three minutes on two slow cores. Where SeaweedFS cannot be installed, this is said, and nothing is tried.
"""

import argparse
import collections
import itertools
import json
import pathlib
import random
import re
import signal
import sys
import tempfile
import threading
import time

import proxy as faulty
import scene
import seaweed
from bucket import Bucket
from proxy import Call, Close, Cut, Delay, Hide, Refuse
from scene import Failed, Tool, assert_same, assert_that, ok

ROOT = pathlib.Path(__file__).parents[2]
BUCKET = "scale"
TRANSIENT, PERMANENT = 75, 64
# Two batches of random words, 15 MB, make a shard; the 17 MiB of the large source make one such and a small one.
OPTIONS = ["--shard-size", "15MiB", "--seed", "7", "--encoding", "byte-stream-split", "--max-rejects", "10", "--quiet"]
# A plan says nothing of how it is carried out.
PLAN_OPTIONS = OPTIONS[:6]
SHARDS = ["data/train-00000-00000.parquet", "data/train-00000-00001.parquet"]


class Place:
    """A server with a bucket, and the tool that is pointed at it."""

    def __init__(self, args, scratch, name):
        self.server = seaweed.Server(args.server, scratch / name)
        self.args = args
        self.plain = Tool(args.tool, scratch)
        self.tool = self.tool_at(self.server.port)
        self.bucket = Bucket(self.server.port, BUCKET, seaweed.KEY_ID, seaweed.SECRET)

    def start(self):
        self.server.start()
        self.bucket.create()

    def tool_at(self, port):
        return self.plain.but(
            AWS_ACCESS_KEY_ID=seaweed.KEY_ID, AWS_SECRET_ACCESS_KEY=seaweed.SECRET, AWS_REGION="us-east-1",
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}", AWS_ALLOW_HTTP="true",
        )  # fmt: skip

    def proxy(self):
        proxy = faulty.Proxy(seaweed.free_ports(1)[0], self.server.port)
        proxy.start()
        return proxy

    def objects(self, out):
        return self.bucket.objects(f"{out}/")

    def put_all(self, prefix, files):
        for name, content in files.items():
            self.bucket.put(f"{prefix}/{name}", content)


def url(path):
    return f"s3://{BUCKET}/{path}"


class Tests:
    """Each method without an underscore proves some statements. Those of `core` share one clean run."""

    def __init__(self, args, scratch, ends):
        self.args, self.scratch, self.ends = args, scratch, ends
        self.place = Place(args, scratch, "server")
        ends.append(self.place.server.kill)
        self.tool, self.plain, self.bucket = self.place.tool, self.place.plain, self.place.bucket

    def _prepare(self):
        self.place.start()
        core, (sources, others) = scene.core_sources(), scene.whole_sources()
        for name, files in {"core": core, "whole": {**sources, **others}, "whole-too": {"not-asked-for.jsonl": core["large.jsonl"][:0]}}.items():
            scene.write(self.scratch / name, files)
            self.place.put_all(name, files)
        # As consoles of stores make it for a folder.
        self.bucket.put("whole/sub/", b"")
        begin = time.monotonic()
        self.tool.run("run", url("core/"), "--out", url("clean"), *OPTIONS)
        self.seconds = time.monotonic() - begin
        self.clean = self.place.objects("clean")
        assert_that(len(self.clean[SHARDS[0]]) > 8 * scene.MIB, "a shard of several parts")
        assert_that(len(self.clean[SHARDS[1]]) < 8 * scene.MIB, "a shard in one request")
        assert_that(len(scene.records_of(self.clean)) == 2, "two shards")

    # --- the same bytes ---

    def bytes(self):
        """a and h."""
        self.plain.run("run", self.scratch / "whole", "--out", self.scratch / "whole-local", *OPTIONS)
        local = scene.files_of(self.scratch / "whole-local")
        self.tool.run("run", url("whole/"), "--out", url("whole-set"), *OPTIONS)
        found = self.place.objects("whole-set")
        scene.assert_same_rows(found, local, "bucket to bucket")
        manifest = json.loads(found["manifest.json"])
        names = sorted(source["name"] for source in manifest["sources"])
        assert_that(names == sorted(scene.whole_sources()[0]), f"the sources are {names}")
        assert_that(any(name.startswith("rejects/") for name in found), "rejects are there")
        differing = sorted(name for name in local if found[name] != local[name])
        only = sorted(found.keys() ^ local.keys())
        ok(f"`run` from bucket to bucket writes the bytes of local disks in {len(found) - len(differing)} of {len(found)} objects "
           f"({len(names)} sources: plain, gzip, Zstandard, folders, a name to escape; no hidden ones, no neighbours)")
        ok(f"what differs is the plan's tags of sources, its fingerprint in records, and the digests of these: {', '.join(differing)}"
           f"{f'; on one side alone: {only}' if only else ''}")
        self.tool.run("run", url("whole"), "--out", url("whole-set-2/deep"), *OPTIONS)
        assert_same(self.place.objects("whole-set-2/deep"), found, "a folder without a slash")
        self.tool.run("run", url("whole/**/*.jsonl*"), "--out", url("whole-set-3"), *OPTIONS)
        # A folder counts what it passes over, which a glob does not find.
        shards = [{name: files[name] for name in files if name.startswith(("data/", "rejects/"))} for files in (self.place.objects("whole-set-3"), found)]
        assert_same(*shards, "a glob")
        ok("a folder without a slash at its end and a glob find the same sources: every object, and every shard, is equal")
        self.tool.run("run", url("whole/"), "--out", url("whole-set"), *OPTIONS)
        assert_same(self.place.objects("whole-set"), found, "again")
        ok("the same command again changes nothing")
        self._looked_at(local, found)
        if self.args.long:
            self._many()

    def _many(self):
        """More sources than a page of a listing holds."""
        files = {f"{number:05}.jsonl": b'{"text": "a line of its own, %d"}\n' % number for number in range(1100)}
        scene.write(self.scratch / "many", files)
        self.place.put_all("many", files)
        self.plain.run("run", self.scratch / "many", "--out", self.scratch / "many-local", *OPTIONS)
        self.tool.run("run", url("many"), "--out", url("many-set"), *OPTIONS)
        scene.assert_same_rows(self.place.objects("many-set"), scene.files_of(self.scratch / "many-local"), "1,100 sources")
        ok("1,100 sources, more than a page of a listing holds: the bytes of local disks")

    def _looked_at(self, local, found):
        there, here = url("whole-set"), self.scratch / "whole-local"
        said = self.tool.run("verify", there, "--sources", url("whole/"), "--reproduce").out
        assert_that("no finding" in said, said)
        ok(f"`verify --sources --reproduce` of a URL: {said.strip()}")
        for arguments in (["stats", "--json"], ["stats"], ["inspect", "--rows", "3"], ["inspect", "--source", "large.jsonl", "--line", "9"]):
            command, *options = arguments
            results = [self.tool.run(command, place, *options, expected=None) for place in (there, here)]
            assert_that(results[1].code == 0, f"the test's own command line: {results[1]}")
            texts = [ran.out.replace(str(place), "SET") for ran, place in zip(results, (there, here))]
            assert_that(results[0].code == 0 and texts[0] == texts[1], f"`{command}` says another thing of a URL: {results[0]}")
        ok("`stats`, `stats --json` and `inspect` say of the URL what they say of the folder")
        shard = next(name for name in sorted(found) if name.startswith("data/"))
        flipped = bytearray(found[shard])
        flipped[len(flipped) // 2] ^= 1
        self.bucket.put(f"whole-set/{shard}", bytes(flipped))
        ran = self.tool.run("verify", there, expected=None)
        assert_that(ran.code not in (0, None) and shard in ran.out + ran.err, f"a flipped byte in {shard}: {ran}")
        self.bucket.put(f"whole-set/{shard}", found[shard])
        self.tool.run("verify", there)
        ok(f"`verify` of a URL finds a flipped byte and names its shard (exit code {ran.code})")

    def mixed(self):
        """b."""
        self.plain.run("run", self.scratch / "core", "--out", self.scratch / "core-local", *OPTIONS)
        local = scene.files_of(self.scratch / "core-local")
        self.tool.run("run", self.scratch / "core", "--out", url("from-local"), *OPTIONS)
        found = self.place.objects("from-local")
        scene.assert_same_rows(found, local, "local to bucket")
        same = [name for name in local if found.get(name) == local[name]]
        alike = len(same) >= len(local) - 1
        ok(f"local sources to a bucket: the bytes of local disks ({len(same)} of {len(local)} files, "
           f"plan and records {'too' if alike else 'but for the fingerprint'})")
        self.tool.run("run", url("core/"), "--out", self.scratch / "from-bucket", *OPTIONS)
        scene.assert_same_rows(scene.files_of(self.scratch / "from-bucket"), local, "bucket to local")
        ok("sources in a bucket to a local folder: the bytes of local disks")
        name = "large.jsonl"
        web = scene.WebServer({name: (self.scratch / "core" / name).read_bytes()})
        self.ends.append(web.stop)
        self.plain.run("run", self.scratch / "core" / name, "--out", self.scratch / "one-local", *OPTIONS)
        self.plain.but(AWS_ALLOW_HTTP="true").run("run", f"{web.url}/{name}", "--out", self.scratch / "one-web", *OPTIONS)
        scene.assert_same_rows(*(scene.files_of(self.scratch / folder) for folder in ("one-web", "one-local")), "web to local")
        ranges = [wanted for method, _, wanted in web.asked if method == "GET" and wanted]
        ok(f"an http:// source to a local folder: the bytes of local disks ({len(ranges)} pieces were asked for)")
        self.tool.run("run", f"{web.url}/{name}", "--out", url("one-web"), *OPTIONS)
        assert_that(self.place.objects("one-web")["manifest.json"] == scene.files_of(self.scratch / "one-local")["manifest.json"], "web to bucket")
        ok("an http:// source to a bucket: the same manifest")

    # --- kills ---

    def resume(self):
        """c: at each request, and at random moments."""
        self._killed_at_requests()
        wanted = 50 if self.args.long else 5
        chance, whole = random.Random(3), self.seconds
        kills = rounds = attempts = with_shard = 0
        open_uploads = collections.Counter()
        while kills < wanted:
            out = f"killed-{rounds}"
            # One to three kills of one data set, before it goes on to its end.
            for _ in range(chance.randint(1, 3)):
                attempts += 1
                assert_that(attempts < 20 * wanted, "runs end before they are killed")
                run = self.tool.start("run", url("core/"), "--out", url(out), *OPTIONS)
                # Later moments are likelier: there is more to lose.
                time.sleep(max(chance.random(), chance.random()) * whole)
                is_hit = run.kill()
                # A run takes now more, now less time than the first: so the moments stay within it.
                whole *= 1.02 if is_hit else 0.9
                kills += is_hit
                with_shard += is_hit and bool(self.bucket.list(f"{out}/data/"))
            self.tool.run("run", url("core/"), "--out", url(out), *OPTIONS)
            assert_same(self.place.objects(out), self.clean, f"after kills, {out}")
            open_uploads.update(key.partition("/")[2] for key in self.bucket.uploads(f"{out}/"))
            rounds += 1
        ok(f"killed at {kills} random moments ({with_shard} with a shard there), then the same command: {rounds} data sets of the same bytes, no object more")
        ok(f"what kills at random moments left: {sum(open_uploads.values())} uploads in parts without an object {dict(open_uploads)}, which only the store sees")

    def _killed_at_requests(self):
        proxy = self.place.proxy()
        self.ends.append(proxy.stop)
        tool = self.place.tool_at(proxy.port)
        tool.run("run", url("core/"), "--out", url("counted"), *OPTIONS)
        counts = collections.Counter(request.kind for _, request, _, _ in proxy.log)
        written = [request.key.removeprefix("counted/") for _, request, _, _ in proxy.log if request.kind in ("put", "create", "complete upload")]
        for shard, record in zip(SHARDS, scene.records_of(self.clean)):
            assert_that(written.index(shard) < written.index(record), f"{record} is written before {shard}")
        assert_that(written[0] == ".ul2-prep/plan.json" and written[-2:] == ["manifest.json", "_SUCCESS"], f"written in the order {written}")
        ok("plan, then each shard before its record, manifest, and `_SUCCESS` last")
        # Which request of a kind, and whether the server still hears of it.
        if self.args.long:
            moments = [(kind, number, heard) for kind, count in counts.items() for number in range(1, count + 1) for heard in (True, False)]
        else:
            moments = [moment for kind, count in counts.items() for moment in ((kind, 1, True), (kind, count, False))]
        hits = open_uploads = 0
        for kind, number, heard in moments:
            out = f"killed-at-{kind}-{number}-{heard}".replace(" ", "-")
            seen, begun = collections.Counter(), threading.Event()

            def choose(request):
                seen[request.kind] += 1
                return Call(end, heard) if request.kind == kind and seen[kind] == number else None

            def end():
                begun.wait()
                run.process.kill()

            proxy.fault = choose
            run = tool.start("run", url("core/"), "--out", url(out), *OPTIONS)
            begun.set()
            hits += run.ended(expected=None).code == -signal.SIGKILL
            proxy.fault = lambda request: None
            # What was sent may still arrive.
            time.sleep(0.05)
            self.tool.run("run", url("core/"), "--out", url(out), *OPTIONS)
            assert_same(self.place.objects(out), self.clean, f"killed at {kind} {number}, {'heard' if heard else 'not heard'}")
            open_uploads += len(self.bucket.uploads(f"{out}/"))
        assert_that(hits > len(moments) * 3 // 4, f"only {hits} of {len(moments)} were killed")
        ok(f"killed at {hits} requests ({'all' if self.args.long else 'the first and the last'} of {', '.join(sorted(counts))}), which the server hears or does not, "
           f"then the same command: same bytes, no object more, {open_uploads} uploads in parts without an object")

    def away(self, seconds=60):
        """d; with a server of its own, beside the other tests."""
        place = Place(self.args, self.scratch, "away")
        self.ends.append(place.server.kill)
        place.start()
        place.put_all("core", scene.core_sources())
        proxy = place.proxy()
        self.ends.append(proxy.stop)
        tool = place.tool_at(proxy.port)
        for gone, kind in ((3, "put part"), (seconds, "put part"), (3, "create"), (3, "get")):
            out = f"away-{gone}-{kind.replace(' ', '-')}"
            # The second one, so that something is under way.
            seen, hit = collections.Counter(), threading.Event()

            def die(request, kind=kind, seen=seen, hit=hit):
                seen[request.kind] += 1
                if request.kind == kind and seen[kind] == 2 and not hit.is_set():
                    hit.set()
                    return Call(end)
                return None

            def end():
                place.server.kill()
                proxy.away()

            proxy.fault = die
            begin = time.monotonic()
            run = tool.start("run", url("core/"), "--out", url(out), *OPTIONS)
            assert_that(hit.wait(60), f"no second {kind}; requests were {dict(seen)}")
            time.sleep(gone)
            assert_that(run.process.poll() is None, f"the run has given up: {run.ended(None) if run.process.poll() is not None else ''}")
            place.server.start()
            proxy.listen()
            back = time.monotonic()
            run.ended()
            found = place.objects(out)
            assert_that(found.keys() == self.clean.keys(), f"after the server was away at {kind}: {sorted(found.keys() ^ self.clean.keys())}")
            scene.assert_same_rows(found, self.clean, f"after the server was away at {kind}")
            ok(f"server killed at a `{kind}` and away for {back - begin:.0f} s: the same run goes on {time.monotonic() - back:.0f} s later, same bytes, "
               f"{len(place.bucket.uploads(out))} open uploads")

    # --- lost and wrong replies ---

    def faults(self):
        """e."""
        cases = {
            "a 500 hides the reply": on_first(Hide(500)),
            "the connection ends before the reply": on_first(Close(heard=True)),
            "the connection ends before the server hears of it": on_first(Close(heard=False)),
            "SlowDown in bursts": in_bursts(Refuse(503, "SlowDown")),
            "replies late by 1.1 s": on_first(Delay(1.1)),
            "replies cut in the middle": but_for("list", on_first(Cut())),
            "listings cut in the middle": on_first(Cut(), "list"),
            "409 instead of a create": on_first(Refuse(409, "ConditionalRequestConflict"), "create", times=2),
            "409 after a create": on_first(Hide(409, "ConditionalRequestConflict"), "create"),
            "412 though nothing is there": on_first(Refuse(412, "PreconditionFailed"), "create"),
            "a completed upload is unknown afterwards": in_turn("complete upload", Hide(500), Refuse(404, "NoSuchUpload")),
            "200 with an error in it, upload completed": on_first(Hide(200, "InternalError"), "complete upload"),
            "200 with an error in it, upload not completed": on_first(Refuse(200, "InternalError"), "complete upload"),
            "an upload begun twice": on_first(Hide(503, "SlowDown"), "begin upload"),
            "429 for everything": on_first(Refuse(429, "TooManyRequests")),
        }
        if self.args.long:
            # Longer than a client waits.
            cases["a create and the end of an upload that take 40 s"] = on_any(Delay(40), "create", "complete upload")
            cases.update({f"any of these at one in five requests, {seed}": at_random(seed) for seed in range(30)})
        # More than the cores: they wait most of the time.
        results = scene.together([lambda name=name, fault=fault: self._with_fault(name, fault) for name, fault in cases.items()], at_once=7)
        kinds = set().union(*results)
        needed = {"list", "head", "get", "put", "begin upload", "put part", "complete upload", "create"}
        assert_that(needed <= kinds, f"no fault met {sorted(needed - kinds)}")

    def _with_fault(self, name, fault):
        """Kinds of the requests that met it."""
        out = "fault-" + re.sub(r"[^a-z0-9]+", "-", name.lower())
        proxy = self.place.proxy()
        try:
            proxy.fault = fault
            ran = self.place.tool_at(proxy.port).run("run", url("core/"), "--out", url(out), *OPTIONS, expected=None)
            hits = collections.Counter(request.kind for _, request, fault, _ in proxy.log if fault is not None)
            last = "".join(f"\n    {request}: {fault or 'nothing'} -> {status}" for _, request, fault, status in proxy.log[-6:])
            assert_that(ran.code == 0, f"{name}: {ran}\n  the last requests:{last}")
            assert_that(hits, f"{name}: no request met it")
            assert_same(self.place.objects(out), self.clean, name)
        finally:
            proxy.stop()
        ok(f"{name}: same bytes, one record a shard ({sum(hits.values())} times in {ran.seconds:.0f} s: {', '.join(sorted(hits))})")
        return hits

    def stale(self):
        """An object that was there before is not taken for the shard: of the same size, and the upload that is to replace it is lost."""
        scene.together([lambda kind=kind: self._lost_upload(kind) for kind in ("complete upload", "put part")], at_once=1)

    def _lost_upload(self, kind):
        out, shard = f"stale-{kind.replace(' ', '-')}", SHARDS[0]
        self.tool.run("plan", url("core/"), "--out", url(out), *PLAN_OPTIONS, "--write")
        # One that the tool wrote: no other is replaced.
        older = bytearray(self.clean[shard])
        older[len(older) // 2] ^= 1
        self.bucket.put(f"{out}/{shard}", bytes(older))
        proxy = self.place.proxy()
        self.ends.append(proxy.stop)
        proxy.fault = in_turn(kind, Refuse(404, "NoSuchUpload"))
        command = ["run", "--plan", url(out), "--quiet"]
        first = self.place.tool_at(proxy.port).run(*command, expected=None)
        assert_that(first.code in (0, TRANSIENT), f"the store has lost an upload at `{kind}`: {first}")
        if first.code == TRANSIENT:
            self.tool.run(*command)
        what = f"an upload that the store has lost at `{kind}`, over an older object of the same size"
        scene.assert_same_but_inputs(self.place.objects(out), self.clean, what)
        ok(f"{what}: exit code {first.code}{', then 0' if first.code else ''}, same bytes")

    # --- several at once ---

    def race(self):
        """f."""
        out = url("race")
        self.tool.run("plan", url("core/"), "--out", out, *PLAN_OPTIONS, "--write")
        runs = [self.tool.start("run", "--plan", out, "--unit", "0", "--workers", "1", "--quiet") for _ in range(16)]
        for run in runs:
            run.ended()
        found = self.place.objects("race")
        assert_that(scene.records_of(found) == scene.records_of(self.clean), f"records {scene.records_of(found)}")
        assert_that("manifest.json" not in found and "_SUCCESS" not in found, "a unit does not finalize")
        for ran in scene.together([lambda: self.tool.run("finalize", out)] * 2):
            assert_that(ran.code == 0, str(ran))
        scene.assert_same_but_inputs(self.place.objects("race"), self.clean, "16 at once, two finalizers")
        ok(f"16 processes make one unit at once, then two finalize at once: all exit 0, {len(scene.records_of(found))} shards and as many records, "
           "every object as in the clean run")

    # --- plan, units, finalize ---

    def units(self):
        """g: the work of several machines."""
        out = url("units")
        tool = self.tool.but(UL2_PREP_UNIT_BYTES=str(1 << 17))
        plain = self.plain.but(UL2_PREP_UNIT_BYTES=str(1 << 17))
        plain.run("run", self.scratch / "whole", "--out", self.scratch / "units-local", *OPTIONS)
        local = scene.files_of(self.scratch / "units-local")
        tool.run("plan", url("whole/"), "--out", out, *PLAN_OPTIONS, "--write")
        count = len(json.loads(local["manifest.json"])["plan"]["units"])
        everyone = list(range(count))

        def missing():
            return [int(line) for line in tool.run("status", out, "--missing").out.split()]

        assert_that(missing() == everyone, f"missing before: {missing()}")
        early = tool.run("finalize", out, expected=TRANSIENT)
        assert_that(not {"manifest.json", "_SUCCESS"} & self.place.objects("units").keys(), "finalize with missing units writes no manifest")
        ok(f"`finalize` with missing units: exit code {early.code}, no manifest: {early.err.strip().splitlines()[0]}")
        order = [*everyone, count // 2]
        random.Random(5).shuffle(order)

        def unit(number):
            # Neither the environment nor the folder of the one that planned.
            return self.tool.run("run", "--plan", out, "--unit", number, "--max-rejects", "10", "--workers", "1", "--quiet")

        half = len(order) // 2
        scene.together([lambda number=number: unit(number) for number in order[:half]], at_once=3)
        left = sorted(set(everyone) - set(order[:half]))
        assert_that(missing() == left, f"missing between: {missing()} instead of {left}")
        tool.run("finalize", out, expected=TRANSIENT)
        scene.together([lambda number=number: unit(number) for number in order[half:]], at_once=3)
        assert_that(missing() == [], f"missing after: {missing()}")
        tool.run("finalize", out)
        found = self.place.objects("units")
        scene.assert_same_rows(found, local, "plan, units, finalize")
        ok(f"`plan --write`, {count} units in the order {order} from as many processes, `finalize`: the bytes of one `run` on local disks; "
           "`status --missing` before, between and after is right")
        whole = self.place.objects("units")
        unit(0)
        tool.run("finalize", out)
        tool.run("plan", url("whole/"), "--out", out, *PLAN_OPTIONS, "--write")
        assert_same(self.place.objects("units"), whole, "all again")
        ok("a unit, `finalize` and `plan --write` again: exit code 0, nothing changes")
        self._parts(json.loads(local["manifest.json"])["totals"]["rows_digest"])
        ran = self.tool.run("run", "--plan", out, "--unit", count, "--quiet", expected=None)
        assert_that(ran.code in (2, PERMANENT), f"a unit that is not in the plan: {ran}")
        ok(f"a unit that the plan does not have: exit code {ran.code}")

    def _parts(self, rows_digest):
        """A large source divided: `--split`."""
        split, out = ["--split", "8MiB"], url("parts")
        self.plain.run("run", self.scratch / "whole", "--out", self.scratch / "parts-local", *OPTIONS, *split)
        local = scene.files_of(self.scratch / "parts-local")
        manifest = json.loads(local["manifest.json"])
        assert_that(manifest["totals"]["rows_digest"] == rows_digest, "a divided source has the rows of an undivided one")
        self.tool.run("plan", url("whole/"), "--out", out, *PLAN_OPTIONS, *split, "--write")
        units = list(range(len(manifest["plan"]["units"])))
        random.Random(6).shuffle(units)
        scene.together([lambda unit=unit: self.tool.run("run", "--plan", out, "--unit", unit, "--max-rejects", "10", "--quiet") for unit in units], at_once=2)
        self.tool.run("finalize", out)
        scene.assert_same_rows(self.place.objects("parts"), local, "parts of a source")
        ok(f"`--split`: {len(units)} units in the order {units}: the bytes of one `run --split` on local disks, the rows of one without")

    def refused(self):
        """g: what no other attempt mends, and what another attempt mends."""
        tool, out = self.tool, url("refused")
        source = self.bucket.get("core/nested/small.jsonl.gz")
        self.place.put_all("changing", {"a.jsonl": b'{"text": "one"}\n' * 100, "b.jsonl.gz": source})
        tool.run("plan", url("changing/"), "--out", out, *PLAN_OPTIONS, "--write")
        self.bucket.put("changing/a.jsonl", b'{"text": "two"}\n' * 100)
        ran = tool.run("run", "--plan", out, "--unit", "0", "--quiet", expected=PERMANENT)
        assert_that("a.jsonl" in ran.err, f"the changed source is named: {ran}")
        assert_that(not scene.records_of(self.place.objects("refused")), "no record of a changed source")
        ok(f"a source replaced by another of the same size after the plan: exit code {ran.code}: {ran.err.strip().splitlines()[0]}")
        self.bucket.put("changing/a.jsonl", b'{"text": "one"}\n' * 100)
        tool.run("run", "--plan", out, "--unit", "0", "--quiet")
        ok("the first source put back: the unit is made")

        # The codes are those of these commands; `run SOURCE` has its own.
        proxy = self.place.proxy()
        self.ends.append(proxy.stop)
        large = self.bucket.get("core/large.jsonl")
        self.bucket.put("replaced/large.jsonl", large)
        tool.run("plan", url("replaced/"), "--out", url("replaced-set"), *PLAN_OPTIONS, "--write")
        later = Call(lambda: self.bucket.put("replaced/large.jsonl", large[::-1].lstrip(b"\n") + b"\n"))

        def replace(request):
            # Not the first piece of it.
            return later if request.key == "replaced/large.jsonl" and not request.headers.get("range", "bytes=0-").startswith("bytes=0-") else None

        proxy.fault = replace
        ran = self.place.tool_at(proxy.port).run("run", "--plan", url("replaced-set"), "--unit", "0", "--quiet", expected=PERMANENT)
        assert_that(not scene.records_of(self.place.objects("replaced-set")), "no record of a mixture")
        ok(f"a source replaced while it is read: exit code {ran.code}, no record: {ran.err.strip().splitlines()[0]}")

        commands = [["run", "--plan", out, "--unit", "0"], ["status", out], ["finalize", out]]
        run = ["run", url("core/"), "--out", url("wrong")]
        wrong = "not-the-secret-5b1c"
        for command in [run, *commands]:
            ran = tool.but(AWS_SECRET_ACCESS_KEY=wrong, UL2_PREP_RETRY_SECONDS="5").run(*command, expected=None)
            assert_that(ran.code == PERMANENT or command == run and ran.code in (1, 2), f"a wrong secret: {ran}")
            said = ran.out + ran.err
            for credential in (wrong, seaweed.SECRET, seaweed.KEY_ID, "Signature=", "AWS4"):
                assert_that(credential not in said, f"`{credential}` is printed: {ran}")
        ok(f"a wrong secret: exit code {PERMANENT}, no credential printed: {ran.err.strip().splitlines()[0]}")
        for name, files in (("data set", self.place.objects("refused")), ("clean run", self.clean)):
            for path, content in files.items():
                assert_that(not any(text.encode() in content for text in (seaweed.SECRET, seaweed.KEY_ID)), f"a credential in {path} of the {name}")
        ok("no object holds a credential")
        # What the original says of a wrong secret.
        more = f"<AWSAccessKeyId>{seaweed.KEY_ID}</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256</StringToSign><SignatureProvided>5f2c</SignatureProvided>"
        proxy.fault = lambda request: Refuse(403, "SignatureDoesNotMatch", more)
        for command in [run, *commands]:
            ran = self.place.tool_at(proxy.port).run(*command, expected=None)
            assert_that(ran.code == PERMANENT or command == run and ran.code in (1, 2), f"a wrong secret: {ran}")
            for credential in (seaweed.KEY_ID, "5f2c"):
                assert_that(credential not in ran.out + ran.err, f"`{credential}` is printed: {ran}")
        ok(f"a store that names the key in what it says: it is not printed: {ran.err.strip().splitlines()[0]}")
        for command in [run, *commands]:
            for bucket in (url("core/"), url("wrong")) if command == run else (out,):
                elsewhere = [bucket.replace(BUCKET, "no-such-bucket") if word == bucket else word for word in command]
                ran = tool.but(UL2_PREP_RETRY_SECONDS="5").run(*elsewhere, expected=None)
                assert_that(ran.code == PERMANENT or command == run and ran.code in (1, 2), f"a missing bucket: {ran}")
        ok(f"a missing bucket: exit code {PERMANENT}: {ran.err.strip().splitlines()[0]}")
        dead = self.place.tool_at(seaweed.free_ports(1)[0]).but(UL2_PREP_RETRY_SECONDS="3")
        for command in [run, *commands]:
            ran = dead.run(*command, expected=None)
            assert_that(ran.code == TRANSIENT or command == run and ran.code in (1, 2), f"nobody listens: {ran}")
            assert_that(ran.seconds < 30, f"3 s are for retries: {ran}")
            assert_that("Connection refused" in ran.err, f"why nobody answers: {ran}")
        ok(f"an end point where nobody listens: exit code {TRANSIENT} after {ran.seconds:.0f} s: {ran.err.strip().splitlines()[0]}")
        proxy.fault = lambda request: Refuse(503, "SlowDown")
        ran = self.place.tool_at(proxy.port).but(UL2_PREP_RETRY_SECONDS="3").run("run", "--plan", out, "--unit", "0", expected=TRANSIENT)
        ok(f"a store that answers SlowDown for ever: exit code {TRANSIENT} after {ran.seconds:.0f} s")

    def nondeterministic(self):
        """A record with other bytes is never replaced, nor taken for one's own."""
        out = "other-record"
        self.tool.run("plan", url("core/"), "--out", url(out), *PLAN_OPTIONS, "--write")
        record = scene.records_of(self.clean)[0]
        other = json.loads(self.clean[record])
        other["file"]["sha256"] = "0" * 64
        proxy = self.place.proxy()
        self.ends.append(proxy.stop)
        content = json.dumps(other, indent=2).encode()

        def put_first(request):
            if request.kind == "create" and request.key.endswith(record):
                return Call(lambda: self.bucket.put(f"{out}/{record}", content))
            return None

        proxy.fault = put_first
        ran = self.place.tool_at(proxy.port).run("run", "--plan", url(out), "--unit", "0", "--quiet", expected=PERMANENT)
        assert_that("not deterministic" in ran.err, str(ran))
        assert_that(self.bucket.get(f"{out}/{record}") == content, "the other record stays")
        ok(f"a record with other bytes that comes first: exit code {PERMANENT}: {ran.err.strip().splitlines()[0]}")

    def _nothing_is_left(self):
        left = list(self.plain.temporary.rglob("*"))
        files = [path.relative_to(self.plain.temporary).as_posix() for path in left if not path.is_dir()]
        assert_that(not files, f"temporary files are left: {files}")
        ok(f"no run, ended or killed, has left a temporary file{f'; {len(left)} empty folders are left' if left else ''}")


# --- faults ---


def on_first(fault, kind=None, times=1):
    """The first requests of each kind for each key meet it."""
    seen = collections.Counter()

    def choose(request):
        if kind is not None and request.kind != kind:
            return None
        # A client that goes on in the middle of a range asks for its end again: for the same piece.
        end_of_range = request.headers.get("range", "").rpartition("-")[2]
        which = (request.kind, request.key, request.query.get("partNumber"), end_of_range)
        seen[which] += 1
        return fault if seen[which] <= times else None

    return choose


def on_any(fault, *kinds):
    chosen = {kind: on_first(fault, kind) for kind in kinds}
    return lambda request: chosen[request.kind](request) if request.kind in chosen else None


def but_for(kind, choose):
    return lambda request: None if request.kind == kind else choose(request)


def in_bursts(fault, refused=3, of=8):
    """Several requests one after the other, whatever they are."""
    number = itertools.count()
    return lambda request: fault if next(number) % of < refused else None


def in_turn(kind, *faults):
    """The first requests of a kind meet one after the other."""
    left = list(faults)
    return lambda request: left.pop(0) if left and request.kind == kind else None


def at_random(seed):
    chance = random.Random(seed)
    faults = [Hide(500), Close(heard=True), Close(heard=False), Refuse(503, "SlowDown"), Delay(1.5), Cut()]
    of_create = [Refuse(409, "ConditionalRequestConflict"), Hide(409, "ConditionalRequestConflict")]

    def choose(request):
        if chance.random() >= 0.2:
            return None
        return chance.choice(faults + of_create * (request.kind == "create"))

    return choose


# --- all of them ---

TESTS = ["bytes", "mixed", "faults", "stale", "nondeterministic", "race", "units", "refused", "resume"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=pathlib.Path)
    parser.add_argument("--long", action="store_true", help="more kills, and faults at random")
    parser.add_argument("--only", help=f"which, with commas between: {','.join([*TESTS, 'away'])}")
    args = parser.parse_args()
    args.tool = args.tool.resolve()
    try:
        args.server = seaweed.installed(ROOT / "target" / "seaweed")
    except seaweed.Unavailable as error:
        print(f"skipped: object stores ({error})")
        return 0
    chosen = args.only.split(",") if args.only else [*TESTS, "away"]
    scratch, ends, failures = pathlib.Path(tempfile.mkdtemp(prefix="ul2-prep-scale-")), [], []
    begin = time.monotonic()
    with scene.tidy(scratch, ends):
        tests = Tests(args, scratch, ends)

        def prove(name):
            start = time.monotonic()
            try:
                getattr(tests, name)()
            except Exception as failure:
                failures.append(name)
                if not Tool.is_over:
                    said = failure if isinstance(failure, (Failed, OSError)) else repr(failure)
                    print(f"failed: {name}: {said}", flush=True)
            print(f"        {name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)

        prove("_prepare")
        if not failures:
            # It waits most of the time.
            waits = threading.Thread(target=prove, args=("away",), daemon=True)
            if "away" in chosen:
                waits.start()
            for name in TESTS:
                if name in chosen:
                    prove(name)
            if "away" in chosen:
                waits.join()
            prove("_nothing_is_left")
        if failures:
            print(f"the server's log ends with:\n{tests.place.server.tail()}")
    print(f"{'failed: ' + ', '.join(failures) if failures else 'all is as it should be'}, after {time.monotonic() - begin:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
