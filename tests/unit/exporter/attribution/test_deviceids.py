"""Device IDs of the device plugins."""

from __future__ import annotations

import pytest

from metrics_apiserver.exporter.attribution.deviceids import DeviceIndex, base_of, is_slot
from metrics_apiserver.exporter.model import Device

GPU0 = Device("GPU-a", 0, "H100", "0:1", minor=5)
GPU1 = Device("GPU-b", 1, "H100", "0:2", minor=None)
PART = Device("MIG-c", 0, "H100", "0:1", minor=5, parent="GPU-a", gi=3, ci=0, profile="1g.10gb")
DEVICES = DeviceIndex([GPU0, PART, GPU1])


@pytest.mark.parametrize(
    ("device_id", "base", "slot"),
    [
        ("GPU-a", "GPU-a", False),
        ("GPU-a::3", "GPU-a", True),
        ("MIG-c::0", "MIG-c", True),
        ("nvidia5", "nvidia5", False),
        ("nvidia5/vgpu2", "nvidia5", True),
        ("nvidia5/gi3/vgpu1", "nvidia5/gi3", True),
        ("nvidia.com/gpu=GPU-a", "GPU-a", False),
        ("MIG-GPU-a/3/0", "MIG-GPU-a/3/0", False),
        ("0", "0", False),
    ],
)
def test_base_and_slot(device_id: str, base: str, slot: bool) -> None:
    assert base_of(device_id) == base
    assert is_slot(device_id) is slot


@pytest.mark.parametrize(
    ("base", "device"),
    [
        ("GPU-a", GPU0),
        ("MIG-c", PART),
        ("MIG-GPU-a/3/0", PART),
        ("MIG-GPU-a/3/1", None),
        ("nvidia5", GPU0),
        ("nvidia5/gi3", PART),
        ("nvidia5/gi4", None),
        ("nvidia1", None),
        ("1", GPU1),
        ("7", None),
        ("fpga-0", None),
        ("", None),
    ],
)
def test_find(base: str, device: Device | None) -> None:
    assert DEVICES.find(base) == device


def test_membership_is_by_uuid() -> None:
    assert "GPU-b" in DEVICES
    assert "nvidia5" not in DEVICES
