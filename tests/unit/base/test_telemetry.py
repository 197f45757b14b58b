from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from metrics_apiserver.base.telemetry import Telemetry

# A label may hold what the operator or the code chose, never what a caller wrote.
ALLOWED_LABELS = frozenset(
    {
        *("group", "code", "reason", "method", "path", "server", "endpoint", "outcome", "kind"),
        *("rule", "capability", "api", "resource", "version"),
    }
)


def metrics(telemetry: Telemetry) -> dict[str, MetricWrapperBase]:
    return {
        name: metric
        for name, metric in vars(telemetry).items()
        if isinstance(metric, MetricWrapperBase)
    }


def test_two_telemetries_share_nothing() -> None:
    first, second = Telemetry(), Telemetry()
    first.prometheus_warnings.inc()
    assert b"prometheus_warnings_total 1.0" in first.render()
    assert b"prometheus_warnings_total 0.0" in second.render()


def test_a_registry_may_be_given() -> None:
    registry = CollectorRegistry()
    telemetry = Telemetry(registry)
    telemetry.in_flight.set(3)
    assert registry.get_sample_value("metrics_apiserver_requests_in_flight") == 3.0


def test_the_predecessor_s_histogram_keeps_its_name() -> None:
    telemetry = Telemetry()
    telemetry.prometheus_seconds.labels("/api/v1/query", "http://p:9090").observe(0.2)
    name = "prometheus_adapter_prometheus_client_request_duration_seconds_count"
    assert name.encode() in telemetry.render()


def test_names_and_help() -> None:
    for family in Telemetry().registry.collect():
        assert family.name.startswith(("metrics_apiserver_", "prometheus_adapter_"))
        assert family.documentation.endswith(".")


@pytest.mark.parametrize("name", metrics(Telemetry()))
def test_labels_hold_nothing_that_callers_choose(name: str) -> None:
    assert set(metrics(Telemetry())[name]._labelnames) <= ALLOWED_LABELS


def test_the_text_is_prometheus_format() -> None:
    telemetry = Telemetry()
    telemetry.requests.labels("custom.metrics.k8s.io", "200").inc()
    telemetry.samples_left_out.labels('rules[0]"\n', "nan").inc()
    families = {
        family.name: family
        for family in text_string_to_metric_families(telemetry.render().decode())
    }
    [sample] = [
        sample
        for sample in families["metrics_apiserver_samples_left_out"].samples
        if sample.name.endswith("_total")
    ]
    assert sample.labels["rule"] == 'rules[0]"\n'
