"""What one tick shows, finished: text, compressed text and JSON, never changed again.

A scrape reads it by one reference and touches neither NVML nor a lock. Series beyond the limit are
left out by whole metrics, the least needed first: half a metric would make wrong sums.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from metrics_apiserver.exporter.families.pods import PodNumbers
from metrics_apiserver.exporter.families.text import Family
from metrics_apiserver.exporter.model import Pod

JSON_VERSION = 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One tick, as HTTP serves it.

    Attributes:
        taken_at: monotonic seconds.
        wall: epoch seconds.
        is_up: NVML was initialised.
        text: families (a) to (d).
        state: the self-metrics of devices, served also when the rest is too old.
        whole: the two and the process's own metrics, as they were then.
        compressed: that by gzip; None until somebody asks for it.
    """

    taken_at: float
    wall: float
    is_up: bool
    text: bytes = b""
    state: bytes = b""
    whole: bytes = b""
    compressed: bytes | None = None
    document: bytes = b"{}"
    series: int = 0


def render(
    families: Iterable[Family], max_series: int, drop: Callable[[str, int], None]
) -> tuple[bytes, int]:
    """Text and number of series, of as many metrics as fit.

    Args:
        families: the most needed first.
        max_series: how many may be shown.
        drop: told the metric and its number of series that were left out.
    """
    found, room = [], max_series
    for family in families:
        size = len(family.samples)
        if size > room:
            drop(family.name, size)
            continue
        room -= size
        found.append(family.render())
    return "".join(found).encode(), max_series - room


def document(
    numbers: Mapping[Pod, PodNumbers], node: str, wall: float, window_seconds: float
) -> bytes:
    """Family (d) as JSON, each value with the time it was taken at."""
    items: Sequence[Mapping[str, object]] = [
        {"namespace": pod.namespace, "pod": pod.name, "source": one.source, "metrics": one.values}
        for pod, one in numbers.items()
    ]
    whole = {
        "version": JSON_VERSION,
        "node": node,
        "timestamp_ms": int(wall * 1000),
        "window_s": window_seconds,
        "items": items,
    }
    return json.dumps(whole, separators=(",", ":"), default=dict).encode()


def compress(data: bytes) -> bytes:
    """By gzip; quick rather than small, it is done each tick."""
    return gzip.compress(data, compresslevel=1, mtime=0)
