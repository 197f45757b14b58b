"""Rows B7, B8, B9, D1, D2, K8's sockets and O2 on real TLS sockets, under both event loops."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
import pytest
import uvloop

from metrics_apiserver.api import door
from metrics_apiserver.api.connection import Limits
from metrics_apiserver.api.door import Call
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.core import errors
from tests.fakes import doors, pki
from tests.fakes.doors import opened, until

Run = Callable[[Coroutine[Any, Any, None]], None]
QUICK = Limits(header_seconds=0.3, idle_seconds=0.6, handshake_seconds=0.3, linger_seconds=0.2)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a scenario to its end on a loop of its own."""

    def run_scenario(scenario: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(30):
                await scenario

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded())

    return run_scenario


def test_an_answer_and_its_headers(run: Run) -> None:
    async def scenario() -> None:
        async with opened() as subject, subject.client() as client:
            reply = await client.get(
                "/x?y=1", "Audit-ID: abc", "X-Remote-Group: a", "x-remote-group: b"
            )
            assert (reply.status, reply.body) == (200, b'{"ok":true}')
            assert reply.header("Content-Type") == "application/json"
            assert reply.header("Cache-Control") == "no-cache, private"
            assert reply.header("Audit-Id") == "abc"
            assert reply.header("Date")
            assert reply.header("Server") is None
            assert reply.header("Connection") is None
            (call,) = subject.calls
            assert (call.method, call.target) == ("GET", "/x?y=1")
            assert call.headers.getall("X-Remote-Group") == ["a", "b"]
            assert call.peer is None
            assert call.remote == "127.0.0.1"
            again = await client.get("/again")
            assert again.header("Audit-Id") not in (None, "abc")

    run(scenario())


def test_peer_certificates_reach_the_handler(run: Run) -> None:
    authority = pki.authority("front-proxy-ca")
    middle = pki.authority("middle", authority)
    leaf = pki.client(middle, "front")

    async def scenario() -> None:
        context = doors.server_context(authority)
        async with opened(context=context) as subject:
            async with subject.client(leaf, middle) as client:
                await client.get()
            (call,) = subject.calls
            assert call.peer is not None
            assert call.peer.certificates == (leaf.der, middle.der)

    run(scenario())


def test_answers_of_the_handler_win_over_common_headers(run: Run) -> None:
    async def handler(_call: Call) -> Encoded:
        return Encoded(b"", "text/plain", 304, (("cache-control", "public"), ("ETag", '"x"')))

    async def scenario() -> None:
        async with opened(handler) as subject, subject.client() as client:
            reply = await client.get()
            assert reply.status == 304
            assert reply.header("Cache-Control") == "public"
            assert reply.header("Content-Length") is None
            assert (await client.get()).status == 304

    run(scenario())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound(), 404),
        (errors.Forbidden("no"), 403),
        (TimeoutError(), 504),
        (RuntimeError("hunter2"), 500),
        (KeyError("hunter2"), 500),
    ],
)
def test_whatever_the_handler_raises_is_a_status(run: Run, error: Exception, status: int) -> None:
    async def handler(_call: Call) -> Encoded:
        raise error

    async def scenario() -> None:
        async with opened(handler) as subject, subject.client() as client:
            reply = await client.get()
            assert reply.status == status
            assert orjson.loads(reply.body)["kind"] == "Status"
            assert b"hunter2" not in reply.body
            assert b"Traceback" not in reply.body
            assert (await client.get()).status == status

    run(scenario())


def test_head_has_no_body(run: Run) -> None:
    async def scenario() -> None:
        async with opened() as subject, subject.client() as client:
            assert (await client.get(method="HEAD")).body == b""
            assert (await client.get()).status == 200

    run(scenario())


def test_large_answers_are_compressed_when_asked(run: Run) -> None:
    async def handler(_call: Call) -> Encoded:
        return Encoded(b"x" * 3_000_000)

    async def scenario() -> None:
        async with opened(handler) as subject, subject.client() as client:
            packed = await client.get("/", "Accept-Encoding: gzip")
            assert packed.header("Content-Encoding") == "gzip"
            assert len(packed.body) < 100_000
            assert len((await client.get()).body) == 3_000_000

    run(scenario())


