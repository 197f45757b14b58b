"""A backend that misbehaves on command: canned answers, faults, or the bytes of a real Prometheus.

A mood is a coroutine that answers one request; the factories below make the usual ones. Moods in
`script` are used up first, one for each request, then `mood` stays. Every request is kept.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Received:
    """One request as it arrived.

    Attributes:
        raw: head and body, byte by byte.
        form: fields of the query string or of the body.
        headers: lower-case name to the last value.
    """

    raw: bytes
    method: str
    path: str
    form: Mapping[str, list[str]]
    headers: Mapping[str, str]
    peer_certificate: Mapping[str, object] | None = None


@dataclass
class Exchange:
    """What a mood works with."""

    request: Received
    writer: asyncio.StreamWriter
    target: str | None

    async def forward(self) -> bytes:
        """The whole answer of the real backend, which closes its connection after it."""
        assert self.target is not None, "this upstream stands before nothing"
        address = urlsplit(self.target)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head, _, body = self.request.raw.partition(b"\r\n\r\n")
        try:
            writer.write(head + b"\r\nConnection: close\r\n\r\n" + body)
            return await reader.read()
        finally:
            writer.close()

    def abort(self) -> None:
        """Resets the connection."""
        self.writer.transport.abort()


# True keeps the connection for the next request.
Mood = Callable[[Exchange], Awaitable[bool]]


def forward() -> Mood:
    """The real backend's answer, unchanged."""

    async def mood(exchange: Exchange) -> bool:
        exchange.writer.write(await exchange.forward())
        await exchange.writer.drain()
        return False

    return mood


@dataclass
class Upstream:
    """Listens on loopback while it is entered.

    Attributes:
        target: URL of a real backend for the moods that forward.
        tls: serve https by this context.
        mood: answers requests once `script` is used up.
        hits: requests received.
        connections: connections accepted.
    """

    target: str | None = None
    tls: ssl.SSLContext | None = None
    mood: Mood = field(default_factory=forward)
    script: list[Mood] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[object]] = field(default_factory=set)

    @property
    def hits(self) -> int:
        return len(self.requests)

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    async def __aenter__(self) -> Upstream:
        self._server = await asyncio.start_server(
            self._converse, "127.0.0.1", 0, ssl=self.tls, limit=4 * 1024 * 1024
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        # A handler that is cancelled at the end of a test is no error of the server.
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                request = await _receive(reader, writer)
                self.requests.append(request)
                mood = self.script.pop(0) if self.script else self.mood
                if not await mood(Exchange(request, writer, self.target)):
                    break
                await writer.drain()
        writer.close()
        with suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
            await writer.wait_closed()


async def _receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Received:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").splitlines()
    method, target, _ = first.split(" ")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    path, _, query = target.partition("?")
    form = parse_qs(body.decode() if method == "POST" else query, keep_blank_values=True)
    peer = writer.get_extra_info("peercert")
    return Received(head + body, method, path, form, headers, peer)


def answer(body: bytes | str, status: int = 200, headers: Mapping[str, str] | None = None) -> Mood:
    """Any body; `Content-Length` is right unless given."""
    data = body.encode() if isinstance(body, str) else body
    fields = {
        "Content-Type": "application/json",
        "Content-Length": str(len(data)),
        **(headers or {}),
    }
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    head = f"HTTP/1.1 {status} {phrase}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return raw(head.encode() + b"\r\n" + data, keep=True)


def raw(data: bytes, *, keep: bool = False) -> Mood:
    """Exactly these bytes, then the end of the connection unless `keep`."""

    async def mood(exchange: Exchange) -> bool:
        exchange.writer.write(data)
        await exchange.writer.drain()
        return keep

    return mood


def success(data: object, **envelope: object) -> Mood:
    """`status: success` with this data; further keys such as `warnings` stand beside it."""
    return answer(json.dumps({"status": "success", "data": data, **envelope}))


def vector(*samples: tuple[Mapping[str, str], str], **envelope: object) -> Mood:
    """An instant vector of (labels, value)."""
    result = [{"metric": labels, "value": [1700000000.5, value]} for labels, value in samples]
    return success({"resultType": "vector", "result": result}, **envelope)


def error(
    status: int, error_type: str, text: str, headers: Mapping[str, str] | None = None
) -> Mood:
    """`status: error`, as the API words it, under any HTTP status."""
    body = json.dumps({"status": "error", "errorType": error_type, "error": text})
    return answer(body, status, headers)


def slow(seconds: float, then: Mood | None = None) -> Mood:
    """Nothing for a while, then the answer."""

    async def mood(exchange: Exchange) -> bool:
        await asyncio.sleep(seconds)
        return await (then or forward())(exchange)

    return mood


def hang() -> Mood:
    """Accepts and never answers."""
    return slow(3600)


def reset() -> Mood:
    """Breaks the connection before a byte of the answer."""

    async def mood(exchange: Exchange) -> bool:
        exchange.abort()
        return False

    return mood


def truncate(size: int, then: Mood | None = None) -> Mood:
    """The first `size` bytes of the real answer (or of `then`'s), then a reset.

    Args:
        size: bytes of head and body; negative counts from the end.
        then: a mood made by `raw` or `answer`.
    """

    async def mood(exchange: Exchange) -> bool:
        kept = await exchange.forward() if then is None else await _recorded(then, exchange)
        exchange.writer.write(kept[:size])
        await exchange.writer.drain()
        exchange.abort()
        return False

    return mood


def drip(then: Mood, *, size: int = 1, pause: float = 0.05) -> Mood:
    """The answer of `then`, a few bytes at a time."""

    async def mood(exchange: Exchange) -> bool:
        data = await _recorded(then, exchange)
        for start in range(0, len(data), size):
            exchange.writer.write(data[start : start + size])
            await exchange.writer.drain()
            await asyncio.sleep(pause)
        return True

    return mood


def html(status: int = 502) -> Mood:
    """A proxy's error page."""
    page = "<html><body><h1>upstream</h1></body></html>"
    return answer(page, status, {"Content-Type": "text/html"})


def refusing(status: int, paths: Sequence[str], method: str = "", body: str = "refused") -> Mood:
    """Refuses requests below these paths, of this method if one is given; forwards the others."""

    async def mood(exchange: Exchange) -> bool:
        request = exchange.request
        if request.path.startswith(tuple(paths)) and method in ("", request.method):
            return await answer(body, status, {"Content-Type": "text/html"})(exchange)
        return await forward()(exchange)

    return mood


def redirect(location: str, status: int = 302) -> Mood:
    return answer("", status, {"Location": location})


def gzip_bomb(mebibytes: int) -> Mood:
    """A small body that is `mebibytes` of spaces inside a JSON answer when decoded."""
    inside = b'{"status":"success","data":[' + b" " * (mebibytes * 1024 * 1024) + b"]}"
    return gzipped(inside)


def gzipped(body: bytes, *, cut: int = 0, tail: bytes = b"") -> Mood:
    """`body` as gzip; `cut` takes bytes off its end, `tail` adds some after it."""
    data = gzip.compress(body)
    data = data[: len(data) - cut] + tail
    return answer(data, headers={"Content-Encoding": "gzip"})


class _Tape:
    """Stands in for a writer and keeps what a mood writes."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        pass


async def _recorded(mood: Mood, exchange: Exchange) -> bytes:
    tape = _Tape()
    await mood(Exchange(exchange.request, tape, exchange.target))  # type: ignore[arg-type] # writes
    return tape.data
