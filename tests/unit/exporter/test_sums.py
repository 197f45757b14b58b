"""Sums of process utilisation."""

from __future__ import annotations

from metrics_apiserver.exporter import sums
from metrics_apiserver.exporter.model import ProcessUtilization


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    one = ProcessUtilization(1, 2, 3, 4)
    assert sums.add(one, ProcessUtilization(10, 20, 30, 40)) == ProcessUtilization(11, 22, 33, 44)
    assert sums.add(one, sums.ZERO) == one
    assert sums.add(one, None) is None
    assert sums.add(None, one) is None


def test_sums_up_to_the_whole_stay() -> None:
    for uses in (
        {},
        {1: None},
        {1: ProcessUtilization(60, 0, 0, 0), 2: ProcessUtilization(40, 100, 0, 0)},
    ):
        assert sums.normalized(uses) is uses


def test_larger_sums_are_scaled_down() -> None:
    uses = {1: ProcessUtilization(100, 10, 0, 0), 2: ProcessUtilization(300, 20, 0, 90), 3: None}
    assert sums.normalized(uses) == {
        1: ProcessUtilization(25, 10, 0, 0),
        2: ProcessUtilization(75, 20, 0, 90),
        3: None,
    }
