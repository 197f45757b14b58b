"""The cache under random faults: what exists is never missing, and the end is always the truth."""

from __future__ import annotations

import asyncio
import random

import orjson
import pytest

from metrics_apiserver.core import selector
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.objects import PODS, ObjectCache
from tests.fakes import kubeselection
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubewire import Fault, gone, status
from tests.fakes.waiting import running, spawning, until

KIND = PODS.group_resource
PATH = "/api/v1/pods"
ALL = selector.parse("")
FAULTS = 10
STABLE = selector.parse("stable=yes")
UNFINISHED = kubeselection.parse("", "status.phase!=Succeeded,status.phase!=Failed")


class _World:
    def __init__(self, api: FakeKubeAPI, cache: ObjectCache, seed: int) -> None:
        self.api = api
        self.cache = cache
        self.random = random.Random(seed)
        self.made = 0

    def populate(self) -> None:
        for i in range(700):
            self.api.put(KIND, "default", f"stable-{i:03}", {"stable": "yes"})

    def change(self) -> None:
        """A few objects come, change and go."""
        for _ in range(self.random.randint(1, 20)):
            self.made += 1
            self.api.put(KIND, "default", f"made-{self.made}", {"turn": "first"})
            other = f"made-{self.random.randint(1, self.made)}"
            if self.api.store.get(KIND, "default", other) is not None:
                if self.random.random() < 0.5:
                    self.api.delete(KIND, "default", other)
                else:
                    phase = self.random.choice(["Running", "Succeeded", "Failed"])
                    self.api.put(KIND, "default", other, {"turn": "o"}, status={"phase": phase})

    async def disturb(self, choice: int) -> None:
        api = self.api
        match choice:
            case 0:
                api.cut_watches()
            case 1:
                api.end_watches()
            case 2:
                api.fail(PATH, gone(), verb="watch")
                api.cut_watches()
            case 3:
                api.store.compact()
                api.cut_watches()
            case 4:
                api.fail(PATH, Fault("reset", after=self.random.randint(0, 50_000)), verb="list")
                api.fail(PATH, status(410), verb="watch")
                api.end_watches()
            case 5:
                api.fail(PATH, status(429, retry_after=0), times=2)
                api.end_watches()
            case 6:
                api.fail(PATH, status(500), times=2)
                api.cut_watches()
            case 7:
                api.send(KIND, b'{"type":"ADDED","object":')
            case 8:
                await api.stop()
                self.api.store.compact()
                await api.start()
            case _:
                self.send_late_event()

    def send_late_event(self) -> None:
        """A deletion of something that is there, from long ago."""
        metadata = {"name": "stable-000", "namespace": "default", "resourceVersion": "5"}
        event = {"type": "DELETED", "object": {"metadata": metadata}}
        self.api.send(KIND, orjson.dumps(event))

    async def observe(self) -> None:
        """Fails as soon as a read misses what was there all the time."""
        while True:
            assert len(await self.cache.names(PODS, "default", STABLE)) == 700
            await asyncio.sleep(0.002)

    async def truth(self) -> dict[str, dict[str, str]]:
        page = self.api.store.page(KIND, UNFINISHED)
        return {item["metadata"]["name"]: item["metadata"].get("labels", {}) for item in page.items}

    async def settled(self, seconds: float) -> None:
        truth = await self.truth()
        seen: dict[str, object] = {}

        async def look() -> None:
            while seen != truth:
                found = await self.cache.objects(PODS, "default", ALL)
                seen.clear()
                seen.update({name: labels for _, name, labels in found})
                await asyncio.sleep(0.01)

        async with asyncio.timeout(seconds):
            await look()


@pytest.mark.parametrize("choice", range(FAULTS))
async def test_each_fault_is_over_in_two_seconds(choice: int) -> None:
    async with FakeKubeAPI() as api, KubeClient(api.config()) as client, spawning() as spawn:
        environment = _World(api, ObjectCache(client, spawn), choice)
        environment.populate()
        async with running(environment.cache.run()):
            await until(lambda: api.watches(KIND))
            async with running(environment.observe()):
                environment.change()
                await environment.disturb(choice)
                environment.change()
                await environment.settled(2.0)


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_missing_under_many(seed: int) -> None:
    async with FakeKubeAPI() as api, KubeClient(api.config()) as client, spawning() as spawn:
        environment = _World(api, ObjectCache(client, spawn), seed)
        environment.populate()
        async with running(environment.cache.run()):
            await until(environment.cache.synced)
            async with running(environment.observe()):
                for _ in range(6):
                    environment.change()
                    await environment.disturb(environment.random.randrange(FAULTS))
                    environment.change()
                    if environment.random.random() < 0.5:
                        await environment.settled(10.0)
                await environment.settled(10.0)
