#!/usr/bin/env python3
"""A hostile web server of our own on the loopback interface: what the tool makes of it.

    python3 tests/attack/web.py --tool target/ci/ul2-prep [--short]

Each mode is a way to answer that no server should have. The tool must end with an error that names the cause, in bounded time and memory, or with the
rows of the file. The last line is `N passed, N failed`; the exit code is 1 if one failed.
"""

import argparse
import gzip
import http.server
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading
import time

BODY = b"".join(json.dumps({"text": f"line {number} of a file that lies on a server"}).encode() + b"\n" for number in range(200))
ZIPPED = gzip.compress(bytes(1 << 26), 9)
MOST_MEMORY = 400 << 20


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    mode = "good"
    versions = 0

    def handle_error(self, request, client_address):
        # A client that has had enough hangs up.
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def head(self, status, *headers, mark=True):
        self.send_response_only(status)
        if mark:
            self.send_header("ETag", '"one"')
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def endless(self, chunk=b"x" * 65536):
        for _ in range(200_000):
            self.wfile.write(chunk)

    def error(self):
        """An endless body of an error, chunked."""
        self.head(403, ("Transfer-Encoding", "chunked"))
        self.endless(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    def do_PUT(self):
        if self.path == "/latest/api/token":
            self.head(200, ("Content-Length", "1"))
            return self.wfile.write(b"t")
        self.error()

    def do_POST(self):
        self.error()

    def do_HEAD(self):
        mode = self.server.mode
        if "." not in self.path:
            return self.head(404, ("Content-Length", "0"))
        if mode == "redirect loop":
            return self.head(302, ("Location", self.path), ("Content-Length", "0"))
        if mode.startswith("redirect to "):
            return self.head(302, ("Location", f"http://{mode.split()[-1]}/a.jsonl"), ("Content-Length", "0"))
        if mode == "endless head":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            return self.endless(b"X-Y: " + b"y" * 1000 + b"\r\n")
        self.head(200, ("Content-Length", str(len(BODY))), mark=mode != "no tag")

    def do_GET(self):
        mode = self.server.mode
        if mode == "endless credentials":
            # Those of a container and of an instance; the role's name is a short answer of the latter.
            self.head(200, ("Transfer-Encoding", "chunked"))
            return self.endless(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        first, last = 0, len(BODY) - 1
        if "bytes=" in self.headers.get("Range", ""):
            first, last = (int(place) for place in self.headers["Range"].split("=")[1].split("-"))
            last = min(last, len(BODY) - 1)
        part = BODY[first : last + 1]
        range_ = ("Content-Range", f"bytes {first}-{last}/{len(BODY)}")
        size = ("Content-Length", str(len(part)))
        if "list-type=2" in self.path or "comp=list" in self.path:
            if mode == "an endless error":
                return self.error()
            self.head(200, ("Transfer-Encoding", "chunked"))
            return self.endless(b"10000\r\n" + b"<" + b"x" * 65535 + b"\r\n")
        match mode:
            case "an endless error":
                self.error()
            case "an endless compressed error":
                self.head(403, ("Transfer-Encoding", "chunked"), ("Content-Encoding", "gzip"))
                self.endless(b"10000\r\n" + (ZIPPED * 64)[:65536] + b"\r\n")
            case "compressed":
                # A gigabyte if it were unfolded on the way.
                self.head(206, range_, ("Content-Length", str(len(ZIPPED))), ("Content-Encoding", "gzip"))
                self.wfile.write(ZIPPED)
            case "more than the range":
                self.head(206, range_, ("Content-Length", str(10 << 30)))
                self.wfile.write(part)
                self.endless()
            case "a chunked range":
                self.head(206, range_, ("Transfer-Encoding", "chunked"))
                self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(part), part))
            case "too short a range":
                self.head(206, range_, ("Content-Length", str(len(part) // 2)))
                self.wfile.write(part[: len(part) // 2])
            case "200 for a range":
                self.head(200, ("Content-Length", str(len(BODY))))
                self.wfile.write(BODY)
            case "another range":
                self.head(206, ("Content-Range", f"bytes {first + 1}-{last + 1}/{len(BODY) + 1}"), size)
                self.wfile.write(part)
            case "another size":
                self.head(206, ("Content-Range", f"bytes {first}-{last}/{len(BODY) + 7}"), size)
                self.wfile.write(part)
            case "another object":
                self.head(412, ("Content-Length", "0"))
            case "a cut body":
                self.head(206, range_, size)
                self.wfile.write(part[: len(part) // 2])
                self.close_connection = True
            case "a slow drip":
                self.head(206, range_, size)
                for byte in part:
                    self.wfile.write(bytes([byte]))
                    time.sleep(1)
            case _:
                self.head(206, range_, size, mark=mode != "no tag")
                self.wfile.write(part)


# mode, words that the message has, seconds, exit code. A cut body may pass, and is tried again as long as the environment says.
CASES = [
    ("good", "", 30, 0),
    ("no tag", "has neither a tag nor a time of change", 30, 0),
    ("more than the range", "sends more than the", 20, 1),
    ("a chunked range", "Content-Length", 20, 1),
    ("too short a range", "bytes of the", 20, 1),
    ("200 for a range", "sends no parts of files", 20, 1),
    ("another range", "Requested", 20, 1),
    ("another size", "another object now than it was", 20, 1),
    ("another object", "another object now than it was", 20, 1),
    ("redirect loop", "too many redirects", 20, 2),
    ("redirect to 169.254.169.254", "hint: set `UL2_PREP_PRIVATE_REDIRECTS=1` if you trust the server", 20, 2),
    ("endless head", "", 40, 2),
    ("a cut body", "", 40, 1),
    ("an endless error", "more than 1048576 bytes where an error is expected", 20, 1),
    ("an endless compressed error", "more than 1048576 bytes where an error is expected", 20, 1),
    ("compressed", "sends more than the", 20, 1),
    ("endless credentials", "more than 1048576 bytes where a short answer is expected", 20, 2),
    ("an endless listing", "more than 67108864 bytes where a part of a listing is expected", 40, 2),
]
LONG = [("a slow drip", "", 90, 1)]


def attacked(tool, server, case, folder):
    mode, words, seconds, code = case
    server.mode = mode
    url = f"http://127.0.0.1:{server.server_port}/a.jsonl"
    environment = {**os.environ, "UL2_PREP_RETRY_SECONDS": "8", "NO_PROXY": "127.0.0.1"}
    faults = []
    options = ["--out", str(folder / mode.replace(" ", "-")), "--quiet", "--workers", "1"]
    commands = [(["run", url, *options], {})]
    listing = ["run", "s3://bucket/in/", *options]
    endpoint = url.removesuffix("/a.jsonl")
    store = {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"}
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    if mode == "endless credentials":
        (folder / "token").write_text("t")
        pod = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(folder / "token")}
        commands = [(listing, store | pod), (listing, store | {"AWS_METADATA_ENDPOINT": endpoint})]
    elif mode == "an endless listing":
        commands = [(listing, store | keys)]
    elif mode == "an endless error":
        commands.append((listing, store | keys))
    elif mode == "more than the range":
        commands.append((["recipes", "--tokenizer", url.replace("a.jsonl", "tokenizer.json")], {}))
    for command, more in commands:
        begin = time.monotonic()
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        process = subprocess.Popen([tool, *command], env=environment | more, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, preexec_fn=limit)
        killer = threading.Timer(seconds, process.kill)
        killer.start()
        said = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        took, memory = time.monotonic() - begin, usage.ru_maxrss << 10
        expected = 2 if command[0] == "recipes" or "s3://" in command[1] else code
        if process.returncode != expected:
            faults.append(f"exit code {process.returncode}, expected {expected}, after {took:.1f} s")
        if words not in said or "panicked" in said:
            faults.append(f"the message does not say `{words}`")
        if memory > MOST_MEMORY:
            faults.append(f"{memory >> 20} MiB of memory")
        print(f"{'FAILED' if faults else 'passed'}: {mode}: {command[0]}: {took:.1f} s, {memory >> 20} MiB: {said.strip().splitlines()[:1]}")
        for fault in faults:
            print(f"    {fault}")
    return not faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=pathlib.Path)
    parser.add_argument("--short", action="store_true", help="without what takes a minute")
    arguments = parser.parse_args()
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cases = CASES + ([] if arguments.short else LONG)
    with tempfile.TemporaryDirectory() as folder:
        passed = [attacked(arguments.tool.resolve(), server, case, pathlib.Path(folder)) for case in cases]
    server.shutdown()
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
