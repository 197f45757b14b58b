from __future__ import annotations

import asyncio
import logging

import pytest

from metrics_apiserver.base import errors, threads
from metrics_apiserver.core import diagnostics
from metrics_apiserver.core.model import Series
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.options.prometheus import RelistSettings
from metrics_apiserver.provider import relist
from metrics_apiserver.provider.relist import Relister, RelistReport
from tests.fakes import snapshots
from tests.fakes.evaluation import FakeClock

RULE = """\
- seriesQuery: '{name}'
  resources: {{overrides: {{ns: {{resource: namespace}}, pod: {{resource: pod}}}}}}
  metricsQuery: sum(<<.Series>>{{<<.LabelMatchers>>}}) by (<<.GroupBy>>)
"""
Answer = set[Series] | errors.MetricsError


def rules(*names: str) -> str:
    return "rules:\n" + "".join(RULE.format(name=name) for name in names)


def found(name: str) -> set[Series]:
    return {snapshots.series(name, "ns", "pod")}


class FakeSource:
    """Answers series queries out of a table.

    Attributes:
        answers: by selector; what is not there finds nothing.
        asked: (selector, start, end) of every query.
        times: when they were asked, on the loop's clock.
        seconds: how long each takes.
    """

    def __init__(self, answers: dict[str, Answer] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[tuple[str, float, float | None]] = []
        self.times: list[float] = []
        self.seconds = 0.0

    async def series(self, selector: str, *, start: float, end: float | None) -> set[Series]:
        self.asked.append((selector, start, end))
        self.times.append(asyncio.get_running_loop().time())
        if self.seconds:
            await asyncio.sleep(self.seconds)
        answer = self.answers.get(selector, set())
        if isinstance(answer, errors.MetricsError):
            raise answer
        return answer


class Environment:
    """A relister with all that it was given."""

    def __init__(self, text: str, answers: dict[str, Answer], interval: float = 600.0) -> None:
        self.source = FakeSource(answers)
        self.mapper: RESTMapper | None = snapshots.mapper()
        self.clock = FakeClock()
        self.reports: list[tuple[RelistReport, Snapshot | None]] = []
        self.relister = Relister(
            self.source,
            lambda: self.mapper,
            RelistSettings(interval, 300.0),
            report=lambda report, snapshot: self.reports.append((report, snapshot)),
            clock=self.clock,
            wall=lambda: 5000.0,
        )
        self.relister.use(snapshots.parse(text))

    def metrics(self) -> set[str]:
        snapshot = self.relister.snapshot
        return set() if snapshot is None else {metric for _, metric in snapshot.custom}

    async def turn(self) -> set[str]:
        await self.relister.relist_once()
        return self.metrics()


DOWN = errors.UpstreamError("unable to fetch metrics: down", kind="unreachable", detail="refused")


# --- one turn ------------------------------------------------------------------------------


async def test_a_turn_asks_each_distinct_query_once_and_swaps_the_snapshot_in() -> None:
    environment = Environment(rules("a", "b", "a"), {"a": found("a"), "b": found("b")})
    assert await environment.turn() == {"a", "b"}
    assert sorted(environment.source.asked) == [("a", 4700.0, None), ("b", 4700.0, None)]
    snapshot = environment.relister.snapshot
    assert snapshot is not None
    assert snapshot.generation == 1
    await environment.turn()
    assert environment.relister.snapshot is not snapshot
    assert environment.relister.snapshot is not None
    assert environment.relister.snapshot.generation == 2
    assert environment.relister.turns == 2


async def test_external_rules_are_asked_for_too() -> None:
    text = "externalRules:\n- {seriesQuery: q, resources: {namespaced: false}, metricsQuery: q}\n"
    environment = Environment(text, {"q": found("q")})
    await environment.turn()
    assert environment.relister.snapshot is not None
    assert set(environment.relister.snapshot.external) == {"q"}


async def test_a_report_has_time_and_failures() -> None:
    environment = Environment(rules("a", "b"), {"a": DOWN, "b": found("b")})
    report = await environment.relister.relist_once()
    assert report.failed == {"a": "refused"}
    assert environment.reports == [(report, environment.relister.snapshot)]
    assert environment.relister.last_turn == environment.clock.now


async def test_a_failing_query_keeps_its_last_good_result_and_harms_no_other() -> None:
    environment = Environment(rules("a", "b"), {"a": found("a"), "b": found("b")})
    await environment.turn()
    environment.source.answers = {"a": DOWN, "b": found("b2")}
    assert await environment.turn() == {"a", "b2"}
    environment.source.answers = {"a": errors.UpstreamTimeout("slow"), "b": found("b")}
    assert await environment.turn() == {"a", "b"}
    environment.source.answers = {"a": found("a3"), "b": found("b")}
    assert await environment.turn() == {"a3", "b"}


async def test_a_query_that_never_worked_gives_nothing_but_the_rest_is_served() -> None:
    environment = Environment(rules("a", "b"), {"a": DOWN, "b": found("b")})
    assert await environment.turn() == {"b"}


async def test_with_everything_down_the_snapshot_still_holds_all() -> None:
    environment = Environment(rules("a", "b"), {"a": found("a"), "b": found("b")})
    await environment.turn()
    environment.source.answers = {"a": DOWN, "b": DOWN}
    for _ in range(5):
        assert await environment.turn() == {"a", "b"}


@pytest.mark.parametrize(("interval", "patience"), [(600.0, 30.0), (5.0, 5.0)])
async def test_nothing_found_is_believed_when_it_lasts(interval: float, patience: float) -> None:
    """A Prometheus that has just restarted answers with an empty database."""
    environment = Environment(rules("a"), {"a": found("a")}, interval)
    await environment.turn()
    environment.source.answers = {}
    for _ in range(2):
        assert await environment.turn() == {"a"}
        environment.clock.now += patience - 0.1
        assert await environment.turn() == {"a"}
        environment.source.answers = {"a": found("a")}
        assert await environment.turn() == {"a"}
        environment.source.answers = {}
    assert await environment.turn() == {"a"}
    environment.clock.now += patience + 0.01
    assert await environment.turn() == set()
    assert await environment.turn() == set()
    environment.source.answers = {"a": found("a")}
    assert await environment.turn() == {"a"}


async def test_a_failing_neighbour_does_not_hasten_that() -> None:
    environment = Environment(rules("a", "b"), {"a": found("a"), "b": found("b")})
    await environment.turn()
    environment.source.answers = {"b": DOWN}
    for _ in range(10):
        environment.clock.now += relist.MAX_RETRY_SECONDS
        assert await environment.turn() == {"a", "b"}


async def test_a_query_that_finds_fewer_series_is_believed_at_once() -> None:
    environment = Environment(rules("a"), {"a": found("a") | found("b")})
    await environment.turn()
    environment.source.answers = {"a": found("b")}
    assert await environment.turn() == {"b"}


async def test_without_the_cluster_s_resources_there_is_no_snapshot() -> None:
    environment = Environment(rules("a"), {"a": found("a")})
    environment.mapper = None
    await environment.turn()
    assert environment.relister.snapshot is None
    environment.mapper = snapshots.mapper()
    assert await environment.turn() == {"a"}
    environment.mapper = None
    assert await environment.turn() == {"a"}


async def test_new_rules_count_from_the_next_turn_and_old_queries_are_forgotten() -> None:
    environment = Environment(rules("a"), {"a": found("a"), "b": found("b")})
    await environment.turn()
    environment.relister.use(snapshots.parse(rules("b")))
    assert environment.metrics() == {"a"}
    assert await environment.turn() == {"b"}
    assert set(environment.relister._queries) == {"b"}
    assert [rule.series_query for rule in environment.relister.rules.rules] == ["b"]


async def test_a_rule_that_stays_keeps_what_is_known_of_its_query() -> None:
    environment = Environment(rules("a"), {"a": found("a")})
    await environment.turn()
    environment.source.answers = {"a": DOWN, "b": DOWN}
    environment.relister.use(snapshots.parse(rules("b", "a")))
    assert await environment.turn() == {"a"}


async def test_many_series_are_built_beside_the_event_loop() -> None:
    many = {snapshots.series(f"m{number}", "ns", "pod") for number in range(threads.LARGE + 1)}
    environment = Environment(rules("a"), {"a": many})
    assert len(await environment.turn()) == len(many)


# --- logs ----------------------------------------------------------------------------------


async def test_a_failure_is_logged_when_it_begins_changes_and_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "metrics_apiserver")
    environment = Environment(rules("a"), {"a": DOWN})
    for _ in range(3):
        await environment.turn()
    environment.source.answers = {"a": errors.UpstreamTimeout("slow")}
    await environment.turn()
    environment.source.answers = {"a": found("a")}
    await environment.turn()
    await environment.turn()
    seen = [
        (record.levelname, getattr(record, "error", ""))
        for record in caplog.records
        if "series query" in record.getMessage()
    ]
    assert seen == [("WARNING", "refused"), ("WARNING", "slow"), ("INFO", "")]


