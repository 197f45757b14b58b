"""Durations in Prometheus syntax: `5m`, `1h30m`, `500ms`, `0`.

Units go from `y` down to `ms`, each at most once; a year has 365 days. Refused: fractions, signs,
Go's `ns` and `us`, and what does not fit into 63 bits of nanoseconds. Follows
`github.com/prometheus/common/model.ParseDuration`.
"""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_SYNTAX: Final = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+){unit})?" for unit in _UNITS))
_MAX_MILLISECONDS: Final = ((1 << 63) - 1) // 1_000_000


def parse(text: str) -> float:
    """Seconds.

    Raises:
        ValueError: with the reason.
    """
    if text == "0":
        return 0.0
    found = _SYNTAX.fullmatch(text) if len(text) <= 100 else None
    if not text or found is None:
        raise ValueError(f"{text[:100]!r} is no duration: write it as 30s, 5m or 1h30m")
    total = sum(int(found[unit] or 0) * factor for unit, factor in _UNITS.items())
    if total > _MAX_MILLISECONDS:
        raise ValueError(f"{text!r} is out of range")
    return total / 1000
