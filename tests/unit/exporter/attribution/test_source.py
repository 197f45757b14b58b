"""The sources behind one interface."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter.attribution.settings import AttributionSettings
from metrics_apiserver.exporter.attribution.source import (
    KubeletSource,
    NoAllocationSource,
    SidecarSource,
)
from metrics_apiserver.exporter.model import Device, Pod, Reading
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from tests.fakes.kubelet import Claim, ContainerAllocation, Kubelet

READINGS = [Reading(Device("GPU-a", 0, "H100", "0:1", minor=0), {})]


def zero() -> float:
    return 0.0


def count(telemetry: ExporterTelemetry, reason: str) -> float | None:
    name = "gpu_exporter_attribution_errors_total"
    return telemetry.registry.get_sample_value(name, {"reason": reason})


def test_no_source() -> None:
    source = NoAllocationSource()
    source.refresh()
    assert not source.allocations(READINGS, frozenset(), 0.0).is_known


def test_kubelet_errors_are_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    telemetry = ExporterTelemetry(CollectorRegistry())
    kubelet = Kubelet(tmp_path)
    source = KubeletSource(AttributionSettings(socket=kubelet.socket), telemetry, zero, lambda: 7.0)
    for _ in range(3):
        source.refresh()
    assert count(telemetry, "socket") == 3
    with kubelet:
        kubelet.allocate(ContainerAllocation("bert", ("GPU-a",)))
        source.refresh()
    messages = [record.message for record in caplog.records]
    assert messages == ["cannot fetch GPU allocations", "GPU allocations are available again"]
    found = source.allocations(READINGS, frozenset(), 0.0)
    assert [allocation.pod for allocation in found.devices] == [Pod("default", "bert")]
    name = "gpu_exporter_attribution_last_success_timestamp_seconds"
    assert telemetry.registry.get_sample_value(name, {"mode": "daemonset"}) == 7.0


def test_slices_that_cannot_be_read(tmp_path: Path) -> None:
    telemetry = ExporterTelemetry(CollectorRegistry())
    with Kubelet(tmp_path) as kubelet:
        kubelet.allocate(ContainerAllocation("bert", claims=(Claim("gpu-0"),)))
        settings = AttributionSettings(socket=kubelet.socket, resource_slices=True, node="node-1")
        source = KubeletSource(settings, telemetry, lambda: 100.0, zero)
        source.refresh()
    assert count(telemetry, "resource_slices") == 1
    found = source.allocations(READINGS, frozenset(), 100.0)
    assert [allocation.device for allocation in found.devices] == ["GPU-a"], (
        "by the minor number in the default name"
    )


def test_the_sidecar(tmp_path: Path) -> None:
    telemetry = ExporterTelemetry(CollectorRegistry())
    settings = AttributionSettings(pod="bert", namespace="ai", gpu_uuids=("GPU-a",), proc=tmp_path)
    source = SidecarSource(settings, telemetry, lambda: 3.0)
    source.refresh()
    found = source.allocations(READINGS, frozenset(), 0.0)
    assert [allocation.pod for allocation in found.devices] == [Pod("ai", "bert")]