async def test_a_problem_of_a_rule_is_logged_when_it_appears(
    caplog: pytest.LogCaptureFixture,
) -> None:
    environment = Environment(rules("a"), {"a": found("a")})
    environment.mapper = snapshots.mapper("pods")
    await environment.turn()
    await environment.turn()
    [record] = caplog.records
    assert record.rule == "rules[0]"  # type: ignore[attr-defined]  # an extra
    environment.mapper = snapshots.mapper()
    await environment.turn()
    environment.mapper = snapshots.mapper("pods")
    await environment.turn()
    assert len(caplog.records) == 2


# --- the loop ------------------------------------------------------------------------------


async def turns_within(environment: Environment, seconds: float) -> list[float]:
    """When the loop asked, in seconds since it began."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(environment.relister.run())
        await asyncio.sleep(seconds)
        running.cancel()
    return [round(at - began, 3) for at in environment.source.times]


@pytest.mark.looptime
async def test_the_loop_asks_at_the_interval() -> None:
    environment = Environment(rules("a"), {"a": found("a")}, interval=60.0)
    assert await turns_within(environment, 200.0) == [0.0, 60.0, 120.0, 180.0]


@pytest.mark.looptime
async def test_the_loop_asks_soon_after_a_failure_and_less_often_while_it_lasts() -> None:
    environment = Environment(rules("a"), {"a": DOWN}, interval=60.0)
    assert await turns_within(environment, 8.0) == [0.0, 0.5, 1.5, 3.5, 5.5, 7.5]


@pytest.mark.looptime
async def test_an_interval_shorter_than_the_pause_holds() -> None:
    environment = Environment(rules("a"), {"a": DOWN}, interval=0.2)
    assert await turns_within(environment, 0.7) == [0.0, 0.2, 0.4, 0.6]


@pytest.mark.looptime
async def test_the_loop_returns_to_the_interval_when_all_is_well_again() -> None:
    environment = Environment(rules("a"), {"a": DOWN}, interval=60.0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(environment.relister.run())
        await asyncio.sleep(3.0)
        environment.source.answers = {"a": found("a")}
        await asyncio.sleep(1.0)
        asked = len(environment.source.asked)
        assert environment.metrics() == {"a"}
        await asyncio.sleep(59.0)
        assert len(environment.source.asked) == asked
        environment.source.answers = {"a": DOWN}
        await asyncio.sleep(1.1)
        assert len(environment.source.asked) == asked + 2
        running.cancel()


@pytest.mark.looptime
async def test_the_loop_asks_soon_again_while_the_cluster_is_unknown() -> None:
    environment = Environment(rules("a"), {"a": found("a")})
    environment.mapper = None
    assert await turns_within(environment, 2.0) == [0.0, 0.5, 1.5]


@pytest.mark.looptime
async def test_new_rules_and_new_resources_wake_the_loop() -> None:
    environment = Environment(rules("a"), {"a": found("a"), "b": found("b")})
    async with asyncio.TaskGroup() as group:
        running = group.create_task(environment.relister.run())
        await asyncio.sleep(1.0)
        assert environment.metrics() == {"a"}
        environment.relister.use(snapshots.parse(rules("b")))
        await asyncio.sleep(0.001)
        assert environment.metrics() == {"b"}
        environment.mapper = snapshots.mapper("pods")
        environment.relister.wake()
        await asyncio.sleep(0.001)
        assert environment.relister.turns == 3
        running.cancel()


@pytest.mark.looptime
async def test_a_wake_during_a_turn_leads_to_one_more_at_once() -> None:
    environment = Environment(rules("a"), {"a": found("a")})
    environment.source.seconds = 2.0
    async with asyncio.TaskGroup() as group:
        running = group.create_task(environment.relister.run())
        await asyncio.sleep(1.0)
        environment.relister.wake()
        await asyncio.sleep(30.0)
        assert environment.source.times == [0.0, 2.0]
        running.cancel()


# --- Prometheus that has never answered ----------------------------------------------------


def unreachable(environment: Environment) -> str:
    snapshot = environment.relister.snapshot
    assert snapshot is not None
    kinds = [diagnostics.CATALOGUE[item.code].name for item in snapshot.diagnostics]
    assert ("unreachable" in kinds) is bool(snapshot.unreachable)
    return snapshot.unreachable


@pytest.mark.parametrize(
    "error",
    [
        DOWN,
        errors.UpstreamError("unable to fetch metrics: down", kind="http", status=404),
        errors.UpstreamError("unable to fetch metrics: down", kind="protocol"),
        errors.UpstreamTimeout("unable to fetch metrics: down"),
    ],
)
async def test_until_prometheus_has_answered_once_the_snapshot_says_why(
    error: errors.MetricsError,
) -> None:
    environment = Environment(rules("a", "b"), {"a": error, "b": error})
    await environment.turn()
    said = "Prometheus has not answered since 1970-01-01T01:23:20Z: down"
    assert unreachable(environment) == said
    environment.source.answers["b"] = found("b")
    await environment.turn()
    assert unreachable(environment) == ""
    environment.source.answers["b"] = error
    assert await environment.turn() == {"b"}
    assert unreachable(environment) == ""


@pytest.mark.parametrize("kind", ["api", "too_large", "warnings"])
async def test_a_refusal_of_one_query_is_an_answer(kind: str) -> None:
    refused = errors.UpstreamError("unable to fetch metrics: no", kind=kind, status=400)
    environment = Environment(rules("a"), {"a": refused})
    await environment.turn()
    assert unreachable(environment) == ""


async def test_where_nobody_asked_nothing_is_unreachable() -> None:
    environment = Environment("rules: []\n", {})
    await environment.turn()
    assert unreachable(environment) == ""
