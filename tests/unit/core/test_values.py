from __future__ import annotations

import math
from typing import get_args

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import values
from metrics_apiserver.core.model import Sample
from metrics_apiserver.core.rules.model import OnDuplicate, OnNaN
from metrics_apiserver.core.values import ValueCounts

NAN, INF = math.nan, math.inf


def reduce(
    *numbers: float, on_nan: OnNaN = "zero", on_duplicate: OnDuplicate = "max"
) -> tuple[float | None, ValueCounts]:
    counts = ValueCounts()
    samples = [Sample({}, number, 0.0) for number in numbers]
    value = values.reduce(
        samples, on_nan=on_nan, on_duplicate=on_duplicate, what="m of pods x", counts=counts
    )
    return value, counts


@pytest.mark.parametrize("number", [0.0, -0.0, 1.5, -4.25, 9.2e15, -9.2e15, 1e-10])
def test_one_finite_sample_is_the_value(number: float) -> None:
    assert reduce(number) == (number, ValueCounts())


@pytest.mark.parametrize("number", [INF, -INF])
@pytest.mark.parametrize("policy", get_args(OnDuplicate))
def test_an_infinite_value_is_never_served(number: float, policy: OnDuplicate) -> None:
    assert reduce(number, on_duplicate=policy) == (None, ValueCounts(infinite=1))
    assert reduce(1.0, number, on_duplicate=policy) == (None, ValueCounts(infinite=1, duplicate=1))
    assert reduce(number, -number)[0] is None


def test_nan_is_zero_by_default() -> None:
    assert reduce(NAN) == (0.0, ValueCounts(nan=1))
    assert reduce(NAN, NAN) == (0.0, ValueCounts(nan=2, duplicate=1))
    assert reduce(NAN, 3.0, on_duplicate="min") == (0.0, ValueCounts(nan=1, duplicate=1))


def test_nan_may_be_left_out() -> None:
    assert reduce(NAN, on_nan="drop") == (None, ValueCounts(nan=1))
    assert reduce(NAN, 3.0, on_nan="drop", on_duplicate="min") == (3.0, ValueCounts(nan=1))
    assert reduce(NAN, 3.0, 4.0, on_nan="drop") == (4.0, ValueCounts(nan=1, duplicate=1))


def test_nan_may_be_an_error() -> None:
    with pytest.raises(errors.Internal, match="m of pods x: its value is NaN"):
        reduce(1.0, NAN, on_nan="error")


@pytest.mark.parametrize(
    ("policy", "value"), [("max", 5.0), ("min", -2.0), ("sum", 4.0), ("avg", 4.0 / 3)]
)
def test_duplicates_follow_the_rule(policy: OnDuplicate, value: float) -> None:
    assert reduce(5.0, -2.0, 1.0, on_duplicate=policy) == (value, ValueCounts(duplicate=1))


def test_duplicates_may_be_an_error() -> None:
    with pytest.raises(errors.Internal, match="m of pods x: 2 series where one is expected"):
        reduce(1.0, 2.0, on_duplicate="error")
    assert reduce(1.0, on_duplicate="error")[0] == 1.0


def test_a_sum_that_overflows_is_not_served() -> None:
    assert reduce(1.7e308, 1.7e308, on_duplicate="max")[0] == 1.7e308
    assert reduce(1.7e308, 1.7e308, on_duplicate="sum") == (
        None,
        ValueCounts(infinite=1, duplicate=1),
    )
    assert reduce(1.7e308, 1.7e308, on_duplicate="avg") == (
        None,
        ValueCounts(infinite=1, duplicate=1),
    )


def test_what_a_quantity_cannot_hold_is_counted_and_kept() -> None:
    assert reduce(1e16) == (1e16, ValueCounts(saturated=1))
    assert reduce(-1e300) == (-1e300, ValueCounts(saturated=1))
