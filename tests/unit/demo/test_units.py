"""Quantities are shown with the unit of their metric."""

from __future__ import annotations

import pytest

from tests.demo import units


@pytest.mark.parametrize(
    ("metric", "text", "shown"),
    [
        ("duty_cycle_current", "76333m", "76.3 %"),
        ("duty_cycle_over_time", "76", "76.0 %"),
        ("gpu_pod_utilization_percent", "5", "5.0 %"),
        ("memory_used_bytes_current", "13747765376", "12.8 GiB"),
        ("memory_used_bytes_current", "1Mi", "1.0 MiB"),
        ("power_usage_milliwatts_current", "574k", "574 W"),
        ("temperature_celsius_current", "68", "68 °C"),
        ("sls_ingress_qps", "49", "49/s"),
        ("queue_depth", "1500m", "1.5"),
    ],
)
def test_a_value_has_the_unit_that_its_metric_names(metric: str, text: str, shown: str) -> None:
    assert units.describe(metric, text) == shown
