"""What is counted of requests to Prometheus."""

from __future__ import annotations

from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.prometheus.counters import PrometheusMetrics


def test_each_request_is_counted_by_endpoint_and_outcome() -> None:
    telemetry = Telemetry()
    subject = PrometheusMetrics(telemetry, "http://prometheus:9090")
    subject.observe("label_values", "ok", 0.25)
    subject.observe("label_values", "partial", 0.5)
    subject.observe("query", "timeout", 1.0)
    value = telemetry.registry.get_sample_value
    requests = "metrics_apiserver_prometheus_requests_total"
    assert value(requests, {"endpoint": "label_values", "outcome": "partial"}) == 1
    assert value(requests, {"endpoint": "query", "outcome": "timeout"}) == 1
    assert value("metrics_apiserver_prometheus_warnings_total") == 1
    seconds = "prometheus_adapter_prometheus_client_request_duration_seconds_sum"
    labels = {"path": "/api/v1/label/:name/values", "server": "http://prometheus:9090"}
    assert value(seconds, labels) == 0.75


def test_what_is_refused_is_known_from_the_start() -> None:
    telemetry = Telemetry()
    subject = PrometheusMetrics(telemetry, "http://prometheus:9090")
    subject.refused("post", True)
    values = {
        capability: telemetry.registry.get_sample_value(
            "metrics_apiserver_prometheus_refused", {"capability": capability}
        )
        for capability in ("label_values", "label_names", "post")
    }
    assert values == {"label_values": 0, "label_names": 0, "post": 1}
