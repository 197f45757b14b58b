"""Requests through kube-apiserver at a steady rate, and a watch on the APIServices meanwhile.

The rate does not depend on how long answers take (open loop), unless very many are in flight.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import aiohttp

from tests.e2e.harness.background import Background

API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
MOST_IN_FLIGHT = 200


class Traffic:
    """Use as a context manager around what must not disturb any client.

    Args:
        url: kube-apiserver.
        context: of the caller.
        paths: requested in turn.
        rate: requests each second.
        watched: names of APIServices.

    Attributes:
        answers: number of answers by status.
        failures: each answer other than 200: seconds since the beginning, path, what came.
        flips: each change of an APIService to something other than available.
        latencies: seconds of each answer.
        seen: number of changes seen of each APIService.
        seconds: how long it lasted.
    """

    def __init__(
        self,
        url: str,
        context: ssl.SSLContext,
        paths: Sequence[str],
        rate: float,
        watched: Sequence[str],
    ) -> None:
        self._url = url
        self._context = context
        self._paths = itertools.cycle(paths)
        self._rate = rate
        self._watched = frozenset(watched)
        self._background = Background(self._run)
        self._began = 0.0
        self.seconds = 0.0
        self.answers: Counter[int] = Counter()
        self.failures: list[tuple[float, str, str]] = []
        self.flips: list[tuple[str, Any]] = []
        self.latencies: list[float] = []
        self.seen: Counter[str] = Counter()

    def __enter__(self) -> Traffic:
        self._began = time.monotonic()
        self._background.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._background.stop()
        self.seconds = time.monotonic() - self._began

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the answers came."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._context, limit=0)
        async with (
            aiohttp.ClientSession(self._url, connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._watch(session))
            await self._send(session, group)

    async def _send(self, session: aiohttp.ClientSession, group: asyncio.TaskGroup) -> None:
        under_way: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        while True:
            if len(under_way) < MOST_IN_FLIGHT:
                task = group.create_task(self._request(session, next(self._paths)))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            due += 1 / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _request(self, session: aiohttp.ClientSession, path: str) -> None:
        sent = time.monotonic()
        try:
            async with session.get(path, timeout=aiohttp.ClientTimeout(20)) as response:
                text = await response.text()
                self.answers[response.status] += 1
                said = "" if response.status == 200 else f"{response.status} {text[:300]}"
        except (aiohttp.ClientError, TimeoutError) as error:
            self.answers[0] += 1
            said = repr(error)
        self.latencies.append(time.monotonic() - sent)
        if said:
            self.failures.append((sent - self._began, path, said))

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        async with session.get(API_SERVICES) as response:
            version = (await response.json())["metadata"]["resourceVersion"]
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "600"}
        timeout = aiohttp.ClientTimeout(total=None)
        async with session.get(API_SERVICES, params=query, timeout=timeout) as response:
            async for line in response.content:
                self._record(json.loads(line)["object"])

    def _record(self, service: dict[str, Any]) -> None:
        name = service["metadata"]["name"]
        if name not in self._watched:
            return
        self.seen[name] += 1
        for condition in service.get("status", {}).get("conditions", []):
            if condition["type"] == "Available" and condition["status"] != "True":
                self.flips.append((name, condition))
