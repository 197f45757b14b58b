"""How much of each GPU is allocated."""

from __future__ import annotations

from metrics_apiserver.exporter.families import allocated
from metrics_apiserver.exporter.model import Device, DeviceAllocation, Pod
from metrics_apiserver.exporter.rows import Row

GPU = Device("GPU-1", 0, "H100", "0:1")
PART = Device("MIG-1", 0, "H100", "0:1", parent="GPU-1", gi=1)
ONE, TWO = Pod("ai", "one"), Pod("ai", "two")
WHOLE = {"memory_total": 1000}


def test_memory() -> None:
    assert (
        allocated.memory(Row(GPU, WHOLE, DeviceAllocation("GPU-1", ONE, "c", 0.25, True), "share"))
        == 250
    )
    assert allocated.memory(Row(GPU, WHOLE, None, "none")) is None
    assert allocated.memory(Row(GPU, {}, DeviceAllocation("GPU-1", ONE, "c"), "exclusive")) is None
    assert (
        allocated.memory(Row(GPU, WHOLE, DeviceAllocation("GPU-1", ONE, "c", None, True), "share"))
        is None
    )


def test_shares_of_whole_and_free_devices() -> None:
    rows = [Row(GPU, WHOLE, DeviceAllocation("GPU-1", ONE, c), "exclusive") for c in ("a", "b")]
    assert allocated.shares(rows) == {"GPU-1": 1.0}, "two containers of a pod count once"
    assert allocated.shares([Row(GPU, WHOLE, None, "none")]) == {"GPU-1": 0.0}
    assert allocated.shares([Row(GPU, WHOLE)]) == {"GPU-1": None}, "no source was asked"


def test_shares_of_slots() -> None:
    def rows(*shares: float | None) -> list[Row]:
        pods = (ONE, TWO)
        held = [
            DeviceAllocation("GPU-1", pod, "c", s, True)
            for pod, s in zip(pods, shares, strict=True)
        ]
        shown = [Row(GPU, WHOLE, one, "share") for one in held]
        return [*shown, Row(GPU, {"duty_cycle": 5}, None, "share")]

    assert allocated.shares(rows(0.25, 0.5)) == {"GPU-1": 0.75}
    assert allocated.shares(rows(0.25, None)) == {"GPU-1": None}
    assert allocated.shares(rows(0.75, 0.75)) == {"GPU-1": 1.0}


def test_instances_count_by_their_memory() -> None:
    rows = [
        Row(GPU, WHOLE, None, "none"),
        Row(PART, {"memory_total": 125}, DeviceAllocation("MIG-1", ONE, "c"), "exclusive"),
    ]
    assert allocated.shares(rows) == {"GPU-1": 0.125}
