"""Where the sampling thread leaves its snapshots and HTTP finds them.

One reference is replaced; nobody waits for anybody. A snapshot that is too old counts as none, so
that an HPA sees that values are missing instead of values that are frozen.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.snapshot import Snapshot
from metrics_apiserver.exporter.watchdog import Pulse

_STALE_SECONDS = 30.0
_STALE_TICKS = 5
_GZIP_SECONDS = 300.0


class Board:
    """The current snapshot and what is known of its maker.

    Args:
        clock: monotonic seconds.
    """

    def __init__(
        self, settings: Sampling, pulse: Pulse, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self.expect(settings.interval_seconds)
        self._gzip_asked_at = float("-inf")
        self.pulse = pulse
        self.current: Snapshot | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether the snapshot may still be shown."""
        current = self.current
        return current is not None and self._clock() - current.taken_at <= self._limit

    @property
    def is_up(self) -> bool:
        """NVML is initialised, and the thread that reads it does not hang."""
        current = self.current
        return current is not None and current.is_up and self.pulse.verdict == "alive"

    def expect(self, interval_seconds: float) -> None:
        """Snapshots come so often from now on: slow ticks make them rarer."""
        self._limit = max(_STALE_SECONDS, _STALE_TICKS * interval_seconds)

    def publish(self, snapshot: Snapshot) -> None:
        """Replaces the snapshot."""
        self.current = snapshot

    def ask_for_gzip(self) -> None:
        """Somebody reads compressed text: it is worth making."""
        self._gzip_asked_at = self._clock()

    def wants_gzip(self) -> bool:
        """Whether somebody asked lately."""
        return self._clock() - self._gzip_asked_at < _GZIP_SECONDS
