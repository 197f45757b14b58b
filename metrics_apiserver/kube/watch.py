"""LIST then WATCH of one collection, again and again: what client-go calls a reflector.

The sink sees a whole LIST or none of it, then each change once and in order, so that a store
behind it never shows less than it did (410, resets and expired page tokens start a new LIST beside
the old content). A watch is asked for at most 50 s, and one that lives 8 s longer is dead: a
connection that went silent is found within a minute whatever sends bookmarks or keepalive probes,
for one cheap request a minute. kube-apiserver sends a bookmark 2 s before that end, so the next
watch starts where this one stopped. LISTs are paged and consistent (no resourceVersion): with
`resourceVersion=0` the server would ignore `limit` and send everything at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from metrics_apiserver.base import errors
from metrics_apiserver.base.backoff import Backoff
from metrics_apiserver.kube import collection
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.collection import Collection, Sink

logger = logging.getLogger(__name__)

PAGE_SIZE = 500
PAGE_TIMEOUT_SECONDS = 60.0
PAGE_TRIES = 3
SHORT_WATCH_SECONDS = 1.0
POLL_SECONDS = 10.0
FINAL_STATUSES = frozenset({401, 403, 404, 405, 406})
"""Answers that another try in a moment will not change."""


class Reflector:
    """Keeps one sink equal to one collection.

    Attributes:
        synced: a LIST has been completed once.
        last_error: why the last turn failed; None after a success.
        last_contact: clock at the last sign of life of the collection, None before the first.
        lists: completed LISTs.
    """

    def __init__(
        self,
        client: KubeClient,
        target: Collection,
        sink: Sink,
        *,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._collection = target
        self._sink = sink
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._version = ""
        self._logged = ""
        self._settled = asyncio.Event()
        self.synced = False
        self.last_error: errors.KubeError | None = None
        self.last_contact: float | None = None
        self.lists = 0

    async def wait(self, seconds: float) -> None:
        """Returns when the collection is synced or cannot be, at the latest after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        except TimeoutError:
            return

    async def run(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Turns until `wanted` says no, which is asked between turns."""
        while wanted():
            delay = await self.turn()
            if delay:
                await asyncio.sleep(delay)

    async def turn(self) -> float:
        """A LIST when one is due, then a WATCH until it ends.

        Returns:
            Seconds to wait before the next turn.
        """
        try:
            if not self._version:
                await self.relist()
            return await self._watch()
        except errors.KubeError as error:
            return self._failed(error)

    async def relist(self) -> None:
        """One whole LIST into the sink.

        Raises:
            errors.KubeError: the sink shows what it showed before.
        """
        self._sink.begin()
        token = ""
        while True:
            page = await self._page(token)
            items, version, token = collection.read_page(self._collection.path, page)
            for item in items:
                self._sink.add(item)
            if not token:
                break
        self._sink.commit()
        self._version = version
        self.lists += 1
        self._alive()
        self.synced = True
        self._settled.set()

    async def _page(self, token: str) -> dict[str, Any]:
        """One page; a busy server gets a few more tries, so that earlier pages are not lost."""
        query = {**self._collection.query, "limit": str(PAGE_SIZE)}
        if token:
            query["continue"] = token
        backoff = Backoff()
        for last in (*[False] * (PAGE_TRIES - 1), True):
            try:
                return await self._client.get_json(
                    self._collection.path,
                    query=query,
                    accept=self._collection.list_accept,
                    timeout=PAGE_TIMEOUT_SECONDS,
                )
            except errors.KubeError as error:
                if last or not token or not error.repeatable:
                    raise
                await asyncio.sleep(error.retry_after or backoff.next())
        raise AssertionError("the last try returns or raises")

    async def _watch(self) -> float:
        started = self._clock()
        share = 0.8 + 0.2 * random.random()  # noqa: S311 - spreads the watches, guards nothing
        seconds = max(1, int(self._collection.watch_seconds * share))
        query = {
            **self._collection.query,
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        stream = self._client.watch(
            self._collection.path,
            query=query,
            accept=self._collection.watch_accept,
            timeout=seconds + self._collection.grace_seconds,
        )
        async with aclosing(stream) as batches:
            async for lines in batches:
                self._alive()
                for line in lines:
                    if line.strip():
                        self._take(line)
                if self._clock() - started >= SHORT_WATCH_SECONDS:
                    self._backoff.reset()
                    self._logged = ""
        if self._collection.relist_each_turn:
            self._version = ""
        if self._clock() - started < SHORT_WATCH_SECONDS:
            return self._backoff.next()
        self._backoff.reset()
        return 0.0

    def _take(self, line: bytes) -> None:
        """One watch event.

        Raises:
            errors.KubeError: the server ended the watch with an error, or sent what cannot be
                trusted; then `_version` is empty, so that a LIST follows.
        """
        try:
            event = collection.read_event(line)
            if event.kind == "BOOKMARK":
                self._version = event.version
            elif not _is_older(event.version, self._version):
                self._sink.apply(event.kind, event.item)
                self._version = event.version
                self._backoff.reset()
        except errors.KubeError as error:
            if not error.repeatable:
                self._version = ""
            raise

    def _alive(self) -> None:
        self.last_contact = self._clock()
        self.last_error = None

    def _failed(self, error: errors.KubeError) -> float:
        self.last_error = error
        text = f"{error.message} ({error.detail})" if error.detail else error.message
        if text != self._logged:
            self._logged = text
            logger.warning("%s: %s", self._collection.path, text)
        delay = max(self._backoff.next(), error.retry_after or 0.0)
        if error.status in FINAL_STATUSES:
            self._settled.set()
            # A kind that may be listed but not watched is read again now and then.
            if self._version or error.status not in (401, 403):
                delay = max(delay, POLL_SECONDS)
        if error.status in FINAL_STATUSES or error.status == 410:
            self._version = ""
        return delay


def _is_older(version: str, seen: str) -> bool:
    """Whether an event was overtaken. Versions that are not numbers cannot be compared."""
    return version.isdecimal() and seen.isdecimal() and int(version) < int(seen)
