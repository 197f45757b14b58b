"""Discovery by names: what it asks, which labels count, and how long a vanished name is offered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core.model import QueryResult, Sample, Series
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.provider import names
from metrics_apiserver.provider.names import MappedLabels, NameDiscovery
from tests.fakes import snapshots
from tests.fakes.evaluation import FakeClock

DOWN = errors.UpstreamError("down", kind="unreachable", detail="refused")
TEMPLATE = """
rules:
- seriesQuery: 'up'
  resources: {template: "k_<<.Resource>>"}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
"""
OVERRIDES = """
rules:
- seriesQuery: 'up'
  resources: {overrides: {pod: {resource: pod}, w: {group: example.com, resource: widget}}}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
- seriesQuery: 'up'
  resources: {overrides: {space: {resource: namespace}}}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
- seriesQuery: 'other'
  resources: {overrides: {node: {resource: node}}}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
"""
EXTERNAL = "externalRules: [{seriesQuery: up, metricsQuery: up}]"


class Backend:
    """Answers label values from what the selector is; notes every call.

    Attributes:
        by_selector: names by selector; anything else has none.
        ignores_match: lists all names whatever is asked for, as some backends do.
        living: names that have a sample now.
        fails, fails_names: raised by queries, by look-ups of names.
    """

    def __init__(self) -> None:
        self.by_selector: dict[str, list[str]] = {}
        self.ignores_match = False
        self.label_list: list[str] = []
        self.living: list[str] = []
        self.fails: Exception | None = None
        self.fails_names: Exception | None = None
        self.asked: list[str] = []
        self.queries: list[str] = []

    async def label_values(self, label: str, match: Sequence[str], *, start: float) -> list[str]:
        assert (label, start) == ("__name__", 100.0)
        (selector,) = match
        self.asked.append(selector)
        if self.fails_names is not None:
            raise self.fails_names
        if self.ignores_match:
            return ["a", "z"]
        return self.by_selector.get(selector, [])

    async def label_names(self, match: Sequence[str], *, start: float) -> list[str]:
        assert start == 100.0
        self.asked.append(f"labels of {' '.join(match)}")
        return self.label_list

    async def series(self, selector: str, *, start: float, end: float | None = None) -> set[Series]:
        self.asked.append(f"series of {selector}")
        return {Series("whole", frozenset({"pod"}))}

    async def query(self, text: str, *, timeout: float) -> QueryResult:
        self.queries.append(text)
        if self.fails is not None:
            raise self.fails
        samples = [Sample({"__name__": name}, 1.0, 0.0) for name in self.living]
        return QueryResult("vector", [*samples, Sample({}, 1.0, 0.0)])


class World:
    def __init__(
        self,
        rules: str = OVERRIDES,
        mapper: Callable[[], RESTMapper | None] = snapshots.mapper,
        max_age_seconds: float = 60.0,
    ) -> None:
        parsed = snapshots.parse(rules)
        self.backend = Backend()
        self.clock = FakeClock()
        self.labels = MappedLabels(lambda: parsed, mapper)
        self.subject = NameDiscovery(self.backend, self.labels, max_age_seconds, clock=self.clock)

    async def found(self, selector: str = "up") -> dict[str, set[str]]:
        series = await self.subject.series(selector, start=100.0)
        return {each.name: set(each.labels) for each in series}

    async def names_after(self, seconds: float) -> set[str]:
        self.clock.now += seconds
        return set(await self.found())


# --- which labels count --------------------------------------------------------------------


def test_candidates_are_what_overrides_of_that_query_name() -> None:
    labels = World(OVERRIDES).labels
    assert labels.candidates("up") == ["pod", "space", "w"]
    assert labels.candidates("other") == ["node"]
    assert labels.candidates("unknown") == []
    assert World(TEMPLATE).labels.candidates("up") is None


def test_mapped_are_those_whose_resource_there_is() -> None:
    labels = World(OVERRIDES).labels
    assert labels.mapped("up", ["w", "space", "pod", "pod", "instance"]) == ["pod", "space"]
    assert labels.mapped("other", ["pod", "node"]) == ["node"]
    template = World(TEMPLATE).labels
    assert template.mapped("up", ["k_pod", "k_widget", "pod", "k_nodes"]) == ["k_nodes", "k_pod"]
    assert World(OVERRIDES, lambda: None).labels.mapped("up", ["pod"]) == []


# --- one look ------------------------------------------------------------------------------


async def test_names_are_asked_for_once_and_for_each_mapped_label() -> None:
    world = World()
    world.backend.by_selector = {
        "up": ["a", "b", "c"],
        'up{pod!=""}': ["a", "b"],
        'up{space!=""}': ["b", "late"],
    }
    expected = {"a": {"pod"}, "b": {"pod", "space"}, "c": set(), "late": {"space"}}
    assert await world.found() == expected
    assert world.backend.asked == [names.PROBE, "up", 'up{pod!=""}', 'up{space!=""}']
    world.backend.asked.clear()
    assert await world.found() == expected
    assert names.PROBE not in world.backend.asked


async def test_a_template_asks_which_labels_there_are() -> None:
    world = World(TEMPLATE)
    world.backend.label_list = ["__name__", "instance", "k_pod", "k_widget"]
    world.backend.by_selector = {"up": ["a"], 'up{k_pod!=""}': ["a"]}
    assert await world.found() == {"a": {"k_pod"}}
    assert world.backend.asked == [names.PROBE, "labels of up", "up", 'up{k_pod!=""}']


async def test_external_rules_need_names_only() -> None:
    world = World(EXTERNAL)
    world.backend.by_selector = {"up": ["a"]}
    assert await world.found() == {"a": set()}
    assert world.backend.asked == [names.PROBE, "up"]


async def test_a_backend_that_ignores_the_selector_is_asked_for_series(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.backend.ignores_match = True
    for _ in range(2):
        assert await world.found() == {"whole": {"pod"}}
    assert world.backend.asked == [names.PROBE, "series of up", "series of up"]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("selector", ["up offset 5m", 'up # {job="x"}'])
async def test_a_selector_that_takes_no_matcher_is_asked_for_series(selector: str) -> None:
    world = World(EXTERNAL)
    assert await world.found(selector) == {"whole": {"pod"}}
    mapped = World(OVERRIDES)
    mapped.backend.label_list = []
    assert await mapped.found(selector) == {"whole": {"pod"}}


async def test_too_many_labels_are_asked_for_as_series() -> None:
    kinds = [f"kind{number}" for number in range(names.MAX_LABELS + 1)]
    mapper = RESTMapper(snapshots._mapped("", "v1", f"{kind}s", kind) for kind in kinds)
    world = World(TEMPLATE, lambda: mapper)
    world.backend.label_list = [f"k_{kind}" for kind in kinds]
    assert await world.found() == {"whole": {"pod"}}
    world.backend.label_list.pop()
    assert await world.found() == {}


# --- names that vanish ---------------------------------------------------------------------


async def test_a_vanished_name_is_offered_for_a_while_and_no_longer() -> None:
    world = World(EXTERNAL)
    odd = '{x="1"}'

    async def names_after(seconds: float) -> set[str]:
        world.clock.now += seconds
        return set(await world.found(odd))

    world.backend.by_selector = {odd: ["gone", "stays"]}
    world.backend.living = ["stays"]
    assert await names_after(0) == {"gone", "stays"}
    assert await names_after(names.CHECK_SECONDS - 1) == {"gone", "stays"}
    assert world.backend.queries == []
    assert await names_after(1) == {"gone", "stays"}
    assert world.backend.queries == [f"count by (__name__) ({odd})"]
    assert await names_after(names.CHECK_SECONDS) == {"gone", "stays"}
    assert await names_after(1) == {"stays"}
    # It has come back: the next look asks for it by its name and believes it.
    world.backend.queries.clear()
    world.backend.living = ["gone", "stays"]
    assert await names_after(1) == {"gone", "stays"}
    assert world.backend.queries == ['count by (__name__) ({x="1",__name__="gone"})']


async def test_a_vanished_name_that_the_selector_names_itself() -> None:
    world = World(EXTERNAL)
    world.backend.by_selector = {"up": ["up"]}
    await world.names_after(0)
    assert await world.names_after(601) == set()
    # Naming the metric twice is no PromQL.
    assert set(world.backend.queries) == {"count by (__name__) (up)"}
    world.backend.living = ["up"]
    assert await world.names_after(1) == {"up"}


async def test_a_long_look_back_keeps_it_longer() -> None:
    world = World(EXTERNAL, max_age_seconds=3600.0)
    world.backend.by_selector = {"up": ["gone"]}
    await world.names_after(0)
    assert await world.names_after(3600.0) == {"gone"}
    assert await world.names_after(1) == set()


async def test_a_name_that_the_backend_forgot_is_new_when_it_comes_again() -> None:
    world = World(EXTERNAL)
    world.backend.by_selector = {"up": ["a"]}
    await world.names_after(0)
    world.backend.by_selector = {}
    assert await world.names_after(1000) == set()
    world.backend.by_selector = {"up": ["a"]}
    assert await world.names_after(1000) == {"a"}


async def test_a_check_that_fails_takes_nothing_away_before_its_time() -> None:
    world = World(EXTERNAL)
    world.backend.by_selector = {"up": ["a"]}
    world.backend.living = ["a"]
    world.backend.fails = DOWN
    await world.names_after(0)
    assert await world.names_after(names.CHECK_SECONDS) == {"a"}
    world.backend.fails = None
    assert await world.names_after(names.CHECK_SECONDS) == {"a"}
    assert await world.names_after(names.CHECK_SECONDS) == {"a"}


async def test_many_vanished_names_are_asked_for_in_part() -> None:
    world = World(EXTERNAL)
    many = [f"name_{number}" for number in range(names.MAX_GONE + 10)]
    world.backend.by_selector = {'{x="1"}': many}
    assert set(await world.found('{x="1"}')) == set(many)
    world.clock.now += 601
    assert await world.found('{x="1"}') == {}
    assert world.backend.queries[-1].count("|") == names.MAX_GONE - 1


async def test_what_is_remembered_is_bounded() -> None:
    world = World(EXTERNAL)
    for number in range(names.MAX_SELECTORS + 10):
        await world.found(f"s{number}")
    assert len(world.subject._seen) == names.MAX_SELECTORS


async def test_a_failure_of_the_backend_is_the_caller_s() -> None:
    world = World()
    world.backend.fails_names = DOWN
    with pytest.raises(errors.UpstreamError):
        await world.found()
