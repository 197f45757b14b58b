"""From samples to the one value of an object: NaN, infinity, duplicates.

The policy is product behaviour, not arithmetic: NaN is 0 unless the rule says otherwise, an
infinite value is never served, several series for one object follow the rule's `onDuplicate`.
What was left out is counted in ValueCounts and returned; nothing is logged here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from metrics_apiserver.base import errors
from metrics_apiserver.core.model import Sample
from metrics_apiserver.core.rules.model import OnDuplicate, OnNaN

# Beyond this magnitude a milli-quantity no longer fits an int64 and is clamped.
SATURATION = 9_223_372_036_854_775.807


@dataclass(slots=True)
class ValueCounts:
    """How many values a response left out or changed, by reason.

    A namesake is an object of the same name in another namespace.
    """

    nan: int = 0
    infinite: int = 0
    duplicate: int = 0
    saturated: int = 0
    namesake: int = 0


def _without_nan(
    samples: Sequence[Sample], on_nan: OnNaN, what: str, counts: ValueCounts
) -> list[float]:
    values: list[float] = []
    for sample in samples:
        value = sample.value
        if math.isnan(value):
            counts.nan += 1
            if on_nan == "error":
                raise errors.Internal(f"unable to serve {what}: its value is NaN (onNaN: error)")
            if on_nan == "drop":
                continue
            value = 0.0
        values.append(value)
    return values


def _sum(values: Sequence[float]) -> float:
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf  # refused by the caller, as an infinite sample is


def _mean(values: Sequence[float]) -> float:
    return _sum(values) / len(values)


_COMBINATIONS: Final[Mapping[OnDuplicate, Callable[[Sequence[float]], float]]] = {
    "max": max,
    "min": min,
    "sum": _sum,
    "avg": _mean,
}


def _combine(values: Sequence[float], on_duplicate: OnDuplicate, what: str) -> float:
    combination = _COMBINATIONS.get(on_duplicate)
    if combination is None:
        raise errors.Internal(
            f"unable to serve {what}: {len(values)} series where one is expected "
            "(onDuplicate: error); aggregate in metricsQuery"
        )
    return combination(values)


def reduce(
    samples: Sequence[Sample],
    *,
    on_nan: OnNaN,
    on_duplicate: OnDuplicate,
    what: str,
    counts: ValueCounts,
) -> float | None:
    """The one value of an object, finite, or None when there is none that may be served.

    Args:
        samples: at least one sample of the object.
        on_nan: the rule's policy.
        on_duplicate: the rule's policy.
        what: metric and object for an error message.
        counts: counted into.

    Raises:
        errors.Internal: a policy of the rule is `error`.
    """
    values = _without_nan(samples, on_nan, what, counts)
    if not values:
        return None
    if len(values) > 1:
        counts.duplicate += 1
    # An infinite member makes every combination meaningless, so it is looked for first.
    if any(map(math.isinf, values)):
        counts.infinite += 1
        return None
    value = values[0] if len(values) == 1 else _combine(values, on_duplicate, what)
    if math.isinf(value):
        counts.infinite += 1
        return None
    if abs(value) > SATURATION:
        counts.saturated += 1
    return value
