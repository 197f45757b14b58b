"""Which values are shown for whom."""

from __future__ import annotations

from metrics_apiserver.exporter import rows
from metrics_apiserver.exporter.model import Allocation, Holding, Pod, ProcessUse, Reading, Unit
from metrics_apiserver.exporter.usage import Part, Usage

UNIT = Unit("GPU-1", 0, "H100", "0:1", 0)
VALUES = {"duty_cycle": 70.0, "temperature": 61, "memory_free": 5, "memory_total": 80}
READING = Reading(UNIT, VALUES)
ONE, TWO = Pod("ai", "one"), Pod("ai", "two")


def shared(pod: Pod, share: float | None = 0.5) -> Holding:
    return Holding("GPU-1", pod, "c", share, is_shared=True)


def part(pod: Pod, sm: float | None, memory: int | None = None) -> Part:
    use = None if sm is None else ProcessUse(sm, 1, 2, 3)
    return Part("GPU-1", pod, "c", use, memory)


def usage(*parts: Part) -> Usage:
    return Usage({(one.unit, one.pod, one.container): one for one in parts})


def test_nobody_is_not_the_same_as_unknown() -> None:
    (free,) = rows.build([READING], Allocation((), True), Usage(), fall_back=False)
    assert (free.mode, free.holding, free.values) == ("none", None, VALUES)
    (unknown,) = rows.build([READING], Allocation(), Usage(), fall_back=False)
    assert unknown.mode is None


def test_a_whole_unit_is_its_holders() -> None:
    holding = Holding("GPU-1", ONE, "c")
    (row,) = rows.build([READING], Allocation((holding,), True), Usage(), fall_back=False)
    assert (row.mode, row.holding, row.values) == ("exclusive", holding, VALUES)


def test_of_a_shared_unit_facts_are_repeated_and_use_is_split() -> None:
    allocation = Allocation((shared(ONE), shared(TWO)), True)
    known = usage(part(ONE, 30, 7), part(TWO, 40, 8))
    one, two, rest = rows.build([READING], allocation, known, fall_back=False)
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
    assert (rest.holding, rest.mode, rest.values) == (None, "share", {"memory_free": 5})


def test_what_is_not_known_of_pods_is_the_devices() -> None:
    allocation = Allocation((shared(ONE), shared(TWO)), True)
    one, two, rest = rows.build([READING], allocation, Usage(), fall_back=False)
    assert one.values == two.values == {"temperature": 61, "memory_total": 80}
    assert rest.values == {"duty_cycle": 70, "memory_free": 5}
    one, two = rows.build([READING], allocation, usage(part(ONE, 30)), fall_back=True)
    assert one.values["duty_cycle"] == 30
    assert two.values["duty_cycle"] == 70
