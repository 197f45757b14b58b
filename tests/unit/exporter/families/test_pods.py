"""Family (d): the arithmetic of one number for each pod."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from metrics_apiserver.exporter.families import pods
from metrics_apiserver.exporter.families.pods import PodGPUMetrics, PodMetricsCalculator
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

POD = Pod("ai", "bert")


def gpu(name: str, **values: float) -> Reading:
    return Reading(Device(name, 0, "H100", "0:1"), {"memory_total": 1000, **values})


def record(device: str, sm: float | None, memory: int | None) -> UsageRecord:
    use = None if sm is None else ProcessUtilization(sm, 0, 0, 0)
    return UsageRecord(device, POD, "c", use, memory)


def numbers(
    readings: list[Reading],
    allocations: list[DeviceAllocation],
    *records: UsageRecord,
    fall_back: bool = False,
) -> PodGPUMetrics:
    usage = NodeUsage({(one.device, one.pod, one.container): one for one in records})
    calculator = PodMetricsCalculator(fall_back, 0)
    found = calculator.calculate(readings, NodeAllocations(tuple(allocations), True), usage, 0.0)
    return found[POD]


def test_a_mean_weighted_by_the_share() -> None:
    readings = [gpu("a", duty_cycle=90.0, memory_used=100), gpu("b", duty_cycle=0.0, memory_used=0)]
    allocations = [
        DeviceAllocation("a", POD, "c"),
        DeviceAllocation("b", POD, "c", 0.25, is_shared=True),
    ]
    found = numbers(readings, allocations, record("a", 80, 100), record("b", 5, 50))
    assert found.values == {
        pods.DEVICES: 1.25,
        pods.UTILIZATION: pytest.approx((90 * 1 + 20 * 0.25) / 1.25),
        pods.SM: 42.5,
        pods.MEMORY_USED: 150,
        pods.MEMORY_LIMIT: 1250,
        pods.MEMORY: 12.0,
    }
    assert found.source == "process"


def test_one_unknown_part_makes_the_pod_unknown() -> None:
    readings = [gpu("a", duty_cycle=90.0, memory_used=1), gpu("b")]
    found = numbers(readings, [DeviceAllocation("a", POD, "c"), DeviceAllocation("b", POD, "c")])
    assert found.values == {pods.DEVICES: 2, pods.MEMORY_LIMIT: 2000}
    assert found.source == "none"
    found = numbers(
        readings[:1], [DeviceAllocation("a", POD, "c"), DeviceAllocation("gone", POD, "c")]
    )
    assert found.values == {pods.DEVICES: 2}


@pytest.mark.parametrize(
    ("share", "sm", "expected"),
    [(0.5, 30.0, 60), (0.25, 30.0, 100), (None, 30.0, None), (0.5, None, None)],
)
def test_shared(share: float | None, sm: float | None, expected: float | None) -> None:
    held = DeviceAllocation("a", POD, "c", share, is_shared=True)
    found = numbers([gpu("a", duty_cycle=99.0)], [held], record("a", sm, 1))
    assert found.values.get(pods.UTILIZATION) == expected


def test_the_fallback_to_the_device() -> None:
    held = DeviceAllocation("a", POD, "c", 0.5, is_shared=True)
    found = numbers([gpu("a", duty_cycle=99.0)], [held], fall_back=True)
    assert found.values[pods.UTILIZATION] == 99
    assert found.source == "device"


@pytest.mark.parametrize(("shared", "expected"), [(False, 42), (True, None)])
def test_instances(shared: bool, expected: float | None) -> None:
    device = Device("m", 0, "H100", "0:1", parent="a", gi=1)
    reading = Reading(device, {"memory_total": 100, "memory_used": 30, "sm_util": 42.0})
    found = numbers([reading], [DeviceAllocation("m", POD, "c", 1.0, shared)])
    assert found.values.get(pods.UTILIZATION) == expected
    assert found.source == ("none" if shared else "gpm")


def test_a_pod_of_two_kinds_of_devices() -> None:
    device = Device("m", 0, "H100", "0:1", parent="b", gi=1)
    mig = Reading(device, {"memory_total": 100, "sm_util": 20.0})
    found = numbers(
        [gpu("a", duty_cycle=40.0), mig],
        [DeviceAllocation("a", POD, "c"), DeviceAllocation("m", POD, "c")],
    )
    assert found.values[pods.UTILIZATION] == 30
    assert found.source == "gpm"


def test_warming_up() -> None:
    calculator = PodMetricsCalculator(False, warmup_seconds=60)
    allocations = NodeAllocations((DeviceAllocation("a", POD, "c"),), True)

    def shown(
        duty: float, now: float, known: NodeAllocations = allocations
    ) -> Mapping[Pod, PodGPUMetrics]:
        return calculator.calculate([gpu("a", duty_cycle=duty)], known, NodeUsage(), now)

    assert shown(0.0, 0.0) == {}
    assert shown(0.0, 59.0) == {}
    assert shown(0.0, 60.0) != {}
    assert shown(0.0, 61.0) != {}, "warm for good"
    assert shown(0.0, 62.0, NodeAllocations((), True)) == {}
    assert shown(0.0, 63.0) == {}, "a pod of the same name is new"
    assert shown(5.0, 64.0) != {}


def test_series() -> None:
    found = {
        one.name: one
        for one in pods.build({POD: PodGPUMetrics({pods.UTILIZATION: 5.0}, "device")}, "node-1")
    }
    text = '{namespace_name="ai",pod_name="bert",node_name="node-1"'
    assert found[pods.UTILIZATION].samples == [(text + "}", 5.0)]
    assert found[pods.SOURCE].samples == [(text + ',source="device"}', 1)]
    assert found[pods.MEMORY].samples == []


def test_processes_of_other_containers_count_too() -> None:
    held = DeviceAllocation("a", POD, "c", 0.5, is_shared=True)
    beside = UsageRecord("a", POD, "", ProcessUtilization(10, 0, 0, 0), 7)
    found = numbers([gpu("a")], [held], record("a", 20, 5), beside)
    assert (found.values[pods.SM], found.values[pods.MEMORY_USED]) == (30, 12)
    unknown = UsageRecord("a", POD, "", None, None)
    found = numbers([gpu("a")], [held], record("a", 20, 5), unknown)
    assert pods.SM not in found.values
    assert pods.MEMORY_USED not in found.values
