"""The text exposition format 0.0.4, written by hand.

prometheus_client appends `_total` to every counter, so that DCGM's names cannot be written with
it. Values are written as DCGM does: whole numbers bare, others with six digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["gauge", "counter"]

_LABEL_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_HELP_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n"})


# Labels of one series are the same at every round; those of pods that are gone fall out.
MAX_CACHED = 8192


def labels(pairs: Iterable[tuple[str, str]]) -> str:
    """`{name="value",…}` of the pairs, in their order."""
    text = ",".join(f'{name}="{value.translate(_LABEL_ESCAPES)}"' for name, value in pairs)
    return f"{{{text}}}" if text else ""


def number(value: float) -> str:
    """A value; never an exponent, which not every reader of DCGM's output expects."""
    return str(value) if isinstance(value, int) else f"{value:.6f}"


@dataclass(slots=True)
class MetricFamily:
    """One metric with its series.

    Attributes:
        samples: (labels as text, value).
    """

    name: str
    kind: Kind
    help: str
    samples: list[tuple[str, float]] = field(default_factory=list)

    def add(self, labels_: str, value: float | None) -> None:
        """Adds a series; None is none."""
        if value is not None:
            self.samples.append((labels_, value))

    def render(self) -> str:
        """HELP, TYPE and the series; nothing at all without series."""
        if not self.samples:
            return ""
        name = self.name
        lines = [f"# HELP {name} {self.help.translate(_HELP_ESCAPES)}\n# TYPE {name} {self.kind}\n"]
        lines += [f"{name}{labels_} {number(value)}\n" for labels_, value in self.samples]
        return "".join(lines)


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of a family's table.

    Attributes:
        key: of the device's values.
        factor: value in the metric's unit = value of the key x factor.
        is_whole: the value is cut to a whole number, as DCGM does.
        group: collected only when the group is.
    """

    name: str
    kind: Kind
    help: str
    key: str
    factor: float = 1
    is_whole: bool = False
    group: str = ""


class Table:
    """Families of a table, filled row by row."""

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
