"""The Prometheus text exposition format 0.0.4.

prometheus_client appends `_total` to every counter, so DCGM's names cannot be written with it.
Values are formatted as DCGM does: integers as they are, others with six decimal places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["gauge", "counter"]

_LABEL_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_HELP_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n"})


# Labels of a series are the same in every round; those of deleted pods are evicted.
MAX_CACHED = 8192


def labels(pairs: Iterable[tuple[str, str]]) -> str:
    """`{name="value",…}` of the pairs, in their order."""
    text = ",".join(f'{name}="{value.translate(_LABEL_ESCAPES)}"' for name, value in pairs)
    return f"{{{text}}}" if text else ""


def number(value: float) -> str:
    """A value; never with an exponent, which not every reader of DCGM's output supports."""
    return str(value) if isinstance(value, int) else f"{value:.6f}"


@dataclass(slots=True)
class MetricFamily:
    """A metric with its series.

    Attributes:
        samples: (label text, value).
    """

    name: str
    kind: Kind
    help: str
    samples: list[tuple[str, float]] = field(default_factory=list)

    def add(self, labels_: str, value: float | None) -> None:
        """Adds a series; None adds nothing."""
        if value is not None:
            self.samples.append((labels_, value))

    def render(self) -> str:
        """HELP, TYPE and the series; an empty string without series."""
        if not self.samples:
            return ""
        name = self.name
        lines = [f"# HELP {name} {self.help.translate(_HELP_ESCAPES)}\n# TYPE {name} {self.kind}\n"]
        lines += [f"{name}{labels_} {number(value)}\n" for labels_, value in self.samples]
        return "".join(lines)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of a family's table.

    Attributes:
        key: of the device's values.
        factor: converts the value to the metric's unit.
        is_whole: the value is truncated to an integer, as DCGM does.
        group: the metric is shown only if this group is collected.
    """

    name: str
    kind: Kind
    help: str
    key: str
    factor: float = 1
    is_whole: bool = False
    group: str = ""


class Table:
    """Metric families of a table, filled row by row."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.families: list[MetricFamily] = []
        self._columns = []
        for one in metrics:
            family = MetricFamily(one.name, one.kind, one.help)
            self.families.append(family)
            self._columns.append((one.key, one.factor, one.is_whole, family.samples.append))

    def add(self, labels_: str, values: Mapping[str, float]) -> None:
        """Adds a series to each metric whose value is known."""
        for key, factor, is_whole, append in self._columns:
            value = values.get(key)
            if value is not None:
                if factor != 1:
                    value *= factor
                append((labels_, int(value) if is_whole else value))
