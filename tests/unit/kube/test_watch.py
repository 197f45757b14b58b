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


class Environment:
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
        page = self.api.store.page(KIND)
        truth = {i["metadata"]["name"]: i["metadata"].get("labels", {}) for i in page.items}
        return truth == self.sink.shown


@pytest.fixture
async def environment() -> AsyncIterator[Environment]:
    async with FakeKubeAPI() as api, KubeClient(api.config()) as client:
        for i in range(5):
            api.put(KIND, "default", f"pod-{i}", {"app": "web"})
        yield Environment(api, client)


async def test_list_then_events(environment: Environment) -> None:
    async with running(environment.reflector.run()):
        await until(lambda: environment.watching)
        assert environment.reflector.synced
        assert len(environment.sink.shown) == 5
        environment.api.put(KIND, "default", "new", {"app": "db"})
        environment.api.put(KIND, "default", "pod-0", {"app": "db"})
        environment.api.delete(KIND, "default", "pod-1")
        await until(lambda: environment.equal)
    assert environment.sink.events == [
        ("ADDED", "new"),
        ("MODIFIED", "pod-0"),
        ("DELETED", "pod-1"),
    ]
    (listed,) = environment.api.seen(PATH, "list")
    assert listed.query == {"limit": "500"}
    (watched,) = environment.api.seen(PATH, "watch")
    assert watched.query["allowWatchBookmarks"] == "true"
    assert 40 <= int(watched.query["timeoutSeconds"]) <= 50


async def test_pages(environment: Environment) -> None:
    for i in range(1200):
        environment.api.put(KIND, "default", f"many-{i}")
    await environment.reflector.relist()
    assert len(environment.sink.shown) == 1205
    assert environment.api.count(PATH, "list") == 3


async def test_nothing_is_lost_between_watches(environment: Environment) -> None:
    async with running(environment.reflector.run()):
        for i in range(10):
            await until(lambda: environment.watching)
            environment.api.end_watches()
            environment.api.put(KIND, "default", f"between-{i}")
        await until(lambda: environment.equal)
    assert environment.reflector.lists == 1


async def test_a_watch_starts_where_bookmarks_left_it(environment: Environment) -> None:
    async with running(environment.reflector.run()):
        await until(lambda: environment.watching)
        environment.api.store.version = 5000
        environment.api.bookmark(KIND)
        environment.api.end_watches()
        await until(lambda: environment.api.count(PATH, "watch") == 2)
    assert environment.api.seen(PATH, "watch")[1].query["resourceVersion"] == "5000"


@pytest.mark.parametrize("fault", [gone(), status(410, "Expired")], ids=["event", "answer"])
async def test_an_expired_version_lists_anew(environment: Environment, fault: Fault) -> None:
    environment.api.fail(PATH, fault, verb="watch")
    async with running(environment.reflector.run()):
        await until(lambda: environment.watching)
        environment.api.put(KIND, "default", "after")
        await until(lambda: environment.equal)
    assert environment.reflector.lists == 2
    assert environment.sink.smallest == 5


async def test_compacted_history_while_disconnected(environment: Environment) -> None:
    async with running(environment.reflector.run()):
        await until(lambda: environment.watching)
        await environment.api.stop()
        environment.api.delete(KIND, "default", "pod-0")
        environment.api.put(KIND, "default", "new")
        environment.api.store.compact()
        await environment.api.start()
        await until(lambda: environment.equal)
    assert environment.reflector.lists == 2


async def test_a_cut_watch_goes_on_without_a_list(environment: Environment) -> None:
    async with running(environment.reflector.run()):
        await until(lambda: environment.watching)
        environment.api.cut_watches()
        environment.api.put(KIND, "default", "meanwhile")
        await until(lambda: environment.equal)
    assert environment.reflector.lists == 1


async def test_a_silent_watch_is_given_up(environment: Environment) -> None:
    """Nothing comes, not even a bookmark: the deadline of the watch finds it."""
    api = environment.api
    async with KubeClient(api.config()) as client:
        reflector = Reflector(
            client, Collection(PATH, watch_seconds=1.0, grace_seconds=0.2), environment.sink
        )
        api.fail(PATH, Fault("silent"), verb="watch")
        async with running(reflector.run()):
            await until(lambda: api.count(PATH, "watch") == 1)
            api.put(KIND, "default", "unheard")
            await until(lambda: environment.equal)
    assert collection.WATCH_SECONDS + collection.WATCH_GRACE_SECONDS <= 60


async def test_a_reset_list_is_never_shown_in_part(environment: Environment) -> None:
    for i in range(1200):
        environment.api.put(KIND, "default", f"many-{i}")
    environment.api.fail(PATH, Fault("reset", after=5000), verb="list")
    async with running(environment.reflector.run()):
        await until(lambda: environment.watching)
    assert environment.sink.smallest == 1205


async def test_a_busy_server_does_not_lose_earlier_pages(environment: Environment) -> None:
    for i in range(1200):
        environment.api.put(KIND, "default", f"many-{i}")
    await environment.reflector.relist()
    environment.api.requests.clear()

    class Busy(_Sink):
        def add(self, item: dict[str, Any]) -> None:
            if not self.arriving:
                environment.api.fail(PATH, status(429, retry_after=0), verb="list")
                environment.api.fail(PATH, Fault("reset"), verb="list")
            super().add(item)

    busy = Busy()
    async with KubeClient(environment.api.config()) as client:
        await Reflector(client, Collection(PATH), busy).relist()
    assert len(busy.shown) == 1205
    assert environment.api.count(PATH, "list") == 5


