"""From processes to containers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from metrics_apiserver.exporter.model import (
    Device,
    DeviceAllocation,
    NodeAllocations,
    NodeUsage,
    Pod,
    ProcessMemory,
    ProcessOwner,
    ProcessUtilization,
    Reading,
)
from metrics_apiserver.exporter.usage import UsageMeter

DEVICE = Device("GPU-1", 0, "H100", "0:1", 0)
ONE, TWO = Pod("ai", "one"), Pod("ai", "two")
OWNERS = {1: ProcessOwner(ONE, "c"), 2: ProcessOwner(TWO, "c"), 3: ProcessOwner(None)}


def reading(uses: Mapping[int, float] | None, memory: Mapping[int, int | None] | None) -> Reading:
    return Reading(
        DEVICE,
        {},
        None
        if uses is None
        else {pid: ProcessUtilization(sm, 0, 0, 0) for pid, sm in uses.items()},
        None if memory is None else {pid: ProcessMemory("C", one) for pid, one in memory.items()},
    )


def whole(pod: Pod = ONE, container: str = "c") -> DeviceAllocation:
    return DeviceAllocation("GPU-1", pod, container)


def slot(pod: Pod, container: str = "c") -> DeviceAllocation:
    return DeviceAllocation("GPU-1", pod, container, 0.25, is_shared=True)


class MeterFixture:
    """A meter on a clock of its own."""

    def __init__(self, owners: Mapping[int, ProcessOwner] | None = None) -> None:
        self.errors: list[str] = []
        self.now = 0.0
        owner_of = None if owners is None else owners.get
        self.meter = UsageMeter(10, owner_of, self.errors.append)

    def sample(self, one: Reading, *allocations: DeviceAllocation, known: bool = True) -> NodeUsage:
        self.now += 1
        return self.meter.update([one], NodeAllocations(allocations, known), self.now)


def sm(usage: NodeUsage, pod: Pod, container: str = "c") -> float | None:
    use = usage.containers["GPU-1", pod, container].use
    return None if use is None else use.sm


def test_a_whole_device_belongs_to_its_pod_whatever_the_pids() -> None:
    found = MeterFixture().sample(reading({9: 30, 8: 20}, {9: 100}), whole())
    assert sm(found, ONE) == 50
    assert found.containers["GPU-1", ONE, "c"].memory == 100
    assert found.unattributed == 0
    assert {record.pid for record in found.processes} == {8, 9}


def test_a_shared_device_needs_attributed_pids() -> None:
    found = MeterFixture().sample(reading({1: 30}, {1: 1}), slot(ONE), slot(TWO))
    assert sm(found, ONE) is None
    assert found.unattributed == 1
    found = MeterFixture(OWNERS).sample(
        reading({1: 30, 2: 5}, {1: 10, 2: 20}), slot(ONE), slot(TWO)
    )
    assert (sm(found, ONE), sm(found, TWO)) == (30, 5)


def test_idle_is_zero_and_unknown_is_not() -> None:
    bench = MeterFixture(OWNERS)
    found = bench.sample(reading({}, {}), slot(ONE))
    assert sm(found, ONE) == 0
    assert found.containers["GPU-1", ONE, "c"].memory == 0
    bench = MeterFixture(OWNERS)
    found = bench.sample(reading(None, None), slot(ONE))
    assert sm(found, ONE) is None
    assert found.containers["GPU-1", ONE, "c"].memory is None


def test_utilisation_is_a_mean_and_ends_with_the_allocation() -> None:
    bench = MeterFixture(OWNERS)
    bench.sample(reading({1: 0}, {}), slot(ONE))
    assert sm(bench.sample(reading({1: 80}, {}), slot(ONE)), ONE) == 40
    assert sm(bench.sample(reading(None, {}), slot(ONE)), ONE) == 40, "the mean is kept"
    bench.sample(reading({}, {}))
    assert sm(bench.sample(reading({1: 80}, {}), slot(ONE)), ONE) == 80


def test_sums_do_not_exceed_the_device() -> None:
    assert sm(MeterFixture().sample(reading({1: 70, 2: 70}, {}), whole()), ONE) == 100


def test_memory_of_a_process_is_unknown() -> None:
    found = MeterFixture().sample(reading({}, {1: 100, 2: None}), whole())
    assert found.containers["GPU-1", ONE, "c"].memory is None


def test_pids_that_do_not_exist() -> None:
    bench = MeterFixture({})
    found = bench.sample(reading({1: 30}, {}), slot(ONE))
    assert sm(found, ONE) is None
    assert bench.errors == ["pidns"]


def test_utilisation_with_pids_of_another_namespace_is_unknown() -> None:
    """Memory has pids of this namespace, utilisation has pids of the host: no pod becomes idle."""
    bench = MeterFixture(OWNERS)
    bench.sample(reading({1: 40}, {1: 10}), slot(ONE))
    found = bench.sample(reading({4711: 90}, {1: 10}), slot(ONE))
    assert sm(found, ONE) == 40, "the mean is kept, as without a response"
    assert found.containers["GPU-1", ONE, "c"].memory == 10
    assert bench.errors == ["pidns"]
    assert sm(MeterFixture(OWNERS).sample(reading({4711: 90}, {1: 10}), slot(ONE)), ONE) is None
    whole_device = MeterFixture(OWNERS).sample(reading({4711: 90}, {1: 10}), whole())
    assert sm(whole_device, ONE) == 90, "everything that computes there is its pod's"


def test_a_process_of_an_unknown_pod_makes_all_unknown() -> None:
    owners = OWNERS | {4: ProcessOwner(None, is_nameless=True)}
    allocations = slot(ONE), slot(TWO)
    found = MeterFixture(owners).sample(reading({1: 30, 4: 9}, {1: 5, 4: 7}), *allocations)
    for pod in (ONE, TWO):
        assert sm(found, pod) is None
        assert found.containers["GPU-1", pod, "c"].memory is None
    found = MeterFixture(owners).sample(reading({1: 30}, {1: 5, 4: 0}), *allocations)
    assert (sm(found, ONE), sm(found, TWO)) == (30, 0), (
        "a process that uses nothing changes nothing"
    )
    assert found.containers["GPU-1", TWO, "c"].memory == 0
    found = MeterFixture(owners).sample(reading({4: 9}, {4: 7}), whole())
    assert sm(found, ONE) == 9, "on a whole device it counts for the pod"


def test_a_process_that_ended_makes_all_unknown() -> None:
    bench = MeterFixture(OWNERS)
    bench.sample(reading({1: 30}, {}), slot(ONE), slot(TWO))
    found = bench.sample(reading({1: 50, 9: 20}, {1: 5, 9: 7}), slot(ONE), slot(TWO))
    assert (sm(found, ONE), sm(found, TWO)) == (30, 0), "the mean is kept for one round"
    assert found.containers["GPU-1", ONE, "c"].memory == 5
    assert bench.errors == []
    assert sm(bench.sample(reading({1: 50}, {}), slot(ONE), slot(TWO)), ONE) == 40


def test_impossible_utilisation_is_unknown() -> None:
    nonsense = Reading(DEVICE, {}, {1: None, 2: ProcessUtilization(5, 0, 0, 0)}, {})
    found = MeterFixture(OWNERS).sample(nonsense, slot(ONE), slot(TWO))
    assert (sm(found, ONE), sm(found, TWO)) == (None, 5)


def test_container_memory_is_unknown_if_the_device_memory_is() -> None:
    found = MeterFixture(OWNERS).sample(reading({2: 9}, None), slot(ONE))
    assert found.containers["GPU-1", TWO, "c"].memory is None


def test_pids_are_attributed_or_not() -> None:
    assert MeterFixture(OWNERS).meter.attributes_pids
    assert not MeterFixture().meter.attributes_pids


def test_host_processes_belong_to_no_pod() -> None:
    found = MeterFixture(OWNERS).sample(reading({1: 30, 3: 9}, {3: 50}), slot(ONE))
    assert found.unattributed == 1
    assert sm(found, ONE) == 30


def test_a_pod_without_the_device_is_illegal() -> None:
    found = MeterFixture(OWNERS).sample(reading({1: 30, 2: 9}, {2: 50}), slot(ONE))
    record = found.containers["GPU-1", TWO, "c"]
    assert not record.is_legal
    assert (record.use and record.use.sm, record.memory) == (9, 50)
    unknown = MeterFixture(OWNERS).sample(reading({2: 9}, {}), known=False)
    assert (unknown.containers, unknown.processes) == ({}, ()), "no allocation is known"


@pytest.mark.parametrize("owners", [None, OWNERS])
def test_containers_of_one_pod(owners: Mapping[int, ProcessOwner] | None) -> None:
    allocations = whole(ONE, "c"), whole(ONE, "other")
    found = MeterFixture(owners).sample(reading({1: 30}, {1: 5}), *allocations)
    if owners is None:
        assert sm(found, ONE, "other") is None, "its container is unknown"
    else:
        assert (sm(found, ONE, "c"), sm(found, ONE, "other")) == (30, 0)


def test_a_split_gpu_has_no_usage_of_its_own() -> None:
    split = Reading(DEVICE, {}, {}, {}, is_split=True)
    assert MeterFixture().sample(split, whole()).containers == {}
