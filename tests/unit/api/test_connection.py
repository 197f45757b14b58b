"""What a Connection does without a socket; the rest is in tests/functional/api."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest
from aiohttp import http_exceptions, web

from metrics_apiserver.api import connection
from metrics_apiserver.api.answer import Answer
from metrics_apiserver.api.connection import Connection, Limits


class Owner:
    """Notes what happens."""

    def __init__(self) -> None:
        self.limits = Limits(header_seconds=0.05)
        self.events: list[str] = []

    def opened(self, connection: Connection) -> None:
        self.events.append("opened")

    def idle(self, connection: Connection) -> None:
        self.events.append("idle")

    def closed(self, connection: Connection) -> None:
        self.events.append("closed")

    def malformed(self, error: BaseException | None) -> None:
        self.events.append(type(error).__name__)


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.state = "open"

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.state != "open"

    def close(self) -> None:
        self.state = "closed"

    def abort(self) -> None:
        self.state = "aborted"


async def handler(_request: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError("no request is complete here")


class Environment:
    def __init__(self) -> None:
        self.owner = Owner()
        self.transport = Transport()
        self.subject = Connection(web.Server(handler), self.owner, asyncio.get_running_loop())
        self.subject.connection_made(self.transport)


@pytest.fixture
async def environment() -> AsyncIterator[Environment]:
    made = Environment()
    yield made
    made.subject.connection_lost(None)
    await asyncio.sleep(0)


async def test_its_life_is_told(environment: Environment) -> None:
    assert environment.owner.events == ["opened"]
    assert environment.subject.peer is None
    assert environment.subject.remote == ""
    environment.subject.connection_lost(None)
    assert environment.owner.events == ["opened", "closed"]


async def test_what_the_parser_trips_over_ends_the_connection(environment: Environment) -> None:
    class Broken:
        def feed_data(self, data: bytes) -> None:
            raise RuntimeError(data)

    environment.subject._parser = Broken()  # type: ignore[assignment]  # a parser with a fault
    environment.subject.data_received(b"GET / HTTP/1.1\r\n")
    assert environment.owner.events == ["opened", "RuntimeError"]
    assert environment.transport.state == "aborted"


async def test_a_silent_client_is_cut(environment: Environment) -> None:
    async with asyncio.timeout(5):
        while environment.transport.state == "open":  # noqa: ASYNC110 - a timer signals nobody
            await asyncio.sleep(0.01)
    assert environment.transport.state == "aborted"


async def test_an_answer_in_progress_is_not_cut_by_the_next_head(environment: Environment) -> None:
    environment.subject._request_in_progress = True
    await asyncio.sleep(0.15)
    assert environment.transport.state == "open"
    environment.subject._request_in_progress = False


async def test_aiohttp_logs_nothing_of_its_own(environment: Environment) -> None:
    environment.subject.log_exception(
        "Error handling %s", "hunter2", exc_info=ValueError("hunter2")
    )
    environment.subject.log_exception("Unhandled")
    assert environment.owner.events == ["opened", "ValueError", "NoneType"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, 400),
        (http_exceptions.BadHttpMessage("hunter2"), 400),
        (http_exceptions.BadHttpMessage("Too many headers received"), 431),
        (http_exceptions.LineTooLong(b"hunter2", 8), 431),
    ],
)
async def test_errors_are_answered_without_an_echo(
    environment: Environment, error: Exception | None, status: int
) -> None:
    request = web.BaseRequest  # only its type matters: nothing of it is read
    answer = environment.subject.handle_error(request, exc=error)  # type: ignore[arg-type]
    assert isinstance(answer, Answer)
    assert answer.status == status
    assert not answer.keep_alive
    body = answer._body_bytes
    assert orjson.loads(body)["code"] == status
    assert b"hunter2" not in body


async def test_a_closed_connection_becomes_idle_no_more(environment: Environment) -> None:
    environment.subject.abort()
    environment.subject.written()
    environment.subject.abort()
    assert "idle" not in environment.owner.events
    environment.subject._refuse_head()
    assert not environment.transport.written


def test_idle_connections_outlast_those_of_kube_apiserver() -> None:
    assert connection.Limits().idle_seconds > 90


def test_heads_may_be_as_large_as_in_go() -> None:
    assert connection.Limits().header_bytes == 1 << 20


PRIVATE: dict[type, tuple[str, ...]] = {
    web.RequestHandler: ("_loop", "_request_count", "_request_in_progress"),
    web.Server: ("_loop", "_connections"),
}


async def test_aiohttp_still_has_the_private_attributes_that_are_read() -> None:
    """A new minor version of aiohttp may rename them without a word in its changelog."""
    server = web.Server(handler)
    protocol = server()
    subjects: dict[type, object] = {web.Server: server, web.RequestHandler: protocol}
    gone = [
        f"{kind.__name__}.{name}"
        for kind, names in PRIVATE.items()
        for name in names
        if not hasattr(subjects[kind], name)
    ]
    assert gone == [], (
        f"aiohttp {aiohttp.__version__} lacks {', '.join(gone)}: adapt api/connection.py and "
        "api/server.py, then widen the range in pyproject.toml"
    )
