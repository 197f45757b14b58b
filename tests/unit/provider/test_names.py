"""Discovery by names: what it asks, which labels count, and how long a vanished name is offered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core.model import QueryResult, Sample, Series
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.prometheus.refusals import Refusals
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
        fails, fails_names, fails_labels, fails_series: raised by queries and by look-ups of names,
            labels and series.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.by_selector: dict[str, list[str]] = {}
        self.ignores_match = False
        self.label_list: list[str] = []
        self.living: list[str] = []
        self.fails: Exception | None = None
        self.fails_names: Exception | None = None
        self.fails_labels: Exception | None = None
        self.fails_series: Exception | None = None
        self.refusals = Refusals(clock=clock)
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
        if self.fails_labels is not None:
            raise self.fails_labels
        return self.label_list

    async def series(self, selector: str, *, start: float, end: float | None = None) -> set[Series]:
        self.asked.append(f"series of {selector}")
        if self.fails_series is not None:
            raise self.fails_series
        return {Series("whole", frozenset({"pod"}))}

    async def query(self, text: str, *, timeout: float) -> QueryResult:
        self.queries.append(text)
        if self.fails is not None:
            raise self.fails
        samples = [Sample({"__name__": name}, 1.0, 0.0) for name in self.living]
        return QueryResult("vector", [*samples, Sample({}, 1.0, 0.0)])


class Environment:
    def __init__(
        self,
        rules: str = OVERRIDES,
        mapper: Callable[[], RESTMapper | None] = snapshots.mapper,
        max_age_seconds: float = 60.0,
    ) -> None:
        parsed = snapshots.parse(rules)
        self.clock = FakeClock()
        self.backend = Backend(self.clock)
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
    labels = Environment(OVERRIDES).labels
    assert labels.candidates("up") == ["pod", "space", "w"]
    assert labels.candidates("other") == ["node"]
    assert labels.candidates("unknown") == []
    assert Environment(TEMPLATE).labels.candidates("up") is None


def test_mapped_are_those_whose_resource_there_is() -> None:
    labels = Environment(OVERRIDES).labels
    assert labels.mapped("up", ["w", "space", "pod", "pod", "instance"]) == ["pod", "space"]
    assert labels.mapped("other", ["pod", "node"]) == ["node"]
    template = Environment(TEMPLATE).labels
    assert template.mapped("up", ["k_pod", "k_widget", "pod", "k_nodes"]) == ["k_nodes", "k_pod"]
    assert Environment(OVERRIDES, lambda: None).labels.mapped("up", ["pod"]) == []


# --- one look ------------------------------------------------------------------------------


async def test_names_are_asked_for_once_and_for_each_mapped_label() -> None:
    environment = Environment()
    environment.backend.by_selector = {
        "up": ["a", "b", "c"],
        'up{pod!=""}': ["a", "b"],
        'up{space!=""}': ["b", "late"],
    }
    expected = {"a": {"pod"}, "b": {"pod", "space"}, "c": set(), "late": {"space"}}
    assert await environment.found() == expected
    assert environment.backend.asked == [names.PROBE, "up", 'up{pod!=""}', 'up{space!=""}']
    environment.backend.asked.clear()
    assert await environment.found() == expected
    assert names.PROBE not in environment.backend.asked


async def test_a_template_asks_which_labels_there_are() -> None:
    environment = Environment(TEMPLATE)
    environment.backend.label_list = ["__name__", "instance", "k_pod", "k_widget"]
    environment.backend.by_selector = {"up": ["a"], 'up{k_pod!=""}': ["a"]}
    assert await environment.found() == {"a": {"k_pod"}}
    assert environment.backend.asked == [names.PROBE, "labels of up", "up", 'up{k_pod!=""}']


async def test_external_rules_need_names_only() -> None:
    environment = Environment(EXTERNAL)
    environment.backend.by_selector = {"up": ["a"]}
    assert await environment.found() == {"a": set()}
    assert environment.backend.asked == [names.PROBE, "up"]


async def test_a_backend_that_ignores_the_selector_is_asked_for_series(
    caplog: pytest.LogCaptureFixture,
) -> None:
    environment = Environment()
    environment.backend.ignores_match = True
    for _ in range(2):
        assert await environment.found() == {"whole": {"pod"}}
    assert environment.backend.asked == [names.PROBE, "series of up", "series of up"]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("selector", ["up offset 5m", 'up # {job="x"}'])
async def test_a_selector_that_takes_no_matcher_is_asked_for_series(selector: str) -> None:
    environment = Environment(EXTERNAL)
    assert await environment.found(selector) == {"whole": {"pod"}}
    mapped = Environment(OVERRIDES)
    mapped.backend.label_list = []
    assert await mapped.found(selector) == {"whole": {"pod"}}


async def test_too_many_labels_are_asked_for_as_series() -> None:
    kinds = [f"kind{number}" for number in range(names.MAX_LABELS + 1)]
    mapper = RESTMapper(snapshots._mapped("", "v1", f"{kind}s", kind) for kind in kinds)
    environment = Environment(TEMPLATE, lambda: mapper)
    environment.backend.label_list = [f"k_{kind}" for kind in kinds]
    assert await environment.found() == {"whole": {"pod"}}
    environment.backend.label_list.pop()
    assert await environment.found() == {}


# --- names that vanish ---------------------------------------------------------------------


async def test_a_vanished_name_is_offered_for_a_while_and_no_longer() -> None:
    environment = Environment(EXTERNAL)
    odd = '{x="1"}'

    async def names_after(seconds: float) -> set[str]:
        environment.clock.now += seconds
        return set(await environment.found(odd))

    environment.backend.by_selector = {odd: ["gone", "stays"]}
    environment.backend.living = ["stays"]
    assert await names_after(0) == {"gone", "stays"}
    assert await names_after(names.CHECK_SECONDS - 1) == {"gone", "stays"}
    assert environment.backend.queries == []
    assert await names_after(1) == {"gone", "stays"}
    assert environment.backend.queries == [f"count by (__name__) ({odd})"]
    assert await names_after(names.CHECK_SECONDS) == {"gone", "stays"}
    assert await names_after(1) == {"stays"}
    # It has come back: the next look asks for it by its name and believes it.
    environment.backend.queries.clear()
    environment.backend.living = ["gone", "stays"]
    assert await names_after(1) == {"gone", "stays"}
    assert environment.backend.queries == ['count by (__name__) ({x="1",__name__="gone"})']


async def test_a_vanished_name_that_the_selector_names_itself() -> None:
    environment = Environment(EXTERNAL)
    environment.backend.by_selector = {"up": ["up"]}
    await environment.names_after(0)
    assert await environment.names_after(601) == set()
    # Naming the metric twice is no PromQL.
    assert set(environment.backend.queries) == {"count by (__name__) (up)"}
    environment.backend.living = ["up"]
    assert await environment.names_after(1) == {"up"}


async def test_a_long_look_back_keeps_it_longer() -> None:
    environment = Environment(EXTERNAL, max_age_seconds=3600.0)
    environment.backend.by_selector = {"up": ["gone"]}
    await environment.names_after(0)
    assert await environment.names_after(3600.0) == {"gone"}
    assert await environment.names_after(1) == set()


async def test_a_name_that_the_backend_forgot_is_new_when_it_comes_again() -> None:
    environment = Environment(EXTERNAL)
    environment.backend.by_selector = {"up": ["a"]}
    await environment.names_after(0)
    environment.backend.by_selector = {}
    assert await environment.names_after(1000) == set()
    environment.backend.by_selector = {"up": ["a"]}
    assert await environment.names_after(1000) == {"a"}


async def test_a_check_that_fails_takes_nothing_away_before_its_time() -> None:
    environment = Environment(EXTERNAL)
    environment.backend.by_selector = {"up": ["a"]}
    environment.backend.living = ["a"]
    environment.backend.fails = DOWN
    await environment.names_after(0)
    assert await environment.names_after(names.CHECK_SECONDS) == {"a"}
    environment.backend.fails = None
    assert await environment.names_after(names.CHECK_SECONDS) == {"a"}
    assert await environment.names_after(names.CHECK_SECONDS) == {"a"}


async def test_many_vanished_names_are_asked_for_in_part() -> None:
    environment = Environment(EXTERNAL)
    many = [f"name_{number}" for number in range(names.MAX_GONE + 10)]
    environment.backend.by_selector = {'{x="1"}': many}
    assert set(await environment.found('{x="1"}')) == set(many)
    environment.clock.now += 601
    assert await environment.found('{x="1"}') == {}
    assert environment.backend.queries[-1].count("|") == names.MAX_GONE - 1


async def test_what_is_remembered_is_bounded() -> None:
    environment = Environment(EXTERNAL)
    for number in range(names.MAX_SELECTORS + 10):
        await environment.found(f"s{number}")
    assert len(environment.subject._seen) == names.MAX_SELECTORS


async def test_a_failure_of_the_backend_is_the_caller_s() -> None:
    environment = Environment()
    environment.backend.fails_names = DOWN
    with pytest.raises(errors.UpstreamError):
        await environment.found()


# --- label endpoints that are refused -------------------------------------------------------


REFUSED = errors.UpstreamError("no such path", kind="http", status=404)


async def test_where_names_are_refused_series_are_asked_and_names_again_later() -> None:
    case = Environment()
    case.backend.fails_names = REFUSED
    assert await case.found() == {"whole": {"pod"}}
    assert await case.found() == {"whole": {"pod"}}
    assert case.backend.asked == [names.PROBE, "series of up", "series of up"]
    case.backend.fails_names = None
    case.backend.by_selector = {"up": ["up"]}
    case.clock.now += 300.0
    assert set(await case.found()) == {"up"}


async def test_where_label_names_are_refused_only_templates_need_series() -> None:
    case = Environment(TEMPLATE)
    case.backend.fails_labels = REFUSED
    assert await case.found() == {"whole": {"pod"}}
    assert await case.found() == {"whole": {"pod"}}
    assert case.backend.asked == [names.PROBE, "labels of up", "series of up", "series of up"]
    assert not case.backend.refusals.is_known("label_values")


async def test_nothing_is_remembered_where_series_are_refused_too() -> None:
    case = Environment()
    case.backend.fails_names = REFUSED
    case.backend.fails_series = errors.UpstreamError("forbidden", kind="http", status=403)
    with pytest.raises(errors.UpstreamError, match="forbidden"):
        await case.found()
    assert not case.backend.refusals.is_known("label_values")


async def test_trouble_with_names_asks_for_no_series() -> None:
    case = Environment()
    case.backend.fails_names = errors.UpstreamError("not ready", kind="http", status=503)
    with pytest.raises(errors.UpstreamError, match="not ready"):
        await case.found()
    assert case.backend.asked == [names.PROBE]
