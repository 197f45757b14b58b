from __future__ import annotations

from collections.abc import Sequence

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import selector
from metrics_apiserver.core.selector import Selector
from metrics_apiserver.prometheus.refusals import Refusals
from metrics_apiserver.provider.listing import StandaloneLister
from tests.fakes import snapshots

EVERYTHING = Selector(())
# (namespace, pod) of the series of two rules.
PLACES = {"m": [("a", "x"), ("a", "y"), ("b", "x")], "n": [("a", "z"), ("c", "w")]}


class FakeLabelValues:
    """Values of labels over `PLACES`, as Prometheus gives them for the selectors used here."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, float]] = []
        self.refusals = Refusals()
        self.fails: errors.UpstreamError | None = None
        self.whole: list[str] = []

    async def series_values(self, label: str, selector: str, *, start: float) -> list[str]:
        self.whole.append(selector)
        return self._find(label, selector)

    async def label_values(self, label: str, match: Sequence[str], *, start: float) -> list[str]:
        [text] = match
        self.asked.append((label, text, start))
        if self.fails is not None:
            raise self.fails
        return self._find(label, text)

    def _find(self, label: str, text: str) -> list[str]:
        name, _, matchers = text.partition("{")
        return sorted(
            {
                space if label == "ns" else pod
                for space, pod in PLACES[name]
                if "ns=" not in matchers or f'ns="{space}"' in matchers
            }
        )


def make(values: FakeLabelValues) -> StandaloneLister:
    return StandaloneLister(
        values,
        lambda resource: (
            [("m", "pod", "ns"), ("n", "pod", "ns")] if resource.namespaced else [("m", "node", "")]
        ),
        lambda: 123.0,
    )


async def test_names_are_the_values_of_the_mapped_labels_of_every_rule() -> None:
    values = FakeLabelValues()
    assert await make(values).names(snapshots.PODS, "a", EVERYTHING) == ["x", "y", "z"]
    assert values.asked == [
        ("pod", 'm{pod!="",ns="a"}', 123.0),
        ("pod", 'n{pod!="",ns="a"}', 123.0),
    ]


async def test_a_namespace_cannot_leave_its_matcher() -> None:
    values = FakeLabelValues()
    await make(values).names(snapshots.PODS, 'a"} or {b="', EVERYTHING)
    assert values.asked[0][1] == 'm{pod!="",ns="a\\"} or {b=\\""}'


async def test_cluster_scoped_names_have_no_namespace() -> None:
    values = FakeLabelValues()
    await make(values).names(snapshots.NODES, "a", EVERYTHING)
    assert values.asked == [("node", 'm{node!=""}', 123.0)]


async def test_objects_of_one_namespace() -> None:
    found = await make(FakeLabelValues()).objects(snapshots.PODS, "b", EVERYTHING)
    assert found == [("b", "x", {})]


async def test_objects_of_every_namespace_that_is_named() -> None:
    found = await make(FakeLabelValues()).objects(snapshots.PODS, "", EVERYTHING)
    assert found == [
        ("a", "x", {}),
        ("a", "y", {}),
        ("a", "z", {}),
        ("b", "x", {}),
        ("c", "w", {}),
    ]


async def test_cluster_scoped_objects() -> None:
    values = FakeLabelValues()
    found = await make(values).objects(snapshots.NODES, "", EVERYTHING)
    assert [(space, labels) for space, _, labels in found] == [("", {}), ("", {})]


async def test_labels_are_unknown_so_a_selector_is_refused_rather_than_guessed() -> None:
    values = FakeLabelValues()
    with pytest.raises(errors.BadRequest, match="leave labelSelector out"):
        await make(values).names(snapshots.PODS, "a", selector.parse("app=web"))
    assert values.asked == []


async def test_where_values_are_refused_series_are_asked_and_that_is_remembered() -> None:
    values = FakeLabelValues()
    values.fails = errors.UpstreamError("no such path", kind="http", status=404)
    lister = make(values)
    assert await lister.names(snapshots.PODS, "a", EVERYTHING) == ["x", "y", "z"]
    assert len(values.asked) == 1
    assert values.whole == ['m{pod!="",ns="a"}', 'n{pod!="",ns="a"}']


async def test_trouble_is_no_refusal() -> None:
    values = FakeLabelValues()
    values.fails = errors.UpstreamError("not ready", kind="http", status=503)
    with pytest.raises(errors.UpstreamError, match="not ready"):
        await make(values).names(snapshots.PODS, "a", EVERYTHING)
    assert values.whole == []
