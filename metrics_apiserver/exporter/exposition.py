"""What one round shows, finished: text, compressed text and JSON, never changed again.

A scrape reads it by one reference and touches neither NVML nor a lock. Series beyond the limit are
left out by whole metrics, the least needed first: half a metric would make wrong sums.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from metrics_apiserver.exporter.families.pods import PodMetrics
from metrics_apiserver.exporter.families.text import MetricFamily
from metrics_apiserver.exporter.model import Pod
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.watchdog import Heartbeat

JSON_VERSION = 1
_STALE_SECONDS = 30.0
_STALE_ROUNDS = 5
_GZIP_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class RenderedExposition:
    """One round, as HTTP serves it.

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
    families: Iterable[MetricFamily], max_series: int, drop: Callable[[str, int], None]
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
    pod_metrics: Mapping[Pod, PodMetrics], node: str, wall: float, window_seconds: float
) -> bytes:
    """Family (d) as JSON, each value with the time it was taken at."""
    items: Sequence[Mapping[str, object]] = [
        {"namespace": pod.namespace, "pod": pod.name, "source": one.source, "metrics": one.values}
        for pod, one in pod_metrics.items()
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
    """By gzip; quick rather than small, it is done each round."""
    return gzip.compress(data, compresslevel=1, mtime=0)


class ExpositionStore:
    """The current exposition and what is known of its maker.

    Args:
        clock: monotonic seconds.
    """

    def __init__(
        self, settings: Sampling, heartbeat: Heartbeat, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self.expect(settings.interval_seconds)
        self._gzip_asked_at = float("-inf")
        self.heartbeat = heartbeat
        self.current: RenderedExposition | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether the exposition may still be shown."""
        current = self.current
        return current is not None and self._clock() - current.taken_at <= self._limit

    @property
    def is_up(self) -> bool:
        """NVML is initialised, and the thread that reads it does not hang."""
        current = self.current
        return current is not None and current.is_up and self.heartbeat.state == "alive"

    def expect(self, interval_seconds: float) -> None:
        """Snapshots come so often from now on: slow rounds make them rarer."""
        self._limit = max(_STALE_SECONDS, _STALE_ROUNDS * interval_seconds)

    def publish(self, exposition: RenderedExposition) -> None:
        """Replaces the exposition."""
        self.current = exposition

    def ask_for_gzip(self) -> None:
        """Somebody reads compressed text: it is worth making."""
        self._gzip_asked_at = self._clock()

    def wants_gzip(self) -> bool:
        """Whether somebody asked lately."""
        return self._clock() - self._gzip_asked_at < _GZIP_SECONDS
