"""Server: answers, accepting, K8's sockets and O2, on real TLS sockets, under both event loops."""

from __future__ import annotations

import asyncio
import resource
import socket
import time

import orjson
import pytest

from metrics_apiserver.api import server
from metrics_apiserver.api.connection import Limits
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.api.server import Call
from metrics_apiserver.base import errors
from tests.fakes import pki, servers
from tests.fakes.servers import QUICK, Run, listening, until


def test_an_answer_and_its_headers(run: Run) -> None:
    async def scenario() -> None:
        async with listening() as subject, subject.client() as client:
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
        context = servers.server_context(authority)
        async with listening(tls=lambda: context) as subject:
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
        async with listening(handler) as subject, subject.client() as client:
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
        async with listening(handler) as subject, subject.client() as client:
            reply = await client.get()
            assert reply.status == status
            assert orjson.loads(reply.body)["kind"] == "Status"
            assert b"hunter2" not in reply.body
            assert b"Traceback" not in reply.body
            assert (await client.get()).status == status

    run(scenario())


def test_large_answers_are_compressed_when_asked(run: Run) -> None:
    async def handler(_call: Call) -> Encoded:
        return Encoded(b"x" * 3_000_000)

    async def scenario() -> None:
        async with listening(handler) as subject, subject.client() as client:
            packed = await client.get("/", "Accept-Encoding: gzip")
            assert packed.header("Content-Encoding") == "gzip"
            assert len(packed.body) < 100_000
            assert len((await client.get()).body) == 3_000_000

    run(scenario())


def test_a_handshake_has_its_time(run: Run) -> None:
    async def scenario() -> None:
        async with listening(limits=QUICK) as subject:
            reader, writer = await asyncio.open_connection("127.0.0.1", subject.port)
            assert await reader.read() == b""
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", subject.port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await reader.read()
            writer.close()
            assert subject.server.handshakes_failed == 2
            assert (await subject.get()).status == 200

    run(scenario())


def test_when_all_places_are_taken_the_longest_idle_leaves(run: Run) -> None:
    release = asyncio.Event()

    async def handler(call: Call) -> Encoded:
        if call.target == "/wait":
            await release.wait()
        return Encoded(b"{}")

    async def scenario() -> None:
        async with (
            listening(handler, Limits(connections=3)) as subject,
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
            assert subject.server.connections_evicted == 1

    run(scenario())


def test_silent_clients_do_not_keep_others_out(run: Run) -> None:
    async def scenario() -> None:
        async with listening(limits=Limits(connections=50, handshake_seconds=1)) as subject:
            silent = [
                await asyncio.open_connection(
                    "127.0.0.1", subject.port, ssl=servers.client_context()
                )
                for _ in range(80)
            ]
            raw = [await asyncio.open_connection("127.0.0.1", subject.port) for _ in range(40)]
            begin = time.monotonic()
            assert (await subject.get()).status == 200
            assert time.monotonic() - begin < 1
            for _, writer in [*silent, *raw]:
                writer.transport.abort()

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
        async with listening(handler) as subject:
            async with subject.client() as client:
                await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                await until(lambda: subject.calls)
            await until(lambda: cancelled and not subject.server.connections)

    run(scenario())


def test_draining_answers_and_closes(run: Run) -> None:
    release = asyncio.Event()

    async def handler(call: Call) -> Encoded:
        if call.target == "/wait":
            await release.wait()
        return Encoded(b"{}")

    async def scenario() -> None:
        async with (
            listening(handler) as subject,
            subject.client() as busy,
            subject.client() as idle,
            subject.client() as unused,
        ):
            await idle.get()
            await busy.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: len(subject.calls) == 2)
            subject.server.begin_drain()
            reply = await idle.get()
            assert (reply.status, reply.header("Connection")) == (200, "close")
            assert await idle.is_closed()
            # New connections are still taken.
            assert (await subject.get()).header("Connection") == "close"
            async with asyncio.TaskGroup() as group:
                group.create_task(subject.server.finish(5))
                assert await unused.is_closed()
                release.set()
                reply = await busy.reply()
            assert (reply.status, reply.header("Connection")) == (200, "close")
            assert await busy.is_closed()
            with pytest.raises(OSError, match=r"(?i)refused|reset|connect"):
                await subject.get()
            assert not subject.server.connections

    run(scenario())


@pytest.mark.parametrize("stubborn", [False, True], ids=["slow", "stubborn"])
def test_what_does_not_finish_in_time_is_cut(run: Run, stubborn: bool) -> None:
    holds = [stubborn]

    async def handler(_call: Call) -> Encoded:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if not holds[0]:
                    raise

    async def scenario() -> None:
        async with listening(handler) as subject, subject.client() as client:
            await client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: subject.calls)
            begin = time.monotonic()
            await subject.server.finish(0.8)
            assert time.monotonic() - begin < 5
            assert await client.is_closed()
            holds[0] = False

    run(scenario())


def test_accepting_survives_a_lack_of_file_descriptors(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with listening() as subject:
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
        with server.bind(address, 0) as listener:
            if socket.has_dualstack_ipv6() or expected != "::":
                assert listener.getsockname()[0] == expected
    with server.bind("::1", 0) as listener:
        assert listener.getsockname()[0] == "::1"


def test_strangers_from_before_a_new_context_have_to_come_again(run: Run) -> None:
    authority = pki.authority("front-proxy-ca")
    leaf = pki.client(authority, "front")
    contexts = [servers.server_context()]

    async def scenario() -> None:
        async with (
            listening(tls=lambda: contexts[-1]) as subject,
            subject.client(leaf) as idle,
            subject.client(leaf) as new,
            subject.client(leaf) as busy,
        ):
            await idle.get()
            assert (await busy.get()).header("Connection") is None
            subject.server.close_outdated()
            contexts.append(servers.server_context(authority))
            assert (await busy.get()).header("Connection") == "close"
            subject.server.close_outdated()
            assert await idle.is_closed()
            # A request may be under way on a connection that has had no answer yet.
            assert (await new.get()).header("Connection") == "close"
            async with subject.client(leaf) as known:
                await known.get()
                contexts.append(servers.server_context(authority))
                subject.server.close_outdated()
                assert (await known.get()).header("Connection") is None

    run(scenario())
