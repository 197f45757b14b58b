"""Durations in Go's syntax, of flags and the `timeout` parameter: `1m30s`, `500ms`, `-1.5h`, `0`.

Refused: a number without a unit, Prometheus' `d`, `w` and `y`, digits other than ASCII's, and what
does not fit an int64 of nanoseconds. Follows `time.ParseDuration`.
"""

from __future__ import annotations

import re

# Go writes micro with U+00B5 or with the Greek letter U+03BC.
_PART = re.compile("([0-9]+(?:[.][0-9]*)?|[.][0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "\u00b5s": 1e-6,
    "\u03bcs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_MAX_SECONDS = 2**63 / 1e9


def parse(text: str) -> float:
    """Seconds.

    Raises:
        ValueError: not a duration, with how to write one.
    """
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    for match in _PART.finditer(rest):
        if match.start() != position:
            break
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if not rest or position != len(rest) or total >= _MAX_SECONDS:
        raise ValueError(f"{text!r} is no duration: write it like 30s, 1m30s or 500ms")
    return sign * total
