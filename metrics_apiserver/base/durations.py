"""Durations as Go and Prometheus write them, in seconds.

| | Go, as in flags | Prometheus, as in rules |
| --- | --- | --- |
| units | `ns` to `h`, in any order | `y` down to `ms`, each at most once |
| numbers | `1.5h`, `.5s`, `-1s` | whole and positive only |
| without a unit | `0` | `0` |
| limit | an int64 of nanoseconds | the same |

Follows `time.ParseDuration`, `time.Duration.String` and, for Prometheus, `model.ParseDuration` of
`github.com/prometheus/common`.
"""

from __future__ import annotations

import re
from typing import Final

# Go writes micro with U+00B5 or with the Greek letter U+03BC.
_GO_PART: Final = re.compile("([0-9]+(?:[.][0-9]*)?|[.][0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_GO_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "\u00b5s": 1e-6,
    "\u03bcs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_MAX_SECONDS: Final = 2**63 / 1e9
_PROMETHEUS_MILLISECONDS: Final = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_PROMETHEUS: Final = re.compile(
    "".join(rf"(?:(?P<{unit}>[0-9]+){unit})?" for unit in _PROMETHEUS_MILLISECONDS)
)
_MAX_MILLISECONDS: Final = ((1 << 63) - 1) // 1_000_000


def parse_go(text: str) -> float:
    """The seconds of a Go duration such as `1m30s`.

    Raises:
        ValueError: not a duration, with how to write one.
    """
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    for match in _GO_PART.finditer(rest):
        if match.start() != position:
            break
        total += float(match[1]) * _GO_UNITS[match[2]]
        position = match.end()
    if not rest or position != len(rest) or total >= _MAX_SECONDS:
        raise ValueError(f"{text!r} is not a duration: write it like 30s, 1m30s or 500ms")
    return sign * total


def parse_prometheus(text: str) -> float:
    """The seconds of a Prometheus duration such as `1d12h`.

    Raises:
        ValueError: with the reason.
    """
    if text == "0":
        return 0.0
    match = _PROMETHEUS.fullmatch(text) if len(text) <= 100 else None
    if not text or match is None:
        raise ValueError(f"{text[:100]!r} is not a duration: write it as 30s, 5m or 1h30m")
    total = sum(int(match[unit] or 0) * size for unit, size in _PROMETHEUS_MILLISECONDS.items())
    if total > _MAX_MILLISECONDS:
        raise ValueError(f"{text!r} is out of range")
    return total / 1000


def format_go(seconds: float) -> str:
    """Go's `time.Duration.String()` for whole milliseconds: `5m0s`, `1h0m0s`, `1.5s`, `0s`."""
    millis = round(seconds * 1000)
    if millis == 0:
        return "0s"
    sign, millis = ("-", -millis) if millis < 0 else ("", millis)
    if millis < 1000:
        return f"{sign}{millis}ms"
    whole, rest = divmod(millis, 1000)
    hours, remainder = divmod(whole, 3600)
    minutes, secs = divmod(remainder, 60)
    fraction = f".{rest:03d}".rstrip("0") if rest else ""
    text = f"{secs}{fraction}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else f"{sign}{text}"
