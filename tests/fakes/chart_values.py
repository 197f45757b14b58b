"""The scenes of chart_values.yaml: for every key of the chart a value, and where it must show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Row:
    """A value in a scene, the place where it shows, and what must be there."""

    scene: str
    key: str
    value: Any
    where: str
    shown: Any

    def __str__(self) -> str:
        return f"{self.key} in {self.where}"


def _read() -> Mapping[str, Any]:
    scenes: Mapping[str, Any] = yaml.safe_load(FILE.read_text())
    return scenes


_SCENES = _read()
SCENES = tuple(_SCENES)
ROWS = tuple(
    Row(scene, key, value, where, shown[0] if shown else value)
    for scene in SCENES
    for key, value, where, *shown in _SCENES[scene]["values"]
)


def values_of(scene: str) -> dict[str, Any]:
    """What a values file of the scene would hold."""
    values: dict[str, Any] = _SCENES[scene].get("also", {})
    for row in ROWS:
        if row.scene == scene:
            values = _merged(values, _nested(row.key, row.value))
    return values


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    found: dict[str, Any] = value
    return found


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Both, key by key, as Helm merges values; the other wins."""
    found = dict(one)
    for key, value in other.items():
        here = found.get(key)
        if isinstance(here, Mapping) and isinstance(value, Mapping):
            found[key] = _merged(here, value)
        else:
            found[key] = value
    return found
