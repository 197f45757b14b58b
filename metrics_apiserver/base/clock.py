"""The wall clock; everything else is passed `now` or a callable that returns it."""

from __future__ import annotations

import time


def wall_clock() -> float:
    """Seconds since the epoch."""
    return time.time()  # noqa: TID251 - the edge where wall time enters
