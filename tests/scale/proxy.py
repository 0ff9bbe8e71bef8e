"""A proxy for HTTP/1.1 on the loopback interface that makes chosen requests go wrong.

    proxy = Proxy(port, port_of_the_server)
    proxy.start()
    proxy.fault = lambda request: Hide(500) if request.kind == "create" else None
    …
    proxy.stop()

A fault is chosen for each request, in the proxy's own thread. Bodies are held in memory: they are parts of 8 MiB.
"""

import asyncio
import dataclasses
import threading
import time
import urllib.parse


@dataclasses.dataclass
class Refuse:
    """The server does not hear of the request; this is the reply."""

    status: int
    code: str = "InternalError"
    more: str = ""


@dataclasses.dataclass
class Hide:
    """The server does what it is asked; this is the reply instead of its own."""

    status: int
    code: str = "InternalError"


@dataclasses.dataclass
class Close:
    """The connection ends without a reply, before or after the server heard of the request."""

    heard: bool


@dataclasses.dataclass
class Delay:
    """The reply comes late."""

    seconds: float


@dataclasses.dataclass
class Cut:
    """The reply ends in the middle of its body, or of its head where it has no body; then the connection ends."""


@dataclasses.dataclass
class Call:
    """Something is done, which may take its time, before the server hears of the request, if it does."""

    function: object
    heard: bool = True


@dataclasses.dataclass
class Request:
    method: str
    key: str
    query: dict
    headers: dict
    kind: str
    size: int

    def __str__(self):
        return f"{self.kind} {self.key}"


def kind_of(method, key, query, headers):
    """What the request is in the commit protocol."""
    if method == "POST" and "uploads" in query:
        return "begin upload"
    if method == "POST" and "uploadId" in query:
        return "complete upload"
    if method == "DELETE":
        return "abandon upload" if "uploadId" in query else "delete"
    if method == "PUT" and "partNumber" in query:
        return "put part"
    if method == "PUT":
        return "create" if "if-none-match" in headers else "put"
    if method == "GET" and ("list-type" in query or not key):
        return "list"
    return method.lower()


async def read_message(reader, body=True):
    """Head and body, with chunks joined."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    status = first.split(" ")[1]
    if not body or status in ("204", "304"):
        return first, headers, b""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        del headers["transfer-encoding"]
        chunks = []
        while size := int((await reader.readline()).split(b";")[0], 16):
            chunks.append(await reader.readexactly(size))
            await reader.readline()
        while (await reader.readline()).strip():
            pass
        content = b"".join(chunks)
    else:
        content = await reader.readexactly(int(headers.get("content-length", 0)))
    headers["content-length"] = str(len(content))
    return first, headers, content


def message(first, headers, content):
    return "\r\n".join([first, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode("latin-1") + content


def reply_of(method, status, code, more=""):
    """A reply as S3 gives it."""
    content = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>by the proxy</Message>{more}</Error>'.encode()
    headers = {"content-type": "application/xml", "content-length": str(len(content))}
    return message(f"HTTP/1.1 {status} {code}", headers, b"" if method == "HEAD" else content)


class Proxy:
    def __init__(self, port, upstream, rewrite=None):
        self.port, self.upstream = port, upstream
        # What the server gets instead, if that is another thing: of method, target, headers and body a target and headers.
        self.rewrite = rewrite
        self.fault = lambda request: None
        # What came by: when, request, fault, status of the reply that the client got.
        self.log = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.server = None
        self.writers = set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.thread.start()
        self.listen()

    def listen(self):
        """Also again after `away`, at the same port."""

        async def listen():
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, limit=1 << 20)

        asyncio.run_coroutine_threadsafe(listen(), self.loop).result()

    def away(self):
        """Nobody listens any more, and all connections end."""

        async def away():
            if self.server is not None:
                self.server.close()
                self.server = None
            for writer in list(self.writers):
                writer.transport.abort()

        asyncio.run_coroutine_threadsafe(away(), self.loop).result()

    def stop(self):
        if self.thread.is_alive():
            self.away()

            async def end():
                tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

            asyncio.run_coroutine_threadsafe(end(), self.loop).result()
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()

    async def serve(self, reader, writer):
        self.writers.add(writer)
        try:
            while await self.exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # One side is gone, and the other one learns it in the same way; or this proxy is stopped.
            pass
        finally:
            self.writers.discard(writer)
            writer.transport.abort()

    async def exchange(self, reader, writer):
        """One request and its reply; whether the connection goes on."""
        first, headers, content = await read_message(reader)
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        _, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        request = Request(method, key, query, headers, kind_of(method, key, query, headers), len(content))
        fault = self.fault(request)
        entry = [time.monotonic(), request, fault, None]
        self.log.append(entry)
        match fault:
            case Call(function, heard):
                await asyncio.to_thread(function)
                if not heard:
                    return False
            case Refuse(status, code, more):
                entry[3] = status
                writer.write(reply_of(method, status, code, more))
                await writer.drain()
                return True
            case Close(heard=False):
                return False
        if self.rewrite is not None:
            target, headers = self.rewrite(method, target, headers, content)
            first = f"{method} {target} HTTP/1.1"
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream, limit=1 << 20)
        self.writers.add(up_writer)
        try:
            # Unsigned headers alone are changed: a connection here carries one request.
            up_writer.write(message(first, {**headers, "connection": "close"}, content))
            await up_writer.drain()
            while True:
                first, headers, content = await read_message(up_reader, body=method != "HEAD")
                if first.split(" ")[1] != "100":
                    break
        finally:
            self.writers.discard(up_writer)
            up_writer.transport.abort()
        headers.pop("connection", None)
        entry[3] = int(first.split(" ")[1])
        reply = message(first, headers, content)
        match fault:
            case Hide(status, code):
                entry[3] = f"{entry[3]}, hidden by {status}"
                reply = reply_of(method, status, code)
            case Close():
                entry[3] = f"{entry[3]}, lost"
                return False
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Cut():
                entry[3] = f"{entry[3]}, cut"
                writer.write(reply[: len(reply) - len(content) // 2] if len(content) > 1 else reply[: len(reply) // 2])
                await writer.drain()
                writer.close()
                await asyncio.sleep(0)
                return False
        writer.write(reply)
        await writer.drain()
        return True
