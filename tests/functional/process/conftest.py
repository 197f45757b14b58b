"""A fake kube-apiserver, a real Prometheus with known values, and processes that use both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes import backfill, process, prometheus
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubediscovery import NAMESPACES, NODES, PODS
from tests.fakes.process import ServerProcess
from tests.fakes.prometheus import Backend
from tests.fakes.upstream import Upstream

TENANTS = 50
# Each tenant's value says whose it is.
SERIES = """
test_load{namespace="default",pod="web-0"} 36
test_load{namespace="default",pod="web-1"} 72.5
""" + "\n".join(
    f'test_secret{{namespace="ns-{n:02}",pod="pod-{p}"}} {1000 * (n + 1) + p}'
    for n in range(TENANTS)
    for p in range(2)
)


@pytest.fixture(scope="session")
def values(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A real Prometheus over SERIES."""
    if not prometheus.is_installed("prometheus"):
        pytest.skip("prometheus is not on PATH")
    with backfill.running(tmp_path_factory.mktemp("values"), SERIES) as backend:
        yield backend


@pytest.fixture
async def proxy(values: Backend) -> AsyncIterator[Upstream]:
    """Stands before the real Prometheus."""
    async with Upstream(values.url) as subject:
        yield subject


def populate(api: FakeKubeAPI) -> None:
    """The ConfigMap and the objects that SERIES are about."""
    process.trust(api)
    api.put(NODES.group_resource, "", "node-1")
    for pod in ("web-0", "web-1"):
        api.put(PODS.group_resource, "default", pod, {"app": "web"})
    for n in range(TENANTS):
        api.put(NAMESPACES.group_resource, "", f"ns-{n:02}")
        for p in range(2):
            api.put(PODS.group_resource, f"ns-{n:02}", f"pod-{p}", {"app": "tenant"})


@pytest.fixture
async def kube() -> AsyncIterator[FakeKubeAPI]:
    async with FakeKubeAPI() as api:
        populate(api)
        yield api


@pytest.fixture
async def server(
    tmp_path: Path, kube: FakeKubeAPI, values: Backend
) -> AsyncIterator[ServerProcess]:
    """A process that is ready."""
    async with ServerProcess(tmp_path, process.flags(tmp_path, kube, values.url)) as subject:
        await subject.ready()
        yield subject
