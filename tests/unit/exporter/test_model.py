"""The data model: hashable values, and the defaults the rest relies on."""

from __future__ import annotations

from metrics_apiserver.exporter.model import (
    Device,
    DeviceAllocation,
    DeviceState,
    NodeAllocations,
    Pod,
    Reading,
)


def test_devices_and_allocations_can_be_keys() -> None:
    device = Device("GPU-1", 0, "H100", "0:1")
    allocation = DeviceAllocation("GPU-1", Pod("ai", "bert"), "server")
    assert {(device, allocation): 1}[Device("GPU-1", 0, "H100", "0:1"), allocation] == 1
    assert allocation.share == 1.0
    assert not allocation.is_shared


def test_nothing_is_known_at_first() -> None:
    assert not NodeAllocations().is_known
    reading = Reading(Device("GPU-1", 0, "H100", "0:1"), {})
    assert reading.uses is None
    assert reading.memory is None
    assert DeviceState("GPU-1").xids is None


def test_pods_sort_by_namespace_and_name() -> None:
    pods = [Pod("b", "a"), Pod("a", "z"), Pod("a", "b")]
    assert sorted(pods) == [Pod("a", "b"), Pod("a", "z"), Pod("b", "a")]
