"""Heartbeat of the sampling thread: tells whether it hangs in the driver.

The sampling thread records a beat before each NVML call and in each round. A thread that does not
return from the driver cannot be interrupted, so the exporter first reports it and later exits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

STALE_SECONDS = 20.0  # then `up` is 0
DEAD_SECONDS = 120.0  # then the process exits, so that the kubelet restarts it
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
        """Called before each NVML call."""
        self.doing = doing
        self._at = self._clock()

    @property
    def age(self) -> float:
        """Seconds since the last beat."""
        return self._clock() - self._at

    @property
    def state(self) -> Literal["alive", "stale", "dead"]:
        """Whether the thread is alive, by the age of the last beat."""
        age = self.age
        if age > DEAD_SECONDS:
            return "dead"
        return "stale" if age > STALE_SECONDS else "alive"
