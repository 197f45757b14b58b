"""Rows A10, B7, B8, B9, D1 and D2 on real TLS sockets, under both event loops."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time

import orjson
import pytest

from metrics_apiserver.api.connection import Limits
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.api.server import Call
from tests.fakes.servers import QUICK, Run, listening, until


def test_head_has_no_body(run: Run) -> None:
    async def scenario() -> None:
        async with listening() as subject, subject.client() as client:
            assert (await client.get(method="HEAD")).body == b""
            assert (await client.get()).status == 200

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
    "odd absolute target": "GET http:///hunter2 HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad port": "GET http://hunter2:x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "not HTTP": "\x16\x03\x01 hunter2\r\n\r\n",
}


@pytest.mark.parametrize("case", list(MALFORMED))
def test_what_is_not_http_gets_a_status_without_an_echo(
    run: Run, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    async def scenario() -> None:
        async with listening() as subject, subject.client() as client:
            await client.send(MALFORMED[case].encode("latin-1"))
            reply = await client.reply()
            assert reply.status == 400
            assert orjson.loads(reply.body)["reason"] == "BadRequest"
            assert reply.header("Server") is None
            assert b"hunter2" not in reply.body
            assert await client.is_closed()
            assert not subject.calls
            assert subject.server.requests_malformed == 1

    with caplog.at_level(logging.DEBUG):
        run(scenario())
    assert "hunter2" not in caplog.text
    assert "Traceback" not in caplog.text


def test_malformed_requests_do_not_flood_the_log(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with listening() as subject:
            for _ in range(40):
                async with subject.client() as client:
                    await client.send(b"\x00\r\n\r\n")
                    await client.reply()
            assert subject.server.requests_malformed == 40

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
        async with listening(limits=QUICK) as subject, subject.client() as client:
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
        async with listening(limits=QUICK) as subject, subject.client() as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
            assert await client.is_cut_off_while_sending()

    run(scenario())


def test_an_upgrade_is_answered_as_if_it_were_none(run: Run) -> None:
    async def scenario() -> None:
        async with listening() as subject:
            for protocol in ("websocket", "h2c", "tcp"):
                async with subject.client() as client:
                    reply = await client.get("/", f"Upgrade: {protocol}", "Connection: Upgrade")
                    assert reply.status == 200
                    assert await client.is_closed()

    run(scenario())


def test_many_groups_and_long_heads(run: Run) -> None:
    async def scenario() -> None:
        async with listening() as subject, subject.client() as client:
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
        async with listening(limits=QUICK) as subject, subject.client() as client:
            reply = await client.get("/", *lines)
            assert reply.status == 431
            assert orjson.loads(reply.body)["code"] == 431
            assert await client.is_closed()
            assert not subject.calls

    run(scenario())


def test_a_head_that_never_ends_is_431(run: Run) -> None:
    async def scenario() -> None:
        async with listening(limits=QUICK) as subject, subject.client() as client:
            await client.send(b"GET / HTTP/1.1\r\n" + (b"A: " + b"x" * 1000 + b"\r\n") * 1100)
            reply = await client.reply()
            assert reply.status == 431
            assert orjson.loads(reply.body)["code"] == 431
            await client.send(b"A: b\r\n")
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
        async with listening(limits=QUICK) as subject, subject.client() as client:
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
        async with listening(limits=limits) as subject, subject.client() as client:
            await client.get()
            await asyncio.sleep(0.5)
            assert (await client.get()).status == 200

    run(scenario())


def test_an_unread_answer_is_cut(run: Run) -> None:
    async def handler(_call: Call) -> Encoded:
        return Encoded(b"x" * 20_000_000)

    async def scenario() -> None:
        limits = Limits(write_seconds=0.3)
        async with listening(handler, limits) as subject, subject.client() as client:
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: subject.calls and not subject.server.connections)

    run(scenario())


def test_pipelined_requests_are_answered_in_order(run: Run) -> None:
    async def handler(call: Call) -> Encoded:
        return Encoded(call.target.encode())

    async def scenario() -> None:
        async with listening(handler) as subject, subject.client() as client:
            requests = (f"GET /{i} HTTP/1.1\r\nHost: x\r\n\r\n" for i in range(50))
            await client.send("".join(requests).encode())
            for i in range(50):
                assert (await client.reply()).body == f"/{i}".encode()

    run(scenario())


def test_http_1_0(run: Run) -> None:
    async def scenario() -> None:
        async with listening() as subject:
            async with subject.client() as client:
                await client.send(b"GET / HTTP/1.0\r\n\r\n")
                assert (await client.reply()).status == 200
                assert await client.is_closed()
            async with subject.client() as client:
                await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                assert (await client.reply()).header("Connection") == "keep-alive"
                assert (await client.get()).status == 200

    run(scenario())


def test_the_parser_without_extensions_refuses_the_same() -> None:
    """aiohttp falls back to it where its wheel does not fit; it must not be the softer one."""
    chosen = "not_http or body_is_refused or too_large or many_groups or pipelined"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    result = subprocess.run(
        [*command, "-k", f"asyncio and ({chosen})"],
        env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert result.returncode == 0, result.stdout