async def test_an_expired_page_token_starts_the_list_again(environment: Environment) -> None:
    for i in range(1200):
        environment.api.put(KIND, "default", f"many-{i}")
    seen = 0

    class Slow(_Sink):
        def add(self, item: dict[str, Any]) -> None:
            nonlocal seen
            seen += 1
            if seen == 1:
                environment.api.store.compact()
            super().add(item)

    slow = Slow()
    async with KubeClient(environment.api.config()) as client:
        reflector = Reflector(client, Collection(PATH), slow)
        async with running(reflector.run()):
            await until(lambda: reflector.synced)
    assert len(slow.shown) == 1205


async def test_retry_after_is_honoured(environment: Environment) -> None:
    environment.api.fail(PATH, status(429, retry_after=7), verb="list")
    assert await environment.reflector.turn() == 7.0
    assert environment.reflector.last_error is not None
    assert environment.reflector.last_error.status == 429


async def test_late_and_repeated_events(environment: Environment) -> None:
    def line(event: str, name: str, version: int, **labels: str) -> bytes:
        metadata = {"name": name, "resourceVersion": str(version), "labels": labels}
        return orjson.dumps({"type": event, "object": {"metadata": metadata}})

    async with running(environment.reflector.run()):
        await until(lambda: environment.watching)
        environment.api.send(KIND, line("MODIFIED", "pod-0", 3000, app="new"))
        environment.api.send(KIND, line("MODIFIED", "pod-0", 3000, app="new"))
        environment.api.send(KIND, line("MODIFIED", "pod-0", 2999, app="old"))
        environment.api.send(KIND, line("DELETED", "pod-1", 2998))
        environment.api.send(KIND, line("ADDED", "last", 3001))
        await until(lambda: "last" in environment.sink.shown)
    assert environment.sink.shown["pod-0"] == {"app": "new"}
    assert "pod-1" in environment.sink.shown


async def test_a_large_object(environment: Environment) -> None:
    async with running(environment.reflector.run()):
        await until(lambda: environment.watching)
        environment.api.put(KIND, "default", "large", annotations={"a": "x" * (1 << 20)})
        await until(lambda: environment.equal)


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
async def test_what_cannot_be_trusted_lists_anew(environment: Environment, line: bytes) -> None:
    async with running(environment.reflector.run()):
        await until(lambda: environment.watching)
        environment.api.send(KIND, line)
        await until(lambda: environment.reflector.lists == 2 and environment.watching)
        assert environment.equal


async def test_a_temporary_error_event_keeps_the_version(environment: Environment) -> None:
    error = {"code": 429, "details": {"retryAfterSeconds": 1}}
    async with running(environment.reflector.run()):
        await until(lambda: environment.watching)
        environment.api.send(KIND, orjson.dumps({"type": "ERROR", "object": error}))
        await until(lambda: environment.reflector.last_error is not None)
        assert environment.reflector.last_error is not None
        assert environment.reflector.last_error.retry_after == 1.0
        await until(lambda: environment.api.count(PATH, "watch") == 2)
    assert environment.reflector.lists == 1


async def test_forbidden_settles_the_waiters(environment: Environment) -> None:
    environment.api.fail(PATH, status(403, "Forbidden"), times=3)
    async with running(environment.reflector.run()):
        await environment.reflector.wait(5.0)
        assert not environment.reflector.synced
        await until(lambda: environment.reflector.synced)
        assert environment.reflector.last_error is None


async def test_waiting_has_a_limit(environment: Environment) -> None:
    await environment.reflector.wait(0.01)
    assert not environment.reflector.synced


async def test_a_kind_that_cannot_be_watched_is_listed_now_and_then(
    environment: Environment,
) -> None:
    environment.api.fail(PATH, status(405), verb="watch", times=2)
    assert await environment.reflector.turn() >= watch.POLL_SECONDS
    assert environment.reflector.synced
    await environment.reflector.turn()
    assert environment.reflector.lists == 2


async def test_what_is_no_list(environment: Environment) -> None:
    await environment.reflector.relist()
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
        environment.api.fail(PATH, Fault("raw", body=body))
        with pytest.raises(errors.KubeError, match="cannot be used"):
            await environment.reflector.relist()
    assert len(environment.sink.shown) == 5


async def test_an_empty_list(environment: Environment) -> None:
    for items in (b"[]", b"null"):
        body = b'{"items":%s,"metadata":{"resourceVersion":"1"}}' % items
        environment.api.fail(PATH, Fault("raw", body=body))
        await environment.reflector.relist()
        assert environment.sink.shown == {}


async def test_a_watch_that_ends_at_once_is_not_asked_in_a_hurry(environment: Environment) -> None:
    bookmark = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"2000"}}}'
    environment.api.fail(PATH, Fault("event", body=bookmark), verb="watch", times=1000)
    delays = [await environment.reflector.turn() for _ in range(6)]
    assert delays[0] > 0
    assert delays[-1] >= 0.05
