"""Rows P1 to P3 and K2: Prometheus or kube-apiserver away, silent or slow while others ask."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from tests.fakes import backfill, kubewire, process, prometheus, upstream
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.process import ADMIN, ServerProcess, items
from tests.fakes.prometheus import Backend
from tests.fakes.servers import Reply
from tests.fakes.upstream import Upstream

DISCOVERY = "/apis/custom.metrics.k8s.io/v1beta1"
LOAD = f"{DISCOVERY}/namespaces/default/pods/*/load"
SERIES = 'test_load{namespace="default",pod="web-0"} 36\n'
BACK_SECONDS = 2.0
SLACK_SECONDS = 2.0  # of a machine that runs other tests beside
ALWAYS = 1_000_000


def metrics(reply: Reply) -> list[str]:
    assert reply.status == 200, reply
    return [resource["name"] for resource in json.loads(reply.body)["resources"]]


@pytest.fixture
def own_prometheus(tmp_path: Path) -> Backend:
    """A Prometheus that is not started yet."""
    if not prometheus.is_installed("prometheus"):
        pytest.skip("prometheus is not on PATH")
    directory = tmp_path / "prometheus"
    directory.mkdir()
    backfill.write(directory, SERIES)
    return prometheus.prometheus(directory, [])


async def test_prometheus_away_from_the_start_and_later(
    tmp_path: Path, kube: FakeKubeAPI, own_prometheus: Backend
) -> None:
    flags = process.flags(tmp_path, kube, own_prometheus.url)
    async with ServerProcess(tmp_path, [*flags, "--query-freshness=0"]) as server:
        await server.ready()
        assert metrics(await server.ask(DISCOVERY)) == []
        silent = await server.ask(LOAD)
        assert silent.status == 503
        assert b"Prometheus has not answered since 20" in silent.body
        assert b"no connection to Prometheus" in silent.body
        counted = await server.metrics()
        assert counted['metrics_apiserver_rule_problems{kind="unreachable"}'] == 1
        with own_prometheus:
            started = time.monotonic()
            await server.agrees(DISCOVERY, metrics, certified=[ADMIN])
            assert time.monotonic() - started < BACK_SECONDS + SLACK_SECONDS
            assert items(await server.ask(LOAD)) == {"web-0": "36"}
            offered = metrics(await server.ask(DISCOVERY))

            own_prometheus.kill()
            asked = time.monotonic()
            failed = await server.ask(LOAD)
            assert failed.status == 503
            assert time.monotonic() - asked < 1.0 + SLACK_SECONDS
            assert json.loads(failed.body)["reason"] == "ServiceUnavailable"
            assert metrics(await server.ask(DISCOVERY)) == offered
            await server.ready()

            await asyncio.to_thread(own_prometheus.start)
            back = time.monotonic()
            await server.agrees(LOAD, lambda reply: reply.status == 200, certified=[ADMIN])
            assert time.monotonic() - back < BACK_SECONDS + SLACK_SECONDS


async def test_a_silent_prometheus_costs_its_budget_and_nothing_else(
    tmp_path: Path, kube: FakeKubeAPI, proxy: Upstream
) -> None:
    flags = process.flags(tmp_path, kube, proxy.url)
    flags += ["--prometheus-timeout=2s", "--query-freshness=0"]
    async with ServerProcess(tmp_path, flags) as server:
        await server.ready()
        await server.agrees(LOAD, lambda reply: reply.status == 200, certified=[ADMIN])
        proxy.mood = upstream.hang()
        async with asyncio.TaskGroup() as group:
            asked = time.monotonic()
            read = group.create_task(server.ask(LOAD))
            shorter = group.create_task(server.ask(f"{LOAD}?timeout=500ms"))
            for _ in range(20):
                assert metrics(await server.ask(DISCOVERY))
                assert (await server.get("/readyz")).status == 200
            assert (await shorter).status == 504
            assert time.monotonic() - asked < 0.5 + SLACK_SECONDS
            answer = await read
        assert answer.status == 504
        assert 1.5 < time.monotonic() - asked < 2.0 + SLACK_SECONDS
        assert json.loads(answer.body)["reason"] == "Timeout"
        proxy.mood = upstream.forward()
        await server.agrees(LOAD, lambda reply: reply.status == 200, certified=[ADMIN])


async def test_kube_apiserver_away_while_running(
    tmp_path: Path, kube: FakeKubeAPI, values: Backend
) -> None:
    flags = process.flags(tmp_path, kube, values.url)
    flags += [
        "--authorization-webhook-cache-authorized-ttl=1s",
        "--query-freshness=0",
    ]
    async with ServerProcess(tmp_path, flags) as server:
        await server.ready()
        assert items(await server.ask(LOAD)) == {"web-0": "36", "web-1": "72500m"}
        kube.fail("/", kubewire.status(503), times=ALWAYS)
        kube.cut_watches()
        # Remembered permissions hold, for as long as they would otherwise.
        assert items(await server.ask(LOAD)) == {"web-0": "36", "web-1": "72500m"}
        denied = await server.agrees(
            LOAD,
            lambda reply: reply.status != 200,
            *process.as_user("hpa"),
            certified=[process.PROXY],
        )
        assert denied.status == 500
        # Who needs no permission still gets the names that are known.
        owned = await server.get(LOAD, certified=[ADMIN])
        assert items(owned) == {"web-0": "36", "web-1": "72500m"}
        assert metrics(await server.get(DISCOVERY, certified=[ADMIN]))
        await server.ready()
        before = len(kube.requests)
        await asyncio.sleep(1.0)
        assert len(kube.requests) - before <= 5
        kube.heal()
        await server.agrees(
            LOAD,
            lambda reply: reply.status == 200,
            *process.as_user("hpa"),
            certified=[process.PROXY],
        )
