"""LIST and WATCH against a server that misbehaves: nothing is lost, nothing half shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.base.backoff import Backoff
from metrics_apiserver.kube import collection, watch
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.collection import Collection
from metrics_apiserver.kube.watch import Reflector
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubediscovery import PODS
from tests.fakes.kubewire import Fault, gone, status
from tests.fakes.waiting import running, until

PATH = "/api/v1/pods"
KIND = PODS.group_resource


class _Sink:
    """Names by what was last said of them; `shown` holds only complete lists."""

    def __init__(self) -> None:
        self.shown: dict[str, dict[str, str]] = {}
        self.arriving: dict[str, dict[str, str]] = {}
        self.events: list[tuple[str, str]] = []
        self.smallest = 1 << 30

    def begin(self) -> None:
        self.arriving = {}

    def add(self, item: dict[str, Any]) -> None:
        self.arriving[item["metadata"]["name"]] = item["metadata"].get("labels", {})

    def commit(self) -> None:
        self.shown = self.arriving
        self.smallest = min(self.smallest, len(self.shown))

    def apply(self, event: str, item: dict[str, Any]) -> None:
        name = item["metadata"]["name"]
        self.events.append((event, name))
        if event == "DELETED":
            self.shown.pop(name, None)
        else:
            self.shown[name] = item["metadata"].get("labels", {})


class World:
    def __init__(self, api: FakeKubeAPI, client: KubeClient) -> None:
        self.api = api
        self.sink = _Sink()
        self.reflector = Reflector(
            client, Collection(PATH), self.sink, backoff=Backoff(first=0.02, last=0.1)
        )

    @property
    def watching(self) -> bool:
        return len(self.api.watches(KIND)) == 1

    @property
    def equal(self) -> bool:
        """Whether the sink shows what the server has."""
        page = self.api.store.page(KIND, namespace="", name="", limit=0, token="")
        truth = {i["metadata"]["name"]: i["metadata"].get("labels", {}) for i in page.items}
        return truth == self.sink.shown


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with FakeKubeAPI() as api, KubeClient(api.config()) as client:
        for i in range(5):
            api.put(KIND, "default", f"pod-{i}", {"app": "web"})
        yield World(api, client)


async def test_list_then_events(world: World) -> None:
    async with running(world.reflector.run()):
        await until(lambda: world.watching)
        assert world.reflector.synced
        assert len(world.sink.shown) == 5
        world.api.put(KIND, "default", "new", {"app": "db"})
        world.api.put(KIND, "default", "pod-0", {"app": "db"})
        world.api.delete(KIND, "default", "pod-1")
        await until(lambda: world.equal)
    assert world.sink.events == [("ADDED", "new"), ("MODIFIED", "pod-0"), ("DELETED", "pod-1")]
    (listed,) = world.api.seen(PATH, "list")
    assert listed.query == {"limit": "500"}
    (watched,) = world.api.seen(PATH, "watch")
    assert watched.query["allowWatchBookmarks"] == "true"
    assert 40 <= int(watched.query["timeoutSeconds"]) <= 50


async def test_pages(world: World) -> None:
    for i in range(1200):
        world.api.put(KIND, "default", f"many-{i}")
    await world.reflector.relist()
    assert len(world.sink.shown) == 1205
    assert world.api.count(PATH, "list") == 3


async def test_nothing_is_lost_between_watches(world: World) -> None:
    async with running(world.reflector.run()):
        for i in range(10):
            await until(lambda: world.watching)
            world.api.end_watches()
            world.api.put(KIND, "default", f"between-{i}")
        await until(lambda: world.equal)
    assert world.reflector.lists == 1


async def test_a_watch_starts_where_bookmarks_left_it(world: World) -> None:
    async with running(world.reflector.run()):
        await until(lambda: world.watching)
        world.api.store.version = 5000
        world.api.bookmark(KIND)
        world.api.end_watches()
        await until(lambda: world.api.count(PATH, "watch") == 2)
    assert world.api.seen(PATH, "watch")[1].query["resourceVersion"] == "5000"


@pytest.mark.parametrize("fault", [gone(), status(410, "Expired")], ids=["event", "answer"])
async def test_an_expired_version_lists_anew(world: World, fault: Fault) -> None:
    world.api.fail(PATH, fault, verb="watch")
    async with running(world.reflector.run()):
        await until(lambda: world.watching)
        world.api.put(KIND, "default", "after")
        await until(lambda: world.equal)
    assert world.reflector.lists == 2
    assert world.sink.smallest == 5


async def test_compacted_history_while_disconnected(world: World) -> None:
    async with running(world.reflector.run()):
        await until(lambda: world.watching)
        await world.api.stop()
        world.api.delete(KIND, "default", "pod-0")
        world.api.put(KIND, "default", "new")
        world.api.store.compact()
        await world.api.start()
        await until(lambda: world.equal)
    assert world.reflector.lists == 2


async def test_a_cut_watch_goes_on_without_a_list(world: World) -> None:
    async with running(world.reflector.run()):
        await until(lambda: world.watching)
        world.api.cut_watches()
        world.api.put(KIND, "default", "meanwhile")
        await until(lambda: world.equal)
    assert world.reflector.lists == 1


async def test_a_silent_watch_is_given_up(world: World) -> None:
    """Nothing comes, not even a bookmark: the deadline of the watch finds it."""
    api = world.api
    async with KubeClient(api.config()) as client:
        reflector = Reflector(
            client, Collection(PATH, watch_seconds=1.0, grace_seconds=0.2), world.sink
        )
        api.fail(PATH, Fault("silent"), verb="watch")
        async with running(reflector.run()):
            await until(lambda: api.count(PATH, "watch") == 1)
            api.put(KIND, "default", "unheard")
            await until(lambda: world.equal)
    assert collection.WATCH_SECONDS + collection.WATCH_GRACE_SECONDS <= 60


async def test_a_reset_list_is_never_shown_in_part(world: World) -> None:
    for i in range(1200):
        world.api.put(KIND, "default", f"many-{i}")
    world.api.fail(PATH, Fault("reset", after=5000), verb="list")
    async with running(world.reflector.run()):
        await until(lambda: world.watching)
    assert world.sink.smallest == 1205


async def test_a_busy_server_does_not_lose_earlier_pages(world: World) -> None:
    for i in range(1200):
        world.api.put(KIND, "default", f"many-{i}")
    await world.reflector.relist()
    world.api.requests.clear()

    class Busy(_Sink):
        def add(self, item: dict[str, Any]) -> None:
            if not self.arriving:
                world.api.fail(PATH, status(429, retry_after=0), verb="list")
                world.api.fail(PATH, Fault("reset"), verb="list")
            super().add(item)

    busy = Busy()
    async with KubeClient(world.api.config()) as client:
        await Reflector(client, Collection(PATH), busy).relist()
    assert len(busy.shown) == 1205
    assert world.api.count(PATH, "list") == 5


async def test_an_expired_page_token_starts_the_list_again(world: World) -> None:
    for i in range(1200):
        world.api.put(KIND, "default", f"many-{i}")
    seen = 0

    class Slow(_Sink):
        def add(self, item: dict[str, Any]) -> None:
            nonlocal seen
            seen += 1
            if seen == 1:
                world.api.store.compact()
            super().add(item)

    slow = Slow()
    async with KubeClient(world.api.config()) as client:
        reflector = Reflector(client, Collection(PATH), slow)
        async with running(reflector.run()):
            await until(lambda: reflector.synced)
    assert len(slow.shown) == 1205


async def test_retry_after_is_honoured(world: World) -> None:
    world.api.fail(PATH, status(429, retry_after=7), verb="list")
    assert await world.reflector.turn() == 7.0
    assert world.reflector.problem is not None
    assert world.reflector.problem.status == 429


async def test_late_and_repeated_events(world: World) -> None:
    def line(event: str, name: str, version: int, **labels: str) -> bytes:
        metadata = {"name": name, "resourceVersion": str(version), "labels": labels}
        return orjson.dumps({"type": event, "object": {"metadata": metadata}})

    async with running(world.reflector.run()):
        await until(lambda: world.watching)
        world.api.send(KIND, line("MODIFIED", "pod-0", 3000, app="new"))
        world.api.send(KIND, line("MODIFIED", "pod-0", 3000, app="new"))
        world.api.send(KIND, line("MODIFIED", "pod-0", 2999, app="old"))
        world.api.send(KIND, line("DELETED", "pod-1", 2998))
        world.api.send(KIND, line("ADDED", "last", 3001))
        await until(lambda: "last" in world.sink.shown)
    assert world.sink.shown["pod-0"] == {"app": "new"}
    assert "pod-1" in world.sink.shown


async def test_a_large_object(world: World) -> None:
    async with running(world.reflector.run()):
        await until(lambda: world.watching)
        world.api.put(KIND, "default", "large", annotations={"a": "x" * (1 << 20)})
        await until(lambda: world.equal)


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":{"metadata":{"name":"x"}}}',
        b'{"type":"SOMETHING","object":{"metadata":{"resourceVersion":"9"}}}',
        b'{"type":"ERROR","object":null}',
        b'{"type":"ERROR","object":{"code":400,"message":"bad"}}',
    ],
)
async def test_what_cannot_be_trusted_lists_anew(world: World, line: bytes) -> None:
    async with running(world.reflector.run()):
        await until(lambda: world.watching)
        world.api.send(KIND, line)
        await until(lambda: world.reflector.lists == 2 and world.watching)
        assert world.equal


async def test_a_temporary_error_event_keeps_the_version(world: World) -> None:
    error = {"code": 429, "details": {"retryAfterSeconds": 1}}
    async with running(world.reflector.run()):
        await until(lambda: world.watching)
        world.api.send(KIND, orjson.dumps({"type": "ERROR", "object": error}))
        await until(lambda: world.reflector.problem is not None)
        assert world.reflector.problem is not None
        assert world.reflector.problem.retry_after == 1.0
        await until(lambda: world.api.count(PATH, "watch") == 2)
    assert world.reflector.lists == 1


async def test_forbidden_settles_the_waiters(world: World) -> None:
    world.api.fail(PATH, status(403, "Forbidden"), times=3)
    async with running(world.reflector.run()):
        await world.reflector.wait(5.0)
        assert not world.reflector.synced
        await until(lambda: world.reflector.synced)
        assert world.reflector.problem is None


async def test_waiting_has_a_limit(world: World) -> None:
    await world.reflector.wait(0.01)
    assert not world.reflector.synced


async def test_a_kind_that_cannot_be_watched_is_listed_now_and_then(world: World) -> None:
    world.api.fail(PATH, status(405), verb="watch", times=2)
    assert await world.reflector.turn() >= watch.POLL_SECONDS
    assert world.reflector.synced
    await world.reflector.turn()
    assert world.reflector.lists == 2


async def test_what_is_no_list(world: World) -> None:
    await world.reflector.relist()
    for body in (
        b"{}",
        b'{"items":[]}',
        b'{"metadata":{"resourceVersion":"1"}}',
        b'{"items":[],"metadata":{}}',
        b'{"items":[],"metadata":[]}',
        b'{"items":[],"metadata":{"resourceVersion":""}}',
        b'{"items":{},"metadata":{"resourceVersion":"1"}}',
        b'{"items":[],"metadata":{"resourceVersion":"1","continue":5}}',
    ):
        world.api.fail(PATH, Fault("raw", body=body))
        with pytest.raises(errors.KubeError, match="cannot be used"):
            await world.reflector.relist()
    assert len(world.sink.shown) == 5


async def test_an_empty_list(world: World) -> None:
    for items in (b"[]", b"null"):
        body = b'{"items":%s,"metadata":{"resourceVersion":"1"}}' % items
        world.api.fail(PATH, Fault("raw", body=body))
        await world.reflector.relist()
        assert world.sink.shown == {}


async def test_a_watch_that_ends_at_once_is_not_asked_in_a_hurry(world: World) -> None:
    bookmark = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"2000"}}}'
    world.api.fail(PATH, Fault("event", body=bookmark), verb="watch", times=1000)
    delays = [await world.reflector.turn() for _ in range(6)]
    assert delays[0] > 0
    assert delays[-1] >= 0.05
