"""A bounded cache with expiry, and shared execution of concurrent calls.

TTLCache drops entries by age and, when full, the least recently used one. SingleFlight runs the
same work once for concurrent callers, who share its result or its error; it caches neither. A
caller that is cancelled does not affect the others, and work that no caller waits for any more is
cancelled.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TTLCache(Generic[K, V]):
    """Least-recently-used cache whose entries also expire; every call is O(1).

    Args:
        capacity: most entries held at once, at least 1.
        clock: seconds that never go back.
    """

    def __init__(self, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        if capacity < 1:
            raise ValueError("a cache needs room for at least one entry")
        self._capacity = capacity
        self._clock = clock
        self._entries: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value put under `key`, or None when there is none or it is too old."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, expires = entry
        if self._clock() >= expires:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V, ttl: float) -> None:
        """Keeps `value` for `ttl` seconds; 0 or less forgets the key instead."""
        if ttl <= 0:
            self.discard(key)
            return
        self._entries[key] = (value, self._clock() + ttl)
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def discard(self, key: K) -> None:
        self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()


class _Flight(Generic[V]):
    """One running piece of work and how many callers still want it."""

    __slots__ = ("callers", "task")

    def __init__(self, task: asyncio.Task[V]) -> None:
        self.task = task
        self.callers = 0


class SingleFlight(Generic[K, V]):
    """Runs work once for all concurrent callers of the same key."""

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[V]] = {}
        # The loop keeps weak references only: an abandoned task must live until it has ended.
        self._tasks: set[asyncio.Task[V]] = set()

    def __len__(self) -> int:
        return len(self._flights)

    async def run(self, key: K, factory: Callable[[], Awaitable[V]]) -> V:
        """Result of `factory()`, shared with every concurrent caller of the same key.

        Args:
            key: identifies the work; the result must depend on nothing else.
            factory: called only when no work for `key` is running.

        Raises:
            Exception: whatever the work raised, in every caller.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._start(key, factory)
        flight.callers += 1
        try:
            # A shield ends with its caller; the work behind it goes on for the others.
            return await asyncio.shield(flight.task)
        finally:
            flight.callers -= 1
            if flight.callers == 0 and not flight.task.done():
                # Forgotten before it has ended, so that the next caller starts afresh.
                self._forget(key, flight)
                flight.task.cancel()

    async def close(self) -> None:
        """Cancels all work and waits until it has ended; its callers are cancelled too."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _start(self, key: K, factory: Callable[[], Awaitable[V]]) -> _Flight[V]:
        async def work() -> V:
            return await factory()

        task = asyncio.create_task(work())  # noqa: TID251 - must outlive the caller who began it
        flight = _Flight(task)
        self._flights[key] = flight
        self._tasks.add(task)

        def ended(task: asyncio.Task[V]) -> None:
            self._tasks.discard(task)
            self._forget(key, flight)
            if not task.cancelled():
                task.exception()  # read, so that an error nobody waits for is not reported twice

        task.add_done_callback(ended)
        return flight

    def _forget(self, key: K, flight: _Flight[V]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
