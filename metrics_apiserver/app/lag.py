"""How late the event loop runs: what every request waits for, measured and exported."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

INTERVAL_SECONDS = 0.05
WINDOW_SECONDS = 15.0


class LagMeter:
    """Sleeps a little, again and again, and keeps the longest delay of the window.

    Args:
        report: takes the longest delay in seconds, at the end of each window.
        clock: monotonic seconds.

    Attributes:
        ticked: monotonic time of the last turn, for the liveness check.
    """

    def __init__(
        self,
        report: Callable[[float], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._clock = clock
        self.ticked = clock()

    async def run(self) -> None:
        """Measures for ever."""
        worst, window_ends = 0.0, self._clock() + WINDOW_SECONDS
        while True:
            before = self._clock()
            await asyncio.sleep(INTERVAL_SECONDS)
            self.ticked = self._clock()
            worst = max(worst, self.ticked - before - INTERVAL_SECONDS)
            if self.ticked >= window_ends:
                self._report(worst)
                worst, window_ends = 0.0, self.ticked + WINDOW_SECONDS
