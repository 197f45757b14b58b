"""A Server on loopback with a certificate of its own, and raw clients for it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from metrics_apiserver.api import server
from metrics_apiserver.api.connection import Limits
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.api.server import Call, Server
from tests.fakes import pki

CA = pki.authority("server-ca")
SERVER = pki.server(CA, "localhost", "127.0.0.1")
QUICK = Limits(header_seconds=0.3, idle_seconds=0.6, handshake_seconds=0.3, linger_seconds=0.2)
Run = Callable[[Coroutine[Any, Any, None]], None]


def server_context(*client_authorities: pki.Certified) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    pki.load_pair(context, SERVER)
    for authority in client_authorities:
        context.load_verify_locations(cadata=authority.pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(*certified: pki.Certified) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=CA.pem.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # on from Python 3.13; Go asks for less
    if certified:
        pki.load_pair(context, *certified)
    return context


@dataclass
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


@dataclass
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def get(self, target: str = "/", *lines: str, method: str = "GET") -> Reply:
        head = [f"{method} {target} HTTP/1.1", "Host: x", *lines, "", ""]
        await self.send("\r\n".join(head).encode("utf-8", "surrogateescape"))
        return await self.reply(has_body=method != "HEAD")

    async def reply(self, *, has_body: bool = True) -> Reply:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = [(n, v.strip()) for n, _, v in (line.partition(":") for line in head[1:-2])]
        reply = Reply(int(head[0].split()[1]), headers, b"")
        length = reply.header("Content-Length")
        if length is not None and has_body:
            reply.body = await self.reader.readexactly(int(length))
        return reply

    async def is_cut_off_while_sending(self) -> bool:
        """Sends until the other side has had enough of it."""
        try:
            while True:
                await self.send(b"x" * 65536)
                await asyncio.sleep(0.01)
        except (ConnectionError, ssl.SSLError):
            return True

    async def is_closed(self) -> bool:
        """Reads to the end; False when more came instead."""
        try:
            return await self.reader.read(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True


@dataclass
class RunningServer:
    """A running server."""

    server: Server
    port: int
    calls: list[Call] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def client(self, *certified: pki.Certified) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=client_context(*certified)
        )
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()

    async def get(self, target: str = "/", *lines: str, method: str = "GET") -> Reply:
        async with self.client() as client:
            return await client.get(target, *lines, method=method)


async def until(condition: Callable[[], object]) -> None:
    """Waits for something that nobody announces."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def answer_ok(_call: Call) -> Encoded:
    return Encoded(b'{"ok":true}')


@contextlib.asynccontextmanager
async def listening(
    handler: Callable[[Call], Awaitable[Encoded]] = answer_ok,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    tls: Callable[[], ssl.SSLContext] | None = None,
) -> AsyncIterator[RunningServer]:
    """Listens until the block ends, then finishes."""
    context = server_context()
    listener = server.bind("127.0.0.1", 0)
    port: int = listener.getsockname()[1]

    async def recorded(call: Call) -> Encoded:
        running.calls.append(call)
        return await handler(call)

    running = RunningServer(Server(recorded, tls or (lambda: context), limits), port)
    async with asyncio.TaskGroup() as group:
        group.create_task(running.server.serve(listener))
        try:
            yield running
        finally:
            await running.server.finish(0.5)
