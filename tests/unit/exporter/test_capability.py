"""Unsupported calls are not repeated for a while."""

from __future__ import annotations

import logging

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter.capability import Capabilities, feature
from metrics_apiserver.exporter.nvml.library import Code, NVMLError
from metrics_apiserver.exporter.telemetry import ExporterTelemetry

CALL = "nvmlDeviceGetFanSpeed"


@pytest.fixture
def capabilities() -> Capabilities:
    return Capabilities(ExporterTelemetry(CollectorRegistry()))


@pytest.mark.parametrize("code", [Code.NOT_SUPPORTED, Code.FUNCTION_NOT_FOUND, Code.NO_PERMISSION])
def test_unsupported_calls_are_disabled_for_ten_minutes(
    capabilities: Capabilities, code: Code
) -> None:
    capabilities.record_error("a", NVMLError(CALL, code), 100.0)
    assert not capabilities.allows("a", CALL, 699.0)
    assert capabilities.allows("b", CALL, 699.0)
    assert capabilities.allows("a", CALL, 700.0)
    assert capabilities.of("a") == {"FanSpeed": False}
    capabilities.record_success("a", CALL)
    assert capabilities.of("a") == {"FanSpeed": True}
    capabilities.clear()
    assert capabilities.of("a") == {}


def test_other_failures_are_tried_again_at_once(capabilities: Capabilities) -> None:
    capabilities.record_error("a", NVMLError(CALL, Code.UNKNOWN), 100.0)
    assert capabilities.allows("a", CALL, 100.0)
    assert capabilities.of("a") == {}


def test_a_failure_is_logged_when_it_begins_and_ends(
    capabilities: Capabilities, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(5):
        capabilities.record_error("a", NVMLError(CALL, Code.UNKNOWN), 100.0)
    capabilities.record_success("a", CALL)
    capabilities.record_success("a", CALL)
    assert [record.message for record in caplog.records] == ["call failed", "call works again"]


def test_feature_names() -> None:
    assert feature(CALL) == "FanSpeed"
    assert feature("nvmlGpmMetricsGet") == "GpmMetricsGet"
