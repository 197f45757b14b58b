"""Limits on calls to Prometheus: how many at once, how many wait, and pauses it requests.

With a slow Prometheus, every caller of this server would otherwise wait for it; calls that do not
fit into the queue are refused at once. `Retry-After` of a 429 or 503 in whole seconds is kept, for
half a minute at most: until then nothing is sent at all, because the limit is on us and not on one
query.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from metrics_apiserver.prometheus import failures

_LONGEST_PAUSE_SECONDS = 30.0


class Admission:
    """One for each Prometheus.

    Args:
        max_concurrent: calls in flight at once.
        max_waiting: calls that wait for a place.
        clock: seconds that never go back.
    """

    def __init__(self, max_concurrent: int, max_waiting: int, clock: Callable[[], float]) -> None:
        self._places = asyncio.Semaphore(max_concurrent)
        self._max_waiting = max_waiting
        self._waiting = 0
        self._clock = clock
        self._paused_until = clock()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Holds a place for one call, waiting for it in order of arrival.

        Raises:
            UpstreamError: `overload`; the queue is full.
        """
        if self._places.locked() and self._waiting >= self._max_waiting:
            why = "too many queries are waiting for Prometheus"
            raise failures.upstream(why, kind="overload")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    def check_pause(self) -> None:
        """Lets pass when no pause is on.

        Raises:
            UpstreamError: `overload`, with the seconds that are left.
        """
        left = self._paused_until - self._clock()
        if left > 0:
            why = f"Prometheus asked for a pause, {left:.0f} s are left"
            raise failures.upstream(why, kind="overload", status=429)

    def observe(self, status: int, retry_after: str) -> None:
        """Starts a pause if this response asks for one.

        Args:
            status: HTTP status of the answer.
            retry_after: its header; a date or anything but whole seconds is not heeded.
        """
        if status in {429, 503} and retry_after.isascii() and retry_after.isdigit():
            pause = min(float(retry_after), _LONGEST_PAUSE_SECONDS)
            self._paused_until = max(self._paused_until, self._clock() + pause)
