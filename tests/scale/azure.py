#!/usr/bin/env python3
"""Sources and data sets in a container of Azure's Blob Storage, as Azurite plays it: the bytes of a run on local disks, and many writers at once.

    python3 tests/scale/azure.py --tool target/ci/ul2-prep

The core of s3.py for a store of another kind: another signature, other names for the same requests, parts that are blocks. Azurite comes from npm
into `target/`; where it cannot be installed, this is said, and nothing is tried.
"""

import base64
import datetime
import hmac
import http.client
import os
import pathlib
import subprocess
import sys
import time
import urllib.parse
import xml.etree.ElementTree

import scene
from s3 import OPTIONS, PLAN_OPTIONS, SHARDS
from scene import Tool, assert_same_but_inputs, assert_that, ok
from seaweed import GUARD, Unavailable, free_ports

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = "azurite@3.37.0"
ACCOUNT, KEY, CONTAINER = "scaletest", base64.b64encode(b"no secret: for tests alone" * 2).decode(), "scale"


def installed(folder):
    """Azurite's script, in `folder`."""
    script = folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    stamp = folder / f"{PACKAGE}.installed"
    if not (script.exists() and stamp.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, PACKAGE]
            subprocess.run(install, check=True, capture_output=True, text=True)
            stamp.touch()
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unavailable(f"{PACKAGE} cannot be installed: {getattr(error, 'stderr', None) or error}".strip()) from error
    return script


class Server:
    def __init__(self, script, folder):
        (self.port,) = free_ports(1)
        self.log = folder / "azurite.log"
        data = folder / "azurite"
        data.mkdir()
        # Without the check of versions it takes requests of clients that are newer than itself.
        options = ["--blobHost", "127.0.0.1", "--blobPort", self.port, "--location", data, "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", GUARD, "sh", "node", script, *map(str, options)], stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
            )  # fmt: skip

    def wait(self, answers):
        begin = time.monotonic()
        while True:
            try:
                return answers()
            except OSError as error:
                if time.monotonic() - begin > 60:
                    raise OSError(f"the server does not answer: {self.log.read_text(errors='replace')[-2000:]}") from error
            time.sleep(0.1)

    def kill(self):
        self.process.stdin.close()
        self.process.wait()


class Container:
    """The few requests that the test needs, signed with the standard library (Shared Key)."""

    def __init__(self, port):
        self.port = port

    def ask(self, method, name="", query=None, body=b"", headers=None):
        path = urllib.parse.quote(f"/{ACCOUNT}/{CONTAINER}/{name}".rstrip("/"))
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {**(headers or {}), "x-ms-date": now, "x-ms-version": "2023-11-03"}
        query = query or {}
        # Of the standard headers only the length is sent.
        standard = ["", "", str(len(body) or ""), *[""] * 8]
        own = [f"{key}:{headers[key]}" for key in sorted(headers)]
        resource = [f"/{ACCOUNT}{path}", *(f"{key}:{query[key]}" for key in sorted(query))]
        text = "\n".join([method, *standard, *own, *resource])
        signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")).decode()
        headers["authorization"] = f"SharedKey {ACCOUNT}:{signature}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, f"{path}?{urllib.parse.urlencode(query)}" if query else path, body, headers)
            reply = connection.getresponse()
            content = reply.read()
        finally:
            connection.close()
        assert_that(reply.status // 100 == 2, f"{method} {path}: {reply.status} {content[:300]!r}")
        return content

    def create(self):
        self.ask("PUT", query={"restype": "container"})

    def put(self, name, body):
        self.ask("PUT", name, body=body, headers={"x-ms-blob-type": "BlockBlob"})

    def list(self, prefix):
        found, marker = [], ""
        while True:
            query = {"restype": "container", "comp": "list", "prefix": prefix, **({"marker": marker} if marker else {})}
            root = xml.etree.ElementTree.fromstring(self.ask("GET", query=query).decode("utf-8-sig"))
            found += [name.text for name in root.findall("./Blobs/Blob/Name")]
            marker = root.findtext("NextMarker")
            if not marker:
                return found

    def objects(self, prefix):
        """All objects below, by their names without the prefix."""
        return {name[len(prefix) :]: self.ask("GET", name) for name in self.list(prefix)}


def prove(args, scratch, ends):
    server = Server(args.server, scratch)
    ends.append(server.kill)
    container = Container(server.port)
    server.wait(container.create)
    plain = Tool(args.tool, scratch)
    tool = plain.but(
        AZURE_STORAGE_ACCOUNT_NAME=ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY=KEY, AZURE_STORAGE_USE_EMULATOR="true", AZURE_ALLOW_HTTP="true",
        AZURE_STORAGE_ENDPOINT=f"http://127.0.0.1:{server.port}/{ACCOUNT}", AZURITE_BLOB_STORAGE_URL=f"http://127.0.0.1:{server.port}",
    )  # fmt: skip

    def url(path):
        return f"az://{CONTAINER}/{path}"

    sources, others = scene.whole_sources()
    for name, content in {**sources, **others}.items():
        container.put(f"whole/{name}", content)
    scene.write(scratch / "whole", {**sources, **others})
    plain.run("run", scratch / "whole", "--out", scratch / "local", *OPTIONS)
    local = scene.files_of(scratch / "local")
    tool.run("run", url("whole/"), "--out", url("set"), *OPTIONS)
    found = container.objects("set/")
    scene.assert_same_rows(found, local, "container to container")
    assert_that(len(found[SHARDS[0]]) > 8 * scene.MIB, "a shard of several parts")
    ok(f"Azure: `run` from container to container writes the bytes of local disks ({len(found)} objects, {len(sources)} sources)")
    said = tool.run("verify", url("set"), "--sources", url("whole/")).out.strip()
    assert_that("no finding" in said, said)
    ok(f"Azure: `verify` of a URL: {said}")

    scene.made_by_many(tool, url("whole/"), url("race"), PLAN_OPTIONS, attempts=16, finalizers=2)
    assert_same_but_inputs(container.objects("race/"), found, "16 at once, two finalizers")
    ok(f"Azure: 16 processes make one unit at once, then two finalize at once: {len(scene.records_of(found))} records, every object as in one run")

    ran = tool.but(AZURE_STORAGE_ACCOUNT_KEY=base64.b64encode(b"wrong").decode()).run("status", url("race"), expected=64)
    assert_that(KEY not in ran.out + ran.err and "SharedKey" not in ran.out + ran.err, f"a credential is printed: {ran}")
    ok(f"Azure: a wrong key: exit code 64, no credential printed: {ran.err.strip().splitlines()[0]}")


if __name__ == "__main__":
    sys.exit(scene.main(__doc__, "Azure", lambda: installed(ROOT / "target" / "azurite"), Unavailable, prove))
