"""Tells a thread that hangs in the driver from one that works.

The sampling thread stamps the heartbeat before each call into NVML and at each round. A thread that
does not come back cannot be stopped from outside, so what remains is to say so and, later, to end
the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

STALE_SECONDS = 20.0  # then `up` is 0
DEAD_SECONDS = 120.0  # then the process ends, so that the kubelet starts another
UNHEALTHY_SECONDS = 60.0  # then /healthz fails


class Heartbeat:
    """When the sampling thread last did something, and what.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self.doing = "start"

    def beat(self, doing: str) -> None:
        """Called before each call into NVML."""
        self.doing = doing
        self._at = self._clock()

    @property
    def age(self) -> float:
        """Seconds since the last beat."""
        return self._clock() - self._at

    @property
    def state(self) -> Literal["alive", "stale", "dead"]:
        """What the age means."""
        age = self.age
        if age > DEAD_SECONDS:
            return "dead"
        return "stale" if age > STALE_SECONDS else "alive"
