"""The wall clock: seconds since the epoch.

Everything that needs the time of day is passed `now` or a callable that returns it; this one name
is where it enters, and what nothing but the outermost callers may use.
"""

from __future__ import annotations

import time

wall_clock = time.time  # noqa: TID251 - the edge where wall time enters
