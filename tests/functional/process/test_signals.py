"""Rows O2, O3 and O9: how the process ends, and what else signals do."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes import process, upstream
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.process import ADMIN, ServerProcess, items
from tests.fakes.upstream import Upstream

LOAD = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods/*/load"


@pytest.fixture
async def server(
    tmp_path: Path, kube: FakeKubeAPI, proxy: Upstream
) -> AsyncIterator[ServerProcess]:
    flags = [*process.flags(tmp_path, kube, proxy.url), "--query-freshness=0"]
    async with ServerProcess(tmp_path, flags) as subject:
        await subject.ready()
        await subject.agrees(LOAD, lambda reply: reply.status == 200, certified=[ADMIN])
        yield subject


async def test_sigterm_drains(server: ServerProcess, proxy: Upstream) -> None:
    async with server.client(ADMIN) as kept, server.client(ADMIN) as slow:
        assert (await kept.get(LOAD)).header("Connection") is None
        proxy.mood = upstream.slow(2.0)
        async with asyncio.TaskGroup() as group:
            in_flight = group.create_task(slow.get(LOAD))
            await server.until(lambda: any("query" in seen.path for seen in proxy.requests[-1:]))
            signalled = time.monotonic()
            server.signal(signal.SIGTERM)
            # Readiness goes first; everything else is still answered.
            await server.answers("/readyz", 500)
            assert time.monotonic() - signalled < 1.0
            assert (await server.get("/livez")).status == 200
            assert (await server.get("/apis", certified=[ADMIN])).status == 200
            assert (await kept.get("/apis")).header("Connection") == "close"
            assert await kept.is_closed()
            answer = await in_flight
        # The slow answer came after the drain time, complete and as the last on its connection.
        assert time.monotonic() - signalled > 1.0
        assert items(answer) == {"web-0": "36", "web-1": "72500m"}
        assert answer.header("Connection") == "close"
    assert await server.exit_code() == 0
    assert "clean=True" in server.log
    assert "Traceback" not in server.log
    with pytest.raises(ConnectionRefusedError):
        await server.get("/livez")


async def test_a_second_sigterm_does_not_wait(server: ServerProcess) -> None:
    server.signal(signal.SIGTERM)
    await server.answers("/readyz", 500)
    signalled = time.monotonic()
    server.signal(signal.SIGTERM)
    assert await server.exit_code() == 1
    assert time.monotonic() - signalled < 1.0


async def test_load_while_it_ends(server: ServerProcess) -> None:
    """Who comes while it drains is answered, or closed upon before a byte of an answer."""
    answers: list[int] = []
    halves: list[bytes] = []
    gone = asyncio.Event()

    async def ask() -> None:
        while not gone.is_set():
            try:
                reply = await server.get(LOAD, certified=[ADMIN])
                answers.append(reply.status)
            except asyncio.IncompleteReadError as error:
                halves.append(error.partial)
            except OSError:
                await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(ask())
        await server.until(lambda: len(answers) > 50)
        server.signal(signal.SIGINT)
        assert await server.exit_code() == 0
        gone.set()
    assert set(answers) == {200}
    assert not any(halves)


async def test_sighup_reads_files_anew(server: ServerProcess, tmp_path: Path) -> None:
    text = process.RULES.replace(
        "<<.Series>>{<<.LabelMatchers>>}", "<<.Series>>{<<.LabelMatchers>>} + 1"
    )
    (tmp_path / "rules.yaml").write_text(text)
    server.signal(signal.SIGHUP)
    await server.agrees(LOAD, lambda reply: b'"37"' in reply.body, certified=[ADMIN])
    for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGHUP):
        server.signal(number)
    assert items(await server.get(LOAD, certified=[ADMIN])) == {"web-0": "37", "web-1": "73500m"}
    await server.ready()


async def test_a_stopped_process_goes_on_where_it_was(server: ServerProcess) -> None:
    server.signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await server.get("/livez")
    server.signal(signal.SIGCONT)
    await server.ready()
    assert items(await server.get(LOAD, certified=[ADMIN])) == {"web-0": "36", "web-1": "72500m"}
