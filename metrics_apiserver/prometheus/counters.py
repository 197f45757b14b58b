"""The self-metrics of requests to Prometheus: how each ended, and how long it took."""

from __future__ import annotations

from metrics_apiserver.base.telemetry import Telemetry

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

    def observe(self, endpoint: str, outcome: str, seconds: float) -> None:
        """Counts one request; arguments as the client's `observe`."""
        telemetry = self._telemetry
        telemetry.prometheus_requests.labels(endpoint, outcome).inc()
        telemetry.prometheus_seconds.labels(_PATHS[endpoint], self._url).observe(seconds)
        if outcome == "partial":
            telemetry.prometheus_warnings.inc()
