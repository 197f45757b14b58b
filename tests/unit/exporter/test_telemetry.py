"""The exporter's own counters."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from metrics_apiserver import __version__
from metrics_apiserver.exporter.telemetry import ExporterTelemetry


def test_names_have_the_prefix() -> None:
    registry = CollectorRegistry()
    ExporterTelemetry(registry)
    assert all(one.name.startswith("gpu_exporter_") for one in registry.collect())


def test_versions_of_the_previous_driver_are_removed() -> None:
    registry = CollectorRegistry()
    telemetry = ExporterTelemetry(registry)
    telemetry.show_versions("12.550", "550.54", "12.4")
    telemetry.show_versions("12.560", "560.35", "12.6")
    telemetry.show_versions("12.560", "560.35", "12.6")
    text = generate_latest(registry).decode()
    assert text.count("gpu_exporter_build_info{") == 1
    assert f'driver_version="560.35",nvml_version="12.560",version="{__version__}"' in text
