"""The self-metrics of requests to Prometheus: how each ended, and how long it took."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.prometheus.refusals import Capability

_PATHS = {
    "query": "/api/v1/query",
    "series": "/api/v1/series",
    "label_values": "/api/v1/label/:name/values",
    "label_names": "/api/v1/labels",
}


class PrometheusMetrics:
    """Counts for the client.

    Args:
        telemetry: takes what is counted.
        url: of Prometheus, as label `server`.
    """

    def __init__(self, telemetry: Telemetry, url: str) -> None:
        self._telemetry = telemetry
        self._url = url
        self._counters: dict[tuple[str, str], Callable[[], None]] = {}
        self._timers: dict[str, Callable[[float], None]] = {}
        for capability in get_args(Capability):
            telemetry.prometheus_refused.labels(capability).set(0)

    def observe(self, endpoint: str, outcome: str, seconds: float) -> None:
        """Counts one request; arguments as the client's `observe`."""
        telemetry = self._telemetry
        count = self._counters.get((endpoint, outcome))
        if count is None:
            count = telemetry.prometheus_requests.labels(endpoint, outcome).inc
            self._counters[endpoint, outcome] = count
        timer = self._timers.get(endpoint)
        if timer is None:
            timer = telemetry.prometheus_seconds.labels(_PATHS[endpoint], self._url).observe
            self._timers[endpoint] = timer
        count()
        timer(seconds)
        if outcome == "partial":
            telemetry.prometheus_warnings.inc()

    def refused(self, capability: str, refused: bool) -> None:
        """Says whether Prometheus refuses this; arguments as the report of Refusals."""
        self._telemetry.prometheus_refused.labels(capability).set(refused)
