"""kube-apiserver away at the start, away while running, and without a permission."""

from __future__ import annotations

import asyncio

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import selector
from metrics_apiserver.core.model import UserInfo
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.discovery import MapperSource
from metrics_apiserver.kube.objects import PODS, ObjectCache
from metrics_apiserver.kube.requestheader import NAME, NAMESPACE, AuthenticationSource
from metrics_apiserver.kube.reviews import AccessReviewer, NonResourceAttributes, TokenReviewer
from tests.fakes.kubeapi import CONFIGMAPS, FakeKubeAPI
from tests.fakes.kubewire import status
from tests.fakes.waiting import running, spawning, until

ALL = selector.parse("")


class _Parts:
    """Everything that talks to kube-apiserver."""

    def __init__(self, client: KubeClient, cache: ObjectCache) -> None:
        self.cache = cache
        self.mapper = MapperSource(client)
        self.authentication = AuthenticationSource(client, lambda pem: pem)

    @property
    def ready(self) -> bool:
        return (
            self.cache.synced() and self.mapper.current is not None and self.authentication.synced
        )


def _populate(api: FakeKubeAPI) -> None:
    api.put(PODS.group_resource, "default", "web-0", {"app": "web"})
    api.put(CONFIGMAPS, NAMESPACE, NAME, data={"client-ca-file": "CA"})


async def test_down_at_the_start() -> None:
    async with FakeKubeAPI() as api, KubeClient(api.config()) as client, spawning() as spawn:
        _populate(api)
        await api.stop()
        parts = _Parts(client, ObjectCache(client, spawn))
        async with running(parts.cache.run(), parts.mapper.run(), parts.authentication.run()):
            await asyncio.sleep(1.0)
            assert not parts.ready
            with pytest.raises(errors.Unavailable):
                await TokenReviewer(client).review("token")
            await api.start()
            await until(lambda: parts.ready, 2.0)
            assert await parts.cache.names(PODS, "default", ALL) == ["web-0"]


async def test_down_while_running() -> None:
    """What is known stays known, nothing is decided, and the retries are few."""
    async with FakeKubeAPI() as api, KubeClient(api.config()) as client, spawning() as spawn:
        _populate(api)
        parts = _Parts(client, ObjectCache(client, spawn))
        async with running(parts.cache.run(), parts.mapper.run(), parts.authentication.run()):
            await until(lambda: parts.ready)
            await until(lambda: api.watches(PODS.group_resource) and api.watches(CONFIGMAPS))
            await api.stop()
            knocks = await _count_connections(api.port, 2.5)
            assert await parts.cache.names(PODS, "default", ALL) == ["web-0"]
            assert parts.mapper.current is not None
            assert parts.authentication.current.client_ca == b"CA"
            with pytest.raises(errors.AuthorizerFailed):
                await AccessReviewer(client).review(
                    UserInfo("x"), NonResourceAttributes("/metrics", "get")
                )
            await api.start()
            api.put(PODS.group_resource, "default", "web-1")
            await until(lambda: parts.cache.states()[0].objects == 2, 2.0)
    assert knocks <= 5 * 2.5


async def _count_connections(port: int, seconds: float) -> int:
    """Takes and drops connections on a port for a while."""
    knocks = 0

    def knock(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal knocks
        knocks += 1
        writer.transport.abort()

    server = await asyncio.start_server(knock, "127.0.0.1", port, reuse_address=True)
    async with server:
        await asyncio.sleep(seconds)
    return knocks


@pytest.mark.parametrize(
    "path", ["/api/v1/pods", f"/api/v1/namespaces/{NAMESPACE}/configmaps", "/api"]
)
async def test_a_permission_that_is_granted_later(path: str) -> None:
    async with FakeKubeAPI() as api, KubeClient(api.config()) as client, spawning() as spawn:
        _populate(api)
        api.fail(path, status(403, "Forbidden"), times=10_000)
        parts = _Parts(client, ObjectCache(client, spawn))
        async with running(parts.cache.run(), parts.mapper.run(), parts.authentication.run()):
            await until(lambda: api.count(path) >= 2)
            assert not parts.ready
            api.heal()
            await until(lambda: parts.ready, 2.0)
