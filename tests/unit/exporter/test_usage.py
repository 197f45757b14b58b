"""From processes to containers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from metrics_apiserver.exporter.model import (
    Allocation,
    Holding,
    Pod,
    ProcessMemory,
    ProcessUse,
    Reading,
    Unit,
)
from metrics_apiserver.exporter.usage import Meter, Owner, Usage

UNIT = Unit("GPU-1", 0, "H100", "0:1", 0)
ONE, TWO = Pod("ai", "one"), Pod("ai", "two")
OWNERS = {1: Owner(ONE, "c"), 2: Owner(TWO, "c"), 3: Owner(None)}


def reading(uses: Mapping[int, float] | None, memory: Mapping[int, int | None] | None) -> Reading:
    return Reading(
        UNIT,
        {},
        None if uses is None else {pid: ProcessUse(sm, 0, 0, 0) for pid, sm in uses.items()},
        None if memory is None else {pid: ProcessMemory("C", one) for pid, one in memory.items()},
    )


def whole(pod: Pod = ONE, container: str = "c") -> Holding:
    return Holding("GPU-1", pod, container)


def slot(pod: Pod, container: str = "c") -> Holding:
    return Holding("GPU-1", pod, container, 0.25, is_shared=True)


class Bench:
    """A meter that reads on."""

    def __init__(self, owners: Mapping[int, Owner] | None = None) -> None:
        self.errors: list[str] = []
        self.now = 0.0
        owner_of = None if owners is None else owners.get
        self.meter = Meter(10, owner_of, self.errors.append)

    def tick(self, one: Reading, *holdings: Holding, known: bool = True) -> Usage:
        self.now += 1
        return self.meter.update([one], Allocation(holdings, known), self.now)


def sm(usage: Usage, pod: Pod, container: str = "c") -> float | None:
    use = usage.containers["GPU-1", pod, container].use
    return None if use is None else use.sm


def test_a_whole_unit_is_its_pods_whatever_the_pids() -> None:
    found = Bench().tick(reading({9: 30, 8: 20}, {9: 100}), whole())
    assert sm(found, ONE) == 50
    assert found.containers["GPU-1", ONE, "c"].memory == 100
    assert found.unattributed == 0
    assert {part.pid for part in found.processes} == {8, 9}


def test_a_shared_unit_needs_pids_told_apart() -> None:
    found = Bench().tick(reading({1: 30}, {1: 1}), slot(ONE), slot(TWO))
    assert sm(found, ONE) is None
    assert found.unattributed == 1
    found = Bench(OWNERS).tick(reading({1: 30, 2: 5}, {1: 10, 2: 20}), slot(ONE), slot(TWO))
    assert (sm(found, ONE), sm(found, TWO)) == (30, 5)


def test_idle_is_zero_and_unknown_is_not() -> None:
    bench = Bench(OWNERS)
    found = bench.tick(reading({}, {}), slot(ONE))
    assert sm(found, ONE) == 0
    assert found.containers["GPU-1", ONE, "c"].memory == 0
    bench = Bench(OWNERS)
    found = bench.tick(reading(None, None), slot(ONE))
    assert sm(found, ONE) is None
    assert found.containers["GPU-1", ONE, "c"].memory is None


def test_utilisation_is_a_mean_and_ends_with_the_holding() -> None:
    bench = Bench(OWNERS)
    bench.tick(reading({1: 0}, {}), slot(ONE))
    assert sm(bench.tick(reading({1: 80}, {}), slot(ONE)), ONE) == 40
    assert sm(bench.tick(reading(None, {}), slot(ONE)), ONE) == 40, "held"
    bench.tick(reading({}, {}))
    assert sm(bench.tick(reading({1: 80}, {}), slot(ONE)), ONE) == 80


def test_sums_do_not_exceed_the_unit() -> None:
    assert sm(Bench().tick(reading({1: 70, 2: 70}, {}), whole()), ONE) == 100


def test_memory_that_one_process_does_not_tell() -> None:
    found = Bench().tick(reading({}, {1: 100, 2: None}), whole())
    assert found.containers["GPU-1", ONE, "c"].memory is None


def test_pids_that_nobody_has() -> None:
    bench = Bench({})
    found = bench.tick(reading({1: 30}, {}), slot(ONE))
    assert sm(found, ONE) is None
    assert bench.errors == ["pidns"]


def test_use_that_is_numbered_elsewhere_is_not_known() -> None:
    """Memory by pids of here, use by pids of the host: nobody is idle for that."""
    bench = Bench(OWNERS)
    bench.tick(reading({1: 40}, {1: 10}), slot(ONE))
    found = bench.tick(reading({4711: 90}, {1: 10}), slot(ONE))
    assert sm(found, ONE) == 40, "held, as without an answer"
    assert found.containers["GPU-1", ONE, "c"].memory == 10
    assert bench.errors == ["pidns"]
    assert sm(Bench(OWNERS).tick(reading({4711: 90}, {1: 10}), slot(ONE)), ONE) is None
    whole_unit = Bench(OWNERS).tick(reading({4711: 90}, {1: 10}), whole())
    assert sm(whole_unit, ONE) == 90, "whatever computes there is its pod's"


def test_a_process_of_a_pod_without_a_name_may_be_anybodys() -> None:
    owners = OWNERS | {4: Owner(None, is_nameless=True)}
    holdings = slot(ONE), slot(TWO)
    found = Bench(owners).tick(reading({1: 30, 4: 9}, {1: 5, 4: 7}), *holdings)
    for pod in (ONE, TWO):
        assert sm(found, pod) is None
        assert found.containers["GPU-1", pod, "c"].memory is None
    found = Bench(owners).tick(reading({1: 30}, {1: 5, 4: 0}), *holdings)
    assert (sm(found, ONE), sm(found, TWO)) == (30, 0), "one that uses nothing changes nothing"
    assert found.containers["GPU-1", TWO, "c"].memory == 0
    found = Bench(owners).tick(reading({4: 9}, {4: 7}), whole())
    assert sm(found, ONE) == 9, "of a whole unit it is the holder's"


def test_a_process_that_is_gone_may_have_been_anybodys() -> None:
    bench = Bench(OWNERS)
    bench.tick(reading({1: 30}, {}), slot(ONE), slot(TWO))
    found = bench.tick(reading({1: 50, 9: 20}, {1: 5, 9: 7}), slot(ONE), slot(TWO))
    assert (sm(found, ONE), sm(found, TWO)) == (30, 0), "held, for one tick"
    assert found.containers["GPU-1", ONE, "c"].memory == 5
    assert bench.errors == []
    assert sm(bench.tick(reading({1: 50}, {}), slot(ONE), slot(TWO)), ONE) == 40


def test_use_that_cannot_be_true_is_not_known() -> None:
    nonsense = Reading(UNIT, {}, {1: None, 2: ProcessUse(5, 0, 0, 0)}, {})
    found = Bench(OWNERS).tick(nonsense, slot(ONE), slot(TWO))
    assert (sm(found, ONE), sm(found, TWO)) == (None, 5)


def test_a_containers_memory_is_not_known_where_the_units_is_not() -> None:
    found = Bench(OWNERS).tick(reading({2: 9}, None), slot(ONE))
    assert found.containers["GPU-1", TWO, "c"].memory is None


def test_pids_are_told_apart_or_not() -> None:
    assert Bench(OWNERS).meter.tells_pids
    assert not Bench().meter.tells_pids


def test_host_processes_belong_to_nobody() -> None:
    found = Bench(OWNERS).tick(reading({1: 30, 3: 9}, {3: 50}), slot(ONE))
    assert found.unattributed == 1
    assert sm(found, ONE) == 30


def test_a_pod_without_the_unit_is_illegal() -> None:
    found = Bench(OWNERS).tick(reading({1: 30, 2: 9}, {2: 50}), slot(ONE))
    part = found.containers["GPU-1", TWO, "c"]
    assert not part.is_legal
    assert (part.use and part.use.sm, part.memory) == (9, 50)
    unknown = Bench(OWNERS).tick(reading({2: 9}, {}), known=False)
    assert (unknown.containers, unknown.processes) == ({}, ()), "nothing is known of anybody"


@pytest.mark.parametrize("owners", [None, OWNERS])
def test_containers_of_one_pod(owners: Mapping[int, Owner] | None) -> None:
    holdings = whole(ONE, "c"), whole(ONE, "other")
    found = Bench(owners).tick(reading({1: 30}, {1: 5}), *holdings)
    if owners is None:
        assert sm(found, ONE, "other") is None, "whose it is cannot be told"
    else:
        assert (sm(found, ONE, "c"), sm(found, ONE, "other")) == (30, 0)


def test_a_gpu_that_is_split_is_left_to_its_instances() -> None:
    split = Reading(UNIT, {}, {}, {}, is_split=True)
    assert Bench().tick(split, whole()).containers == {}
