"""Memory and stalls at 4 000, 50 000 and 150 000 pods: one answer holds all pods of a namespace.

    make bench-scale
    make bench-scale PODS="4000 20000"

The pods come from a kube-apiserver on loopback that plays their LIST and WATCH, the series from a
real Prometheus. While the large list is read again and again, small reads of another metric go on;
their latency and the event loop's longest delay are what a large answer costs others.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from metrics_apiserver.core.model import PODS
from tests.bench import measure
from tests.fakes import process, prometheus
from tests.fakes.exposition import Exposition
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.process import ServerProcess

BIG, SMALL = "big", "small"
SMALL_PODS = 20
SECONDS = 8.0
READ = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/{}/pods/*/{}"
MASTERS = process.as_user("bench", "system:masters")


def members(count: int) -> Iterator[tuple[str, str]]:
    yield from ((BIG, f"app-7d9f8c6b5-{number:06d}") for number in range(count))
    yield from ((SMALL, f"web-{number}") for number in range(SMALL_PODS))


async def _reads(server: ServerProcess, space: str, until: float) -> list[float]:
    """Seconds of each read on one kept connection."""
    spent = []
    async with server.client(process.PROXY) as client:
        while time.monotonic() < until:
            began = time.monotonic()
            reply = await client.get(READ.format(space, space), *MASTERS)
            if reply.status != 200:
                raise AssertionError(f"{space}: {reply.status} {reply.body[:200]!r}")
            spent.append(time.monotonic() - began)
            await asyncio.sleep(0.01)
    return spent


async def run(count: int, directory: Path) -> list[str]:
    """One size: a row of the table."""
    async with FakeKubeAPI() as api:
        process.trust(api)
        for space, name in members(count):
            api.put(PODS, space, name, {"app": "app", "pod-template-hash": "7d9f8c6b5"})
        text = "".join(
            f'test_{space}{{namespace="{space}",pod="{name}"}} {number % 100}\n'
            for number, (space, name) in enumerate(members(count))
        )
        with Exposition() as target:
            target.text = text
            with prometheus.prometheus(directory, [target.target], interval="30s") as backend:
                backend.wait_for("count(test_big)", seconds=120)
                flags = process.flags(directory, api, backend.url)
                flags += ["--prometheus-max-response-bytes=134217728"]
                began = time.monotonic()
                async with ServerProcess(directory, flags) as server:
                    await server.answers("/readyz", 200, seconds=120)
                    ready = time.monotonic() - began
                    listed = READ.format(BIG, BIG)
                    idle = measure.resident_mb(server.process.pid)
                    first = await server.agrees(
                        listed, lambda r: r.status == 200, *MASTERS, certified=[process.PROXY]
                    )
                    items = len(orjson.loads(first.body)["items"])
                    until = time.monotonic() + SECONDS
                    async with asyncio.TaskGroup() as group:
                        big = group.create_task(_reads(server, BIG, until))
                        small = group.create_task(_reads(server, SMALL, until))
                    await asyncio.sleep(16)  # the window of the loop meter
                    lag = (await server.metrics())["metrics_apiserver_event_loop_lag_max_seconds"]
                    after = measure.resident_mb(server.process.pid)
    others = sorted(small.result())
    return [
        f"{count}",
        f"{ready:.2f}",
        f"{idle:.0f}",
        f"{after:.0f}",
        f"{items}",
        f"{len(first.body) / 1e6:.1f}",
        f"{sorted(big.result())[len(big.result()) // 2]:.2f}",
        f"{others[int(len(others) * 0.99)] * 1000:.0f}",
        f"{lag * 1000:.0f}",
    ]


HEAD = (
    "pods",
    "ready s",
    "RSS MB idle",
    "after",
    "items",
    "answer MB",
    "median s",
    "others' p99 ms",
    "loop lag ms",
)


def main() -> None:
    rows = []
    for count in map(int, (os.environ.get("PODS") or "4000 50000 150000").split()):
        with TemporaryDirectory(prefix="bench-scale-") as directory:
            rows.append(asyncio.run(run(count, Path(directory))))
    print(f"# {measure.machine()}")
    print(measure.table(HEAD, rows))


if __name__ == "__main__":
    main()