MALFORMED = {
    "length and chunked": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
    "Transfer-Encoding: chunked\r\n\r\n",
    "two lengths": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
    "signed length": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\n",
    "unknown transfer encoding": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: odd\r\n\r\n",
    "folded line": "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "space before colon": "GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
    "NUL": "GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
    "control in a token": "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hunter2\x01\r\n\r\n",
    "two hosts": "GET / HTTP/1.1\r\nHost: x\r\nHost: hunter2\r\n\r\n",
    "no host": "GET /hunter2 HTTP/1.1\r\n\r\n",
    "no version": "GET /hunter2\r\n\r\n",
    "h2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown method": "HUNTER2 / HTTP/1.1\r\nHost: x\r\n\r\n",
    "odd absolute target": "GET http:///hunter2 HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad port": "GET http://hunter2:x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "not HTTP": "\x16\x03\x01 hunter2\r\n\r\n",
}


@pytest.mark.parametrize("case", list(MALFORMED))
def test_what_is_not_http_gets_a_status_without_an_echo(
    run: Run, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    async def scenario() -> None:
        async with opened() as subject, subject.client() as client:
            await client.send(MALFORMED[case].encode("latin-1"))
            reply = await client.reply()
            assert reply.status == 400
            assert orjson.loads(reply.body)["reason"] == "BadRequest"
            assert reply.header("Server") is None
            assert b"hunter2" not in reply.body
            assert await client.is_closed()
            assert not subject.calls
            assert subject.door.requests_malformed == 1

    with caplog.at_level(logging.DEBUG):
        run(scenario())
    assert "hunter2" not in caplog.text
    assert "Traceback" not in caplog.text


def test_malformed_requests_do_not_flood_the_log(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with opened() as subject:
            for _ in range(40):
                async with subject.client() as client:
                    await client.send(b"\x00\r\n\r\n")
                    await client.reply()
            assert subject.door.requests_malformed == 40

    begin = time.monotonic()
    run(scenario())
    seconds = int(time.monotonic() - begin) + 2
    assert 1 <= len(caplog.records) <= 10 * seconds


@pytest.mark.parametrize(
    "request_text",
    [
        "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
        "DELETE /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab",
        "CONNECT host:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_a_body_is_refused_without_waiting_for_it(run: Run, request_text: str) -> None:
    async def scenario() -> None:
        async with opened(limits=QUICK) as subject, subject.client() as client:
            await client.send(request_text.encode())
            reply = await client.reply()
            assert reply.status == 413
            assert reply.header("Connection") == "close"
            assert orjson.loads(reply.body)["reason"] == "RequestEntityTooLarge"
            assert await client.is_closed()
            assert not subject.calls

    run(scenario())


def test_an_endless_body_is_cut(run: Run) -> None:
    async def scenario() -> None:
        async with opened(limits=QUICK) as subject, subject.client() as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
            assert await client.is_cut_off_while_sending()

    run(scenario())


def test_an_upgrade_is_answered_as_if_it_were_none(run: Run) -> None:
    async def scenario() -> None:
        async with opened() as subject:
            for protocol in ("websocket", "h2c", "tcp"):
                async with subject.client() as client:
                    reply = await client.get("/", f"Upgrade: {protocol}", "Connection: Upgrade")
                    assert reply.status == 200
                    assert await client.is_closed()

    run(scenario())


def test_many_groups_and_long_heads(run: Run) -> None:
    async def scenario() -> None:
        async with opened() as subject, subject.client() as client:
            groups = [f"X-Remote-Group: group-{i}" for i in range(4000)]
            assert (await client.get("/", *groups)).status == 200
            assert len(subject.calls[0].headers.getall("X-Remote-Group")) == 4000
            assert (await client.get("/", "A: " + "x" * 900_000)).status == 200
            assert (await client.get("/?a=" + "x" * 900_000)).status == 200

    run(scenario())


@pytest.mark.parametrize(
    "lines",
    [
        [f"A{i}: b" for i in range(5000)],
        [f"A{i}: " + "x" * 1000 for i in range(1100)],
        ["A: " + "x" * 1_100_000],
    ],
    ids=["too many", "too large together", "too large alone"],
)
def test_too_large_heads_are_431(run: Run, lines: list[str]) -> None:
    async def scenario() -> None:
        async with opened(limits=QUICK) as subject, subject.client() as client:
            reply = await client.get("/", *lines)
            assert reply.status == 431
            assert orjson.loads(reply.body)["code"] == 431
            assert await client.is_closed()
            assert not subject.calls

    run(scenario())


@pytest.mark.parametrize(
    "pieces",
    [[], [b"GET / HTTP/1.1\r\nHo"], [b"GET / HTTP/1.1\r\n"] + [b"A: b\r\n"] * 200],
    ids=["silent", "partial", "dripping"],
)
@pytest.mark.parametrize("served_before", [False, True])
def test_a_head_has_its_time(run: Run, pieces: list[bytes], served_before: bool) -> None:
    async def scenario() -> None:
        async with opened(limits=QUICK) as subject, subject.client() as client:
            if served_before:
                await client.get()
            begin = time.monotonic()

            async def drip() -> None:
                for piece in pieces:
                    client.writer.write(piece)
                    await asyncio.sleep(0.05)

            async with asyncio.TaskGroup() as group:
                dripping = group.create_task(drip())
                assert await client.is_closed()
                dripping.cancel()
            assert 0.2 < time.monotonic() - begin < 5

    run(scenario())


def test_idle_connections_last_longer_than_heads(run: Run) -> None:
    async def scenario() -> None:
        limits = Limits(header_seconds=0.2, idle_seconds=30)
        async with opened(limits=limits) as subject, subject.client() as client:
            await client.get()
            await asyncio.sleep(0.5)
            assert (await client.get()).status == 200

    run(scenario())


def test_a_handshake_has_its_time(run: Run) -> None:
    async def scenario() -> None:
        async with opened(limits=QUICK) as subject:
            reader, writer = await asyncio.open_connection("127.0.0.1", subject.port)
            assert await reader.read() == b""
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", subject.port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await reader.read()
            writer.close()
            assert subject.door.handshakes_failed == 2
            assert (await subject.get()).status == 200

    run(scenario())


def test_an_unread_answer_is_cut(run: Run) -> None:
    async def handler(_call: Call) -> Encoded:
        return Encoded(b"x" * 20_000_000)

    async def scenario() -> None:
        limits = Limits(write_seconds=0.3)
        async with opened(handler, limits) as subject, subject.client() as client:
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: subject.calls and not subject.door.connections)

    run(scenario())


def test_when_all_places_are_taken_the_longest_idle_leaves(run: Run) -> None:
    release = asyncio.Event()

    async def handler(call: Call) -> Encoded:
        if call.target == "/wait":
            await release.wait()
        return Encoded(b"{}")

    async def scenario() -> None:
        async with (
            opened(handler, Limits(connections=3)) as subject,
            subject.client() as busy,
            subject.client() as idle,
            subject.client() as used,
        ):
            await busy.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            await idle.get()
            await used.get()
            await idle.get()
            async with subject.client() as newcomer:
                assert (await newcomer.get()).status == 200
                assert await used.is_closed()
                assert (await idle.get()).status == 200
            release.set()
            assert (await busy.reply()).status == 200
            assert subject.door.connections_evicted == 1

    run(scenario())


def test_silent_clients_do_not_keep_others_out(run: Run) -> None:
    async def scenario() -> None:
        async with opened(limits=Limits(connections=50, handshake_seconds=1)) as subject:
            silent = [
                await asyncio.open_connection("127.0.0.1", subject.port, ssl=doors.client_context())
                for _ in range(80)
            ]
            raw = [await asyncio.open_connection("127.0.0.1", subject.port) for _ in range(40)]
            begin = time.monotonic()
            assert (await subject.get()).status == 200
            assert time.monotonic() - begin < 1
            for _, writer in [*silent, *raw]:
                writer.transport.abort()

    run(scenario())


def test_pipelined_requests_are_answered_in_order(run: Run) -> None:
    async def handler(call: Call) -> Encoded:
        return Encoded(call.target.encode())

    async def scenario() -> None:
        async with opened(handler) as subject, subject.client() as client:
            requests = (f"GET /{i} HTTP/1.1\r\nHost: x\r\n\r\n" for i in range(50))
            await client.send("".join(requests).encode())
            for i in range(50):
                assert (await client.reply()).body == f"/{i}".encode()

    run(scenario())


def test_a_client_that_leaves_takes_its_request_with_it(run: Run) -> None:
    cancelled = []

    async def handler(_call: Call) -> Encoded:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return Encoded(b"")

    async def scenario() -> None:
        async with opened(handler) as subject:
            async with subject.client() as client:
                await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                await until(lambda: subject.calls)
            await until(lambda: cancelled and not subject.door.connections)

    run(scenario())


def test_http_1_0(run: Run) -> None:
    async def scenario() -> None:
        async with opened() as subject:
            async with subject.client() as client:
                await client.send(b"GET / HTTP/1.0\r\n\r\n")
                assert (await client.reply()).status == 200
                assert await client.is_closed()
            async with subject.client() as client:
                await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                assert (await client.reply()).header("Connection") == "keep-alive"
                assert (await client.get()).status == 200

    run(scenario())


def test_draining_answers_and_closes(run: Run) -> None:
    release = asyncio.Event()

    async def handler(call: Call) -> Encoded:
        if call.target == "/wait":
            await release.wait()
        return Encoded(b"{}")

    async def scenario() -> None:
        async with (
            opened(handler) as subject,
            subject.client() as busy,
            subject.client() as idle,
            subject.client() as unused,
        ):
            await idle.get()
            await busy.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: len(subject.calls) == 2)
            subject.door.begin_drain()
            reply = await idle.get()
            assert (reply.status, reply.header("Connection")) == (200, "close")
            assert await idle.is_closed()
            # New connections are still taken.
            assert (await subject.get()).header("Connection") == "close"
            async with asyncio.TaskGroup() as group:
                group.create_task(subject.door.finish(5))
                assert await unused.is_closed()
                release.set()
                reply = await busy.reply()
            assert (reply.status, reply.header("Connection")) == (200, "close")
            assert await busy.is_closed()
            with pytest.raises(OSError, match=r"(?i)refused|reset|connect"):
                await subject.get()
            assert not subject.door.connections

    run(scenario())


def test_what_does_not_finish_in_time_is_cut(run: Run) -> None:
    async def handler(_call: Call) -> Encoded:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if stubborn:
                    stubborn.clear()
                    continue
                raise

    stubborn = [True]

    async def scenario() -> None:
        async with opened(handler) as subject, subject.client() as client:
            await client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: subject.calls)
            begin = time.monotonic()
            await subject.door.finish(0.2)
            assert time.monotonic() - begin < 5
            assert await client.is_closed()

    run(scenario())


def test_accepting_survives_a_lack_of_file_descriptors(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with opened() as subject:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            raw = socket.socket()
            raw.setblocking(False)
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (raw.fileno() + 1, hard))
                await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", subject.port))
                await asyncio.sleep(0.3)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                raw.close()
            assert (await subject.get()).status == 200

    run(scenario())
    assert any("cannot accept" in record.getMessage() for record in caplog.records)


def test_wildcards_take_both_families() -> None:
    for address, expected in [("0.0.0.0", "::"), ("::", "::"), ("127.0.0.1", "127.0.0.1")]:
        with door.bind(address, 0) as listener:
            if socket.has_dualstack_ipv6() or expected != "::":
                assert listener.getsockname()[0] == expected
    with door.bind("::1", 0) as listener:
        assert listener.getsockname()[0] == "::1"
