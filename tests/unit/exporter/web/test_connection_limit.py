"""The limits in front of aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from metrics_apiserver.exporter.web.connection_limit import ConnectionLimiter
from tests.fakes import waiting


async def handle(request: web.Request) -> web.Response:
    return web.Response(body=b"x" * 3_000_000 if request.path == "/large" else b"ok")


class Place:
    """A port limited to two connections and a fifth of a second."""

    def __init__(
        self, runner: web.AppRunner, limiter: ConnectionLimiter, server: asyncio.Server
    ) -> None:
        self.runner, self.limiter, self.server = runner, limiter, server
        self.port = server.sockets[0].getsockname()[1]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    limiter = ConnectionLimiter(runner.server, limit=2, header_timeout_seconds=0.2)
    server = await asyncio.get_running_loop().create_server(limiter, "127.0.0.1", 0)
    yield Place(runner, limiter, server)
    server.close()
    await runner.cleanup()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str = "/") -> bytes:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return await reader.readexactly(size)


async def test_requests_pass(place: Place) -> None:
    reader, writer = await place.connect()
    assert await ask(reader, writer) == b"ok"
    assert len(await ask(reader, writer, "/large")) == 3_000_000
    await asyncio.sleep(0.3)
    assert await ask(reader, writer) == b"ok", "the deadline is for the first request only"
    writer.close()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n\r"])
async def test_a_client_that_does_not_finish_its_headers(place: Place, said: bytes) -> None:
    reader, writer = await place.connect()
    writer.write(said)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        async with asyncio.timeout(3):
            await reader.readuntil(b"never")
    writer.close()


async def test_headers_in_pieces(place: Place) -> None:
    reader, writer = await place.connect()
    for piece in (b"GET / HTTP/1.1\r\nHost: x\r", b"\n\r", b"\n"):
        writer.write(piece)
        await asyncio.sleep(0.02)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await asyncio.sleep(0.3)
    assert not reader.at_eof()
    writer.close()


async def test_connections_beyond_the_limit(place: Place) -> None:
    first, second = await place.connect(), await place.connect()
    for one in (first, second):
        assert await ask(*one) == b"ok"
    reader, writer = await place.connect()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await ask(reader, writer)
    writer.close()
    first[1].close()
    await first[1].wait_closed()
    await waiting.until(lambda: place.limiter.open == 1)
    third = await place.connect()
    assert await ask(*third) == b"ok"
    second[1].close()
    third[1].close()
