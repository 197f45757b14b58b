"""Rows K8, O5, O8, B8 and B11: more callers, connections and names than there is room for."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from pathlib import Path

import psutil

from tests.fakes import process, upstream
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.process import ADMIN, PROXY, ServerProcess, as_user, items
from tests.fakes.prometheus import Backend
from tests.fakes.upstream import Upstream

GROUP = "/apis/custom.metrics.k8s.io/v1beta1"
LOAD = f"{GROUP}/namespaces/default/pods/*/load"
PLACES = 4
URLS = 10_000
# Runs the command behind it with few file descriptors.
FEW_DESCRIPTORS = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")


async def test_discovery_and_probes_keep_their_places(
    tmp_path: Path, kube: FakeKubeAPI, proxy: Upstream
) -> None:
    flags = process.flags(tmp_path, kube, proxy.url)
    flags += [f"--max-requests-inflight={PLACES}", "--query-freshness=0"]
    async with ServerProcess(tmp_path, flags) as server:
        await server.ready()
        await server.agrees(LOAD, lambda reply: reply.status == 200, certified=[ADMIN])
        proxy.mood = upstream.slow(0.3)
        ended = asyncio.Event()
        reads: Counter[int] = Counter()
        retry_after: set[str | None] = set()

        async def read() -> None:
            async with server.client(PROXY) as client:
                while not ended.is_set():
                    reply = await client.get(LOAD, *as_user("hpa"))
                    reads[reply.status] += 1
                    if reply.status == 429:
                        retry_after.add(reply.header("Retry-After"))
                        await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as group:
            for _ in range(10 * PLACES):
                group.create_task(read())
            await server.until(lambda: reads[429] > 100)
            others: Counter[int] = Counter()
            for _ in range(50):
                others[(await server.ask(GROUP, "system:kube-aggregator")).status] += 1
                others[(await server.get("/readyz")).status] += 1
                others[(await server.get("/livez")).status] += 1
                owner = await server.get(GROUP, certified=[ADMIN])
                others[owner.status] += 1
            admin = await server.get(LOAD, certified=[ADMIN])
            ended.set()
        assert others == {200: 200}
        assert items(admin) == {"web-0": "36", "web-1": "72500m"}
        assert set(reads) == {200, 429}
        assert retry_after == {"1"}
        refused = (await server.metrics())['metrics_apiserver_rejected_total{reason="overload"}']
        assert refused >= 100


async def test_a_herd_that_asks_the_same_is_one_query(
    tmp_path: Path, kube: FakeKubeAPI, proxy: Upstream
) -> None:
    flags = [*process.flags(tmp_path, kube, proxy.url), "--metrics-relist-interval=10m"]
    async with ServerProcess(tmp_path, flags) as server:
        await server.agrees(GROUP, lambda reply: b"pods/load" in reply.body, certified=[ADMIN])
        proxy.mood = upstream.slow(0.3)
        before = proxy.hits
        async with asyncio.TaskGroup() as group:
            herd = [group.create_task(server.ask(LOAD)) for _ in range(100)]
        assert {task.result().status for task in herd} == {200}
        assert proxy.hits - before == 1


async def test_no_file_descriptor_is_left_for_a_while(
    tmp_path: Path, kube: FakeKubeAPI, values: Backend
) -> None:
    flags = process.flags(tmp_path, kube, values.url)
    async with ServerProcess(tmp_path, flags, wrap=FEW_DESCRIPTORS) as server:
        await server.ready()
        watched = psutil.Process(server.process.pid)
        assert watched.rlimit(psutil.RLIMIT_NOFILE)[0] == 64
        async with contextlib.AsyncExitStack() as stack:
            taken = [
                stack.push_async_callback(_close, writer)
                for _, writer in [
                    await asyncio.open_connection("127.0.0.1", server.port) for _ in range(100)
                ]
            ]
            assert len(taken) == 100
            await server.until(lambda: "cannot accept" in server.log)
            before = watched.cpu_times()
            await asyncio.sleep(1.0)
            after = watched.cpu_times()
            assert (after.user + after.system) - (before.user + before.system) < 0.5
        # The places are back: the next caller gets one within a moment.
        reply = await server.answers("/livez", 200, seconds=3.0)
        assert reply.body == b"ok"
        await server.agrees(LOAD, lambda reply: reply.status == 200, certified=[ADMIN])
        assert server.log.count("cannot accept") < 60
        assert "Traceback" not in server.log


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def test_ten_thousand_urls_make_no_series_of_our_own(server: ServerProcess) -> None:
    shapes = (
        f"{GROUP}/namespaces/ns-{{}}/pods/*/metric",
        f"{GROUP}/namespaces/default/pods/pod-{{}}/load",
        f"{GROUP}/nodes/*/metric-{{}}",
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue-{}",
        "/apis/metrics.k8s.io/v1beta1/namespaces/ns-{}/pods",
        "/apis/group-{}/v1/things",
        "/page-{}",
        f"{GROUP}?labelSelector=a%3D{{}}",
    )

    async def ask(numbers: range) -> Counter[int]:
        codes: Counter[int] = Counter()
        async with server.client(ADMIN) as client:
            for number in numbers:
                codes[(await client.get(shapes[number % len(shapes)].format(number))).status] += 1
        return codes

    async def series() -> set[str]:
        return {name for name in await server.metrics() if "_requests_total{" not in name}

    await ask(range(len(shapes)))
    before = await series()
    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(ask(range(start, URLS, 8))) for start in range(8)]
    codes = sum((run.result() for run in runs), Counter[int]())
    assert codes.total() == URLS
    assert set(codes) <= {200, 400, 404, 503}
    assert await series() == before
    exposed = "\n".join(await server.metrics())
    # Only codes and API groups tell requests apart.
    assert len(re.findall(r"_requests_total\{code", exposed)) <= 4 * len(codes)
    assert not re.search(r"ns-\d|pod-\d|queue-\d|page-\d", exposed)
