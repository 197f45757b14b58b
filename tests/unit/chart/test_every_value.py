"""No value is without an effect: each shows where it belongs, prometheus-adapter's among them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest
import yaml

from tests import helm
from tests.builds import ROOT
from tests.fakes import chart_values
from tests.fakes.chart_values import ROWS, SCENES, Row
from tests.helm import CHART, Object

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
# Taken for the sake of files that have them.
WITHOUT_EFFECT = {"psp": {"create": True}, "global": {"x": 1}, "enabled": True}
GONE = object()


@lru_cache(maxsize=len(SCENES))
def rendered(scene: str) -> list[Object]:
    return helm.render(chart_values.values_of(scene))


def leaves(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def default_of(key: str) -> Any:
    found: Any = VALUES
    for part in key.split("."):
        found = found[part]
    return found


def looked_up(one: Any, way: list[str]) -> Any:
    """What is at the end of the way, or GONE."""
    for part in way:
        one = yaml.safe_load(one) if isinstance(one, str) else one
        try:
            one = one[int(part)] if isinstance(one, list) else one[part]
        except (KeyError, IndexError):
            return GONE
    return one


def found_at(objects: list[Object], where: str) -> list[Any]:
    """What is there in each object that the place means."""
    head, *way = where.split("/")
    kind, _, end = head.partition(":")
    meant = [
        one
        for one in objects
        if kind in ("*", one["kind"]) and one["metadata"]["name"].endswith(end)
    ]
    return [looked_up(one, way) for one in meant]


def holds(found: Any, shown: Any) -> bool:
    """Whether a mapping or a list has at least what must be shown, or anything else is it."""
    if isinstance(shown, dict) and isinstance(found, dict):
        return shown.items() <= found.items()
    if isinstance(shown, list) and isinstance(found, list):
        return all(one in found for one in shown)
    return bool(found == shown)


def expected(row: Row) -> Any:
    match row.shown:
        case {"pack": str(name)}:
            pack = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
            return pack[row.where.rpartition("/")[2]]
        case shown:
            return shown


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_value_shows(row: Row) -> None:
    assert default_of(row.key) != row.value
    found = found_at(rendered(row.scene), row.where)
    if row.shown == "absent":
        assert set(map(id, found)) <= {id(GONE)}
        return
    assert found, f"no object at {row.where}"
    shown = expected(row)
    assert all(holds(one, shown) for one in found), found


def test_every_value_of_the_chart_is_looked_at() -> None:
    keys = {row.key for row in ROWS}

    def seen(leaf: str) -> bool:
        return any(leaf == key or leaf.startswith(f"{key}.") for key in keys)

    assert [leaf for leaf, _ in leaves(VALUES) if not seen(leaf)] == []


def test_values_without_a_meaning_are_taken() -> None:
    assert helm.render(WITHOUT_EFFECT) == helm.render()


@pytest.mark.parametrize(
    ("budget", "shown"),
    [
        ({"minAvailable": "", "maxUnavailable": 1}, {"maxUnavailable": 1}),
        ({"minAvailable": "", "maxUnavailable": ""}, {}),
        ({"maxUnavailable": 0}, {"maxUnavailable": 0}),
    ],
    ids=str,
)
def test_empty_text_is_no_number_of_pods(budget: dict[str, Any], shown: dict[str, Any]) -> None:
    objects = helm.render({"podDisruptionBudget": {"enabled": True, **budget}})
    (spec,) = [one["spec"] for one in objects if one["kind"] == "PodDisruptionBudget"]
    assert {key: value for key, value in spec.items() if key != "selector"} == shown


@pytest.mark.parametrize("scene", SCENES)
def test_helm_finds_no_fault(scene: str) -> None:
    values = json.dumps(chart_values.values_of(scene))
    helm.run("lint", "--strict", str(CHART), "--values", "-", stdin=values)
