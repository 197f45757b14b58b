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


def labels(pairs: Iterable[tuple[str, str]]) -> str:
    """`{name="value",…}` of the pairs, in their order."""
    text = ",".join(f'{name}="{value.translate(_LABEL_ESCAPES)}"' for name, value in pairs)
    return f"{{{text}}}" if text else ""


def number(value: float) -> str:
    """A value; never an exponent, which not every reader of DCGM's output expects."""
    return str(value) if isinstance(value, int) else f"{value:.6f}"


@dataclass(slots=True)
class Family:
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
        key: of the unit's values.
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

    def value(self, values: Mapping[str, float]) -> float | None:
        """The value to show, or None."""
        found = values.get(self.key)
        if found is None:
            return None
        scaled = found if self.factor == 1 else found * self.factor
        return int(scaled) if self.is_whole else scaled
