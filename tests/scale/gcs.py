#!/usr/bin/env python3
"""`gs://` URLs against a server that speaks Google's XML interface as far as the tool uses it: the bytes of a run on local disks, and many writers.

    python3 tests/scale/gcs.py --tool target/ci/ul2-prep

That interface is S3's, but for three things, which a proxy before SeaweedFS turns into S3's: who asks is said by a token and not by a signature,
slashes in names are escaped, and "unless it is there" is called "if the generation is 0". So this shows that the tool's `gs://` works with a store
that keeps its word; whether Google's does, and tokens, are not tried. (`fake-gcs-server` refuses the plain PUT of this interface.)
"""

import datetime
import json
import pathlib
import sys
import urllib.parse

import proxy as faulty
import scene
import seaweed
from bucket import Bucket, sign
from s3 import BUCKET, OPTIONS, PLAN_OPTIONS, ROOT
from scene import Tool, assert_same_but_inputs, ok


def as_s3(port):
    def rewrite(method, target, headers, content):
        path, _, query = target.partition("?")
        path = urllib.parse.quote(urllib.parse.unquote(path), safe="/-_.~")
        pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
        query = "&".join(f"{urllib.parse.quote(name, safe='')}={urllib.parse.quote(value, safe='')}" for name, value in pairs)
        kept = {name: value for name, value in headers.items() if name not in ("authorization", "host", "x-goog-if-generation-match")}
        if headers.get("x-goog-if-generation-match") == "0":
            kept["if-none-match"] = "*"
        now = datetime.datetime.now(datetime.timezone.utc)
        signed = sign(method, f"127.0.0.1:{port}", path, query, content, seaweed.KEY_ID, seaweed.SECRET, now)
        return f"{path}?{query}" if query else path, {**kept, **signed}

    return rewrite


def prove(args, scratch, ends):
    server = seaweed.Server(args.server, scratch / "server")
    ends.append(server.kill)
    server.start()
    bucket = Bucket(server.port, BUCKET, seaweed.KEY_ID, seaweed.SECRET)
    bucket.create()
    proxy = faulty.Proxy(seaweed.free_ports(1)[0], server.port, as_s3(server.port))
    ends.append(proxy.stop)
    proxy.start()
    # A key file as Google makes it, of an account that needs no token.
    account = {"gcs_base_url": proxy.url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    plain = Tool(args.tool, scratch)
    tool = plain.but(GOOGLE_SERVICE_ACCOUNT_KEY=json.dumps(account), GOOGLE_ALLOW_HTTP="true")

    def url(path):
        return f"gs://{BUCKET}/{path}"

    sources, others = scene.whole_sources()
    for name, content in {**sources, **others}.items():
        bucket.put(f"whole/{name}", content)
    scene.write(scratch / "whole", {**sources, **others})
    plain.run("run", scratch / "whole", "--out", scratch / "local", *OPTIONS)
    local = scene.files_of(scratch / "local")
    tool.run("run", url("whole/"), "--out", url("set"), *OPTIONS)
    found = bucket.objects("set/")
    scene.assert_same_rows(found, local, "bucket to bucket")
    kinds = sorted({request.kind for _, request, _, _ in proxy.log})
    ok(f"gs://: `run` from bucket to bucket writes the bytes of local disks ({len(found)} objects; requests: {', '.join(kinds)})")
    scene.made_by_many(tool, url("whole/"), url("race"), PLAN_OPTIONS, attempts=8, finalizers=1)
    assert_same_but_inputs(bucket.objects("race/"), found, "8 at once")
    ok("gs://: 8 processes make one unit at once, then `finalize`: every object as in one run")


if __name__ == "__main__":
    sys.exit(scene.main(__doc__, "gs://", lambda: seaweed.installed(ROOT / "target" / "seaweed"), seaweed.Unavailable, prove))
