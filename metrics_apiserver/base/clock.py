"""Where wall time enters a process; everything else is handed `now` or a callable that gives it."""

from __future__ import annotations

import time


def wall_clock() -> float:
    """Seconds since the epoch."""
    return time.time()  # noqa: TID251 - the edge where wall time enters
