"""Kinds come and go with their readers; what is not known is an error, never an empty answer."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import selector
from metrics_apiserver.core.model import MappedResource
from metrics_apiserver.kube import objects
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.objects import PODS, ObjectCache
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubediscovery import DEPLOYMENTS, NODES
from tests.fakes.kubewire import Fault, status
from tests.fakes.waiting import running, spawning, until

ALL = selector.parse("")
WEB = selector.parse("app=web")


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Environment:
    def __init__(self, api: FakeKubeAPI, cache: ObjectCache, clock: _Clock) -> None:
        self.api = api
        self.cache = cache
        self.clock = clock


@pytest.fixture
async def environment() -> AsyncIterator[Environment]:
    async with (
        FakeKubeAPI() as api,
        KubeClient(api.config()) as client,
        spawning() as spawn,
    ):
        for namespace in ("a", "b"):
            for i in range(3):
                api.put(PODS.group_resource, namespace, f"web-{i}", {"app": "web"})
            api.put(PODS.group_resource, namespace, "db", {"app": "db"})
        api.put(NODES.group_resource, "", "node-1", {"zone": "z1"})
        api.put(DEPLOYMENTS.group_resource, "a", "web", {"app": "web"})
        clock = _Clock()
        yield Environment(api, ObjectCache(client, spawn, clock=clock), clock)


async def test_pods(environment: Environment) -> None:
    async with running(environment.cache.run()):
        assert await environment.cache.names(PODS, "a", WEB) == ["web-0", "web-1", "web-2"]
        assert environment.cache.synced()
        assert await environment.cache.names(PODS, "nowhere", ALL) == []
        assert await environment.cache.names(PODS, "", WEB) == ["web-0", "web-1", "web-2"]
        found = await environment.cache.objects(PODS, "", selector.parse("app=db"))
        assert found == [("a", "db", {"app": "db"}), ("b", "db", {"app": "db"})]
        assert len(await environment.cache.objects(PODS, "a", ALL)) == 4
        assert await environment.cache.get(PODS, "a", "db") == {"app": "db"}
        assert await environment.cache.get(PODS, "a", "nothing") is None
        (state,) = environment.cache.states()
        assert (state.resource, state.objects, state.synced, state.lists) == (PODS, 8, True, 1)
        assert state.age_seconds == 0.0
        assert state.last_error is None
    (listed,) = environment.api.seen("/api/v1/pods", "list")
    assert listed.accept.startswith("application/json;as=PartialObjectMetadataList;g=meta.k8s.io")


async def test_finished_pods_are_neither_listed_nor_watched(environment: Environment) -> None:
    def put(name: str, phase: str) -> None:
        environment.api.put(PODS.group_resource, "jobs", name, status={"phase": phase})

    for phase in ("Pending", "Running", "Unknown", "Succeeded", "Failed"):
        put(phase.lower(), phase)
    async with running(environment.cache.run()):
        assert await environment.cache.names(PODS, "jobs", ALL) == ["pending", "running", "unknown"]
        await until(lambda: environment.api.watches(PODS.group_resource))
        put("running", "Succeeded")
        put("unknown", "Failed")
        put("succeeded", "Succeeded")
        put("pending", "Running")
        for name in ("late-1", "late-2", "late-3"):
            put(name, "Pending")
        await until(lambda: environment.cache.states()[0].objects == 12)
        found = await environment.cache.names(PODS, "jobs", ALL)
        assert found == ["late-1", "late-2", "late-3", "pending"]
        assert await environment.cache.get(PODS, "jobs", "running") is None
    selectors = {seen.query.get("fieldSelector") for seen in environment.api.seen("/api/v1/pods")}
    assert selectors == {"status.phase!=Succeeded,status.phase!=Failed"}
    assert len(environment.api.seen("/api/v1/pods", "watch")) == 1


async def test_only_pods_are_selected_by_phase(environment: Environment) -> None:
    assert await environment.cache.names(NODES, "", ALL) == ["node-1"]
    assert {"fieldSelector"}.isdisjoint(environment.api.seen("/api/v1/nodes")[0].query)


async def test_reads_ask_the_server_nothing(environment: Environment) -> None:
    async with running(environment.cache.run()):
        await environment.cache.names(PODS, "a", WEB)
        await until(lambda: environment.api.watches(PODS.group_resource))
        before = len(environment.api.requests)
        for _ in range(100):
            await environment.cache.names(PODS, "a", WEB)
        assert len(environment.api.requests) == before


async def test_other_kinds_are_watched_from_their_first_use(environment: Environment) -> None:
    assert not environment.cache.synced(NODES)
    assert await environment.cache.names(NODES, "", ALL) == ["node-1"]
    assert await environment.cache.names(NODES, "ignored", ALL) == ["node-1"]
    assert await environment.cache.objects(NODES, "ignored", ALL) == [
        ("", "node-1", {"zone": "z1"})
    ]
    assert await environment.cache.get(NODES, "ignored", "node-1") == {"zone": "z1"}
    assert await environment.cache.names(DEPLOYMENTS, "a", WEB) == ["web"]
    assert environment.api.count("/apis/apps/v1/deployments", "list") == 1
    environment.api.put(NODES.group_resource, "", "node-2")
    await until(lambda: any(s.objects == 2 for s in environment.cache.states()))
    assert await environment.cache.names(NODES, "", ALL) == ["node-1", "node-2"]


async def test_an_unused_kind_is_dropped_and_comes_back(environment: Environment) -> None:
    environment.cache._stale_seconds = math.inf  # the clock jumps, the server does not
    await environment.cache.names(NODES, "", ALL)
    await until(lambda: environment.api.watches(NODES.group_resource))
    environment.clock.now = objects.IDLE_SECONDS - 1
    await environment.cache.names(NODES, "", ALL)
    environment.clock.now += 2
    environment.api.end_watches()
    await until(lambda: environment.api.count("/api/v1/nodes", "watch") == 2)
    await until(lambda: environment.api.watches(NODES.group_resource))
    environment.clock.now += objects.IDLE_SECONDS
    environment.api.end_watches()
    await until(lambda: NODES not in {state.resource for state in environment.cache.states()})
    assert await environment.cache.names(NODES, "", ALL) == ["node-1"]
    assert environment.api.count("/api/v1/nodes", "list") == 2


async def test_the_first_read_does_not_wait_long(environment: Environment) -> None:
    async with KubeClient(environment.api.config()) as client, spawning() as spawn:
        cache = ObjectCache(client, spawn, first_use_seconds=0.05)
        environment.api.fail("/api/v1/nodes", Fault("hang"))
        with pytest.raises(errors.Unavailable, match="has not sent them yet"):
            await cache.names(NODES, "", ALL)


async def test_a_missing_rule_is_named_at_once_and_heals(environment: Environment) -> None:
    environment.api.fail("/api/v1/nodes", status(403, "Forbidden"), times=1000)
    with pytest.raises(errors.Unavailable, match='grant "list,watch" on nodes in its') as caught:
        await environment.cache.names(NODES, "", ALL)
    assert caught.value.detail == "fake 403"
    environment.api.heal()
    await until(lambda: environment.cache.synced(NODES))
    assert await environment.cache.names(NODES, "", ALL) == ["node-1"]


async def test_a_kind_that_is_gone(environment: Environment) -> None:
    gone = MappedResource("example.com", "v1", "widgets", "widget", "Widget", True)
    with pytest.raises(errors.Unavailable, match="answers 404 to a list of them"):
        await environment.cache.names(gone, "a", ALL)


async def test_another_failure_is_told_as_it_is(environment: Environment) -> None:
    async with KubeClient(environment.api.config()) as client, spawning() as spawn:
        cache = ObjectCache(client, spawn, first_use_seconds=0.3)
        environment.api.fail("/api/v1/nodes", status(500), times=1000)
        with pytest.raises(errors.Unavailable, match="answered GET /api/v1/nodes with 500"):
            await cache.names(NODES, "", ALL)


async def test_names_that_are_too_old_are_not_served(environment: Environment) -> None:
    async with running(environment.cache.run()):
        await environment.cache.names(PODS, "a", WEB)
        await environment.api.stop()
        environment.clock.now = objects.STALE_SECONDS
        assert await environment.cache.names(PODS, "a", WEB) == ["web-0", "web-1", "web-2"]
        environment.clock.now += 1
        with pytest.raises(errors.Unavailable, match="object names of pods are not known"):
            await environment.cache.names(PODS, "a", WEB)


async def test_kinds_are_bounded(environment: Environment) -> None:
    made = [
        MappedResource("example.com", "v1", f"kind{i}", f"kind{i}", f"Kind{i}", True)
        for i in range(objects.MAX_KINDS)
    ]
    for kind in made[:-1]:
        with pytest.raises(errors.Unavailable, match="404"):
            await environment.cache.names(kind, "a", ALL)
    with pytest.raises(errors.Unavailable, match="64 kinds are watched already"):
        await environment.cache.names(made[-1], "a", ALL)
