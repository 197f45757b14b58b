"""The rendered exposition of a sampling round, and the store that HTTP serves it from.

Rendering happens in the sampling thread; a scrape reads one immutable object by reference and needs
neither NVML nor a lock. Above the series limit whole metric families are left out, the least
important first: a part of a family would give wrong sums. An exposition that is too old counts as
none, so that an HPA sees missing values and not frozen ones.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from metrics_apiserver.exporter.families.pods import PodGPUMetrics
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
    """One sampling round as HTTP serves it: text, compressed text and JSON.

    Attributes:
        taken_at: monotonic seconds.
        wall: epoch seconds.
        is_up: NVML was initialised.
        text: metric families (a) to (d).
        state: self-metrics of the devices, served even when the rest is too old.
        whole: `text`, `state` and the metrics of the process at that time.
        compressed: `whole` by gzip; None until a client asks for it.
        document: family (d) as JSON.
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
    """The text and number of series of as many metric families as fit.

    Args:
        families: the most important first.
        max_series: the limit.
        drop: called with each family that was left out and its number of series.
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
    pod_metrics: Mapping[Pod, PodGPUMetrics], node: str, wall: float, window_seconds: float
) -> bytes:
    """Family (d) as JSON, with the time the values were taken at."""
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
    """Gzip at the fastest level, since it runs every round."""
    return gzip.compress(data, compresslevel=1, mtime=0)


class ExpositionStore:
    """The current exposition, and whether it may be served.

    Args:
        settings: for the sampling interval.
        heartbeat: of the sampling thread.
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
        """Whether the exposition is recent enough to be served."""
        current = self.current
        return current is not None and self._clock() - current.taken_at <= self._limit

    @property
    def is_up(self) -> bool:
        """Whether NVML is initialised and the sampling thread is alive."""
        current = self.current
        return current is not None and current.is_up and self.heartbeat.state == "alive"

    def expect(self, interval_seconds: float) -> None:
        """Sets the interval at which expositions are expected; slow rounds lengthen it."""
        self._limit = max(_STALE_SECONDS, _STALE_ROUNDS * interval_seconds)

    def publish(self, exposition: RenderedExposition) -> None:
        """Replaces the exposition."""
        self.current = exposition

    def ask_for_gzip(self) -> None:
        """Records that a client accepts gzip."""
        self._gzip_asked_at = self._clock()

    def wants_gzip(self) -> bool:
        """Whether a client accepted gzip recently."""
        return self._clock() - self._gzip_asked_at < _GZIP_SECONDS
