"""LIST then WATCH of one collection, for ever: what client-go calls a reflector.

The sink sees a whole LIST or none of it, then each change once and in order, so that a store
behind it never shows less than it did (410, resets and expired page tokens start a new LIST beside
the old content). A watch is asked for at most 50 s, and one that lives 8 s longer is dead: a
connection that went silent is found within a minute whatever sends bookmarks or keep-alives,
for one cheap request a minute. kube-apiserver sends a bookmark 2 s before that end, so the next
watch starts where this one stopped. LISTs are paged and consistent (no resourceVersion): with
`resourceVersion=0` the server would ignore `limit` and send everything at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from metrics_apiserver.core import errors
from metrics_apiserver.kube import wire
from metrics_apiserver.kube.backoff import Backoff
from metrics_apiserver.kube.client import KubeClient

logger = logging.getLogger(__name__)

PAGE_SIZE = 500
PAGE_TIMEOUT_SECONDS = 60.0
PAGE_TRIES = 3
WATCH_SECONDS = 50.0
WATCH_GRACE_SECONDS = 8.0
SHORT_WATCH_SECONDS = 1.0
POLL_SECONDS = 10.0
FINAL_STATUSES = frozenset({401, 403, 404, 405, 406})
"""Answers that another try in a moment will not change."""

_REPEATABLE_STATUSES = frozenset({429, 500, 502, 503, 504})
_REPEATABLE_KINDS = frozenset({"reset", "timeout", "unreachable"})


class Sink(Protocol):
    """What takes the content of a collection; the store of names, or the one ConfigMap."""

    def begin(self) -> None:
        """A LIST starts: collect aside."""

    def add(self, item: dict[str, Any]) -> None:
        """One object of the LIST."""

    def commit(self) -> None:
        """The LIST is complete: show it in place of what was there."""

    def apply(self, event: str, item: dict[str, Any]) -> None:
        """One change: ADDED, MODIFIED or DELETED."""


@dataclass(frozen=True, slots=True)
class Collection:
    """What is listed and watched.

    Attributes:
        path: of the collection.
        query: parameters of both, such as a fieldSelector.
    """

    path: str
    list_accept: str = wire.JSON
    watch_accept: str = wire.JSON
    query: Mapping[str, str] = field(default_factory=dict)


class Reflector:
    """Keeps one sink equal to one collection.

    Attributes:
        synced: a LIST has been completed once.
        problem: why the last turn failed; None after a success.
        last_contact: clock at the last sign of life of the collection, None before the first.
        lists: completed LISTs.
    """

    def __init__(
        self,
        client: KubeClient,
        collection: Collection,
        sink: Sink,
        *,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        self._client = client
        self._collection = collection
        self._sink = sink
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._watch_seconds = watch_seconds
        self._version = ""
        self._logged = ""
        self._settled = asyncio.Event()
        self.synced = False
        self.problem: errors.KubeError | None = None
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
            metadata, items = page.get("metadata"), page.get("items") or []
            if not isinstance(metadata, dict) or not isinstance(items, list):
                raise wire.failure("protocol", f"{self._collection.path} is not a list")
            for item in items:
                self._sink.add(item)
            token = metadata.get("continue") or ""
            if not token:
                break
        self._sink.commit()
        self._version = str(metadata.get("resourceVersion") or "")
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
                if last or not token or not _is_repeatable(error):
                    raise
                await asyncio.sleep(error.retry_after or backoff.next())
        raise AssertionError("the last try returns or raises")

    async def _watch(self) -> float:
        started = self._clock()
        seconds = int(self._watch_seconds * (0.8 + 0.2 * random.random()))  # noqa: S311 - spread
        query = {
            **self._collection.query,
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, seconds)),
        }
        stream = self._client.watch(
            self._collection.path,
            query=query,
            accept=self._collection.watch_accept,
            timeout=seconds + WATCH_GRACE_SECONDS,
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
        if self._clock() - started < SHORT_WATCH_SECONDS:
            return self._backoff.next()
        self._backoff.reset()
        return 0.0

    def _take(self, line: bytes) -> None:
        """One watch event.

        Raises:
            errors.KubeError: the server ended the watch with an error, or sent what we cannot
                trust; then `_version` is empty, so that a LIST follows.
        """
        try:
            event = orjson.loads(line)
            kind, item = event["type"], event["object"]
            if kind == "ERROR":
                raise _error_event(item)
            version = item["metadata"]["resourceVersion"]
            if kind in ("ADDED", "MODIFIED", "DELETED"):
                if not _is_older(version, self._version):
                    self._sink.apply(kind, item)
                    self._version = version
            elif kind == "BOOKMARK":
                self._version = version
            else:
                raise wire.failure("protocol", f"unknown watch event in {self._collection.path}")
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError) as error:
            self._version = ""
            detail = f"bad watch event in {self._collection.path}: {type(error).__name__}"
            raise wire.failure("protocol", detail) from None
        except errors.KubeError as error:
            if not _is_repeatable(error):
                self._version = ""
            raise

    def _alive(self) -> None:
        self.last_contact = self._clock()
        self.problem = None

    def _failed(self, error: errors.KubeError) -> float:
        self.problem = error
        text = f"{error.message} ({error.detail})" if error.detail else error.message
        if text != self._logged:
            self._logged = text
            logger.warning("%s: %s", self._collection.path, text)
        delay = max(self._backoff.next(), error.retry_after or 0.0)
        if error.status == 410:
            self._version = ""
        elif error.status in FINAL_STATUSES:
            self._settled.set()
            if self._version:
                # May be listed but not watched: the list is then read again now and then.
                self._version = ""
                delay = max(delay, POLL_SECONDS)
        return delay


def _is_repeatable(error: errors.KubeError) -> bool:
    return error.kind in _REPEATABLE_KINDS or error.status in _REPEATABLE_STATUSES


def _is_older(version: str, seen: str) -> bool:
    """Whether an event was overtaken. Versions that are not numbers cannot be compared."""
    return version.isdecimal() and seen.isdecimal() and int(version) < int(seen)


def _error_event(status: dict[str, Any]) -> errors.KubeError:
    code = status.get("code")
    seconds = (status.get("details") or {}).get("retryAfterSeconds")
    return errors.KubeError(
        "kube-apiserver ended a watch",
        kind="http",
        status=code if isinstance(code, int) else 500,
        retry_after=float(seconds) if isinstance(seconds, int) else None,
        detail=str(status.get("message", ""))[:500],
    )
