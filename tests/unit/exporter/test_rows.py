"""Which values are shown for which pod."""

from __future__ import annotations

from metrics_apiserver.exporter import rows
from metrics_apiserver.exporter.model import (
    Device,
    DeviceAllocation,
    NodeAllocations,
    NodeUsage,
    Pod,
    ProcessUtilization,
    Reading,
    UsageRecord,
)

DEVICE = Device("GPU-1", 0, "H100", "0:1", 0)
VALUES = {"duty_cycle": 70.0, "temperature": 61, "memory_free": 5, "memory_total": 80}
READING = Reading(DEVICE, VALUES)
ONE, TWO = Pod("ai", "one"), Pod("ai", "two")


def shared(pod: Pod, share: float | None = 0.5) -> DeviceAllocation:
    return DeviceAllocation("GPU-1", pod, "c", share, is_shared=True)


def record(pod: Pod, sm: float | None, memory: int | None = None) -> UsageRecord:
    use = None if sm is None else ProcessUtilization(sm, 1, 2, 3)
    return UsageRecord("GPU-1", pod, "c", use, memory)


def usage(*records: UsageRecord) -> NodeUsage:
    return NodeUsage({(one.device, one.pod, one.container): one for one in records})


def test_unallocated_is_not_unknown() -> None:
    (free,) = rows.build([READING], NodeAllocations((), True), NodeUsage(), fall_back=False)
    assert (free.mode, free.allocation, free.values) == ("none", None, VALUES)
    (unknown,) = rows.build([READING], NodeAllocations(), NodeUsage(), fall_back=False)
    assert unknown.mode is None


def test_the_values_of_a_whole_device_are_its_pods() -> None:
    allocation = DeviceAllocation("GPU-1", ONE, "c")
    (row,) = rows.build(
        [READING], NodeAllocations((allocation,), True), NodeUsage(), fall_back=False
    )
    assert (row.mode, row.allocation, row.values) == ("exclusive", allocation, VALUES)


def test_a_shared_device_repeats_facts_and_splits_usage() -> None:
    allocations = NodeAllocations((shared(ONE), shared(TWO)), True)
    known = usage(record(ONE, 30, 7), record(TWO, 40, 8))
    one, two, rest = rows.build([READING], allocations, known, fall_back=False)
    assert one.values == {
        "temperature": 61,
        "memory_total": 80,
        "duty_cycle": 30,
        "gpu_util": 30,
        "mem_copy_util": 1,
        "enc_util": 2,
        "dec_util": 3,
        "memory_used": 7,
        "memory_used_v1": 7,
    }
    assert two.values["duty_cycle"] == 40
    assert (rest.allocation, rest.mode, rest.values) == (None, "share", {"memory_free": 5})


def test_fallback_to_the_device() -> None:
    allocations = NodeAllocations((shared(ONE), shared(TWO)), True)
    one, two, rest = rows.build([READING], allocations, NodeUsage(), fall_back=False)
    assert one.values == two.values == {"temperature": 61, "memory_total": 80}
    assert rest.values == {"duty_cycle": 70, "memory_free": 5}
    one, two = rows.build([READING], allocations, usage(record(ONE, 30)), fall_back=True)
    assert one.values["duty_cycle"] == 30
    assert two.values["duty_cycle"] == 70
