from __future__ import annotations

import asyncio
import logging

import pytest

from metrics_apiserver.base import errors, threads
from metrics_apiserver.core.model import Series
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.options.settings import RelistSettings
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
    """

    def __init__(self, answers: dict[str, Answer] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[tuple[str, float, float | None]] = []
        self.times: list[float] = []

    async def series(self, selector: str, *, start: float, end: float | None) -> set[Series]:
        self.asked.append((selector, start, end))
        self.times.append(asyncio.get_running_loop().time())
        answer = self.answers.get(selector, set())
        if isinstance(answer, errors.MetricsError):
            raise answer
        return answer


class World:
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
    world = World(rules("a", "b", "a"), {"a": found("a"), "b": found("b")})
    assert await world.turn() == {"a", "b"}
    assert sorted(world.source.asked) == [("a", 4700.0, None), ("b", 4700.0, None)]
    snapshot = world.relister.snapshot
    assert snapshot is not None
    assert snapshot.generation == 1
    await world.turn()
    assert world.relister.snapshot is not snapshot
    assert world.relister.snapshot is not None
    assert world.relister.snapshot.generation == 2
    assert world.relister.turns == 2


async def test_external_rules_are_asked_for_too() -> None:
    text = "externalRules:\n- {seriesQuery: q, resources: {namespaced: false}, metricsQuery: q}\n"
    world = World(text, {"q": found("q")})
    await world.turn()
    assert world.relister.snapshot is not None
    assert set(world.relister.snapshot.external) == {"q"}


async def test_a_report_tells_time_and_failures() -> None:
    world = World(rules("a", "b"), {"a": DOWN, "b": found("b")})
    report = await world.relister.relist_once()
    assert report.failed == {"a": "refused"}
    assert world.reports == [(report, world.relister.snapshot)]
    assert world.relister.last_turn == world.clock.now
    assert world.relister.queries["a"].error == "refused"
    assert world.relister.queries["b"].succeeded == world.clock.now


async def test_a_failing_query_keeps_its_last_good_result_and_harms_no_other() -> None:
    world = World(rules("a", "b"), {"a": found("a"), "b": found("b")})
    await world.turn()
    world.source.answers = {"a": DOWN, "b": found("b2")}
    assert await world.turn() == {"a", "b2"}
    world.source.answers = {"a": errors.UpstreamTimeout("slow"), "b": found("b")}
    assert await world.turn() == {"a", "b"}
    world.source.answers = {"a": found("a3"), "b": found("b")}
    assert await world.turn() == {"a3", "b"}


async def test_a_query_that_never_worked_gives_nothing_but_the_rest_is_served() -> None:
    world = World(rules("a", "b"), {"a": DOWN, "b": found("b")})
    assert await world.turn() == {"b"}


async def test_with_everything_down_the_snapshot_still_holds_all() -> None:
    world = World(rules("a", "b"), {"a": found("a"), "b": found("b")})
    await world.turn()
    world.source.answers = {"a": DOWN, "b": DOWN}
    for _ in range(5):
        assert await world.turn() == {"a", "b"}


@pytest.mark.parametrize(("interval", "patience"), [(600.0, 30.0), (5.0, 5.0)])
async def test_nothing_found_is_believed_when_it_lasts(interval: float, patience: float) -> None:
    """A Prometheus that has just restarted answers with an empty database."""
    world = World(rules("a"), {"a": found("a")}, interval)
    await world.turn()
    world.source.answers = {}
    for _ in range(2):
        assert await world.turn() == {"a"}
        world.clock.now += patience - 0.1
        assert await world.turn() == {"a"}
        world.source.answers = {"a": found("a")}
        assert await world.turn() == {"a"}
        world.source.answers = {}
    assert await world.turn() == {"a"}
    world.clock.now += patience + 0.01
    assert await world.turn() == set()
    assert await world.turn() == set()
    world.source.answers = {"a": found("a")}
    assert await world.turn() == {"a"}


async def test_a_failing_neighbour_does_not_hasten_that() -> None:
    world = World(rules("a", "b"), {"a": found("a"), "b": found("b")})
    await world.turn()
    world.source.answers = {"b": DOWN}
    for _ in range(10):
        world.clock.now += relist.MAX_RETRY_SECONDS
        assert await world.turn() == {"a", "b"}


async def test_a_query_that_finds_fewer_series_is_believed_at_once() -> None:
    world = World(rules("a"), {"a": found("a") | found("b")})
    await world.turn()
    world.source.answers = {"a": found("b")}
    assert await world.turn() == {"b"}


async def test_without_the_cluster_s_resources_there_is_no_snapshot() -> None:
    world = World(rules("a"), {"a": found("a")})
    world.mapper = None
    await world.turn()
    assert world.relister.snapshot is None
    world.mapper = snapshots.mapper()
    assert await world.turn() == {"a"}
    world.mapper = None
    assert await world.turn() == {"a"}


async def test_new_rules_count_from_the_next_turn_and_old_queries_are_forgotten() -> None:
    world = World(rules("a"), {"a": found("a"), "b": found("b")})
    await world.turn()
    world.relister.use(snapshots.parse(rules("b")))
    assert world.metrics() == {"a"}
    assert await world.turn() == {"b"}
    assert set(world.relister.queries) == {"b"}
    assert [rule.series_query for rule in world.relister.rules.rules] == ["b"]


async def test_a_rule_that_stays_keeps_what_is_known_of_its_query() -> None:
    world = World(rules("a"), {"a": found("a")})
    await world.turn()
    world.source.answers = {"a": DOWN, "b": DOWN}
    world.relister.use(snapshots.parse(rules("b", "a")))
    assert await world.turn() == {"a"}


async def test_many_series_are_built_beside_the_event_loop() -> None:
    many = {snapshots.series(f"m{number}", "ns", "pod") for number in range(threads.LARGE + 1)}
    world = World(rules("a"), {"a": many})
    assert len(await world.turn()) == len(many)


# --- logs ----------------------------------------------------------------------------------


async def test_a_failure_is_logged_when_it_begins_changes_and_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "metrics_apiserver")
    world = World(rules("a"), {"a": DOWN})
    for _ in range(3):
        await world.turn()
    world.source.answers = {"a": errors.UpstreamTimeout("slow")}
    await world.turn()
    world.source.answers = {"a": found("a")}
    await world.turn()
    await world.turn()
    seen = [(record.levelname, getattr(record, "error", "")) for record in caplog.records]
    assert seen == [("WARNING", "refused"), ("WARNING", "slow"), ("INFO", "")]


async def test_a_problem_of_a_rule_is_logged_when_it_appears(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(rules("a"), {"a": found("a")})
    world.mapper = snapshots.mapper("pods")
    await world.turn()
    await world.turn()
    [record] = caplog.records
    assert record.rule == "rules[0]"  # type: ignore[attr-defined]  # an extra
    world.mapper = snapshots.mapper()
    await world.turn()
    world.mapper = snapshots.mapper("pods")
    await world.turn()
    assert len(caplog.records) == 2


# --- the loop ------------------------------------------------------------------------------


async def turns_within(world: World, seconds: float) -> list[float]:
    """When the loop asked, in seconds since it began."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(world.relister.run())
        await asyncio.sleep(seconds)
        running.cancel()
    return [round(at - began, 3) for at in world.source.times]


@pytest.mark.looptime
async def test_the_loop_asks_at_the_interval() -> None:
    world = World(rules("a"), {"a": found("a")}, interval=60.0)
    assert await turns_within(world, 200.0) == [0.0, 60.0, 120.0, 180.0]


@pytest.mark.looptime
async def test_the_loop_asks_soon_after_a_failure_and_less_often_while_it_lasts() -> None:
    world = World(rules("a"), {"a": DOWN}, interval=60.0)
    assert await turns_within(world, 8.0) == [0.0, 0.5, 1.5, 3.5, 5.5, 7.5]


@pytest.mark.looptime
async def test_an_interval_shorter_than_the_pause_holds() -> None:
    world = World(rules("a"), {"a": DOWN}, interval=0.2)
    assert await turns_within(world, 0.7) == [0.0, 0.2, 0.4, 0.6]


@pytest.mark.looptime
async def test_the_loop_returns_to_the_interval_when_all_is_well_again() -> None:
    world = World(rules("a"), {"a": DOWN}, interval=60.0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(world.relister.run())
        await asyncio.sleep(3.0)
        world.source.answers = {"a": found("a")}
        await asyncio.sleep(1.0)
        asked = len(world.source.asked)
        assert world.metrics() == {"a"}
        await asyncio.sleep(59.0)
        assert len(world.source.asked) == asked
        world.source.answers = {"a": DOWN}
        await asyncio.sleep(1.1)
        assert len(world.source.asked) == asked + 2
        running.cancel()


@pytest.mark.looptime
async def test_the_loop_asks_soon_again_while_the_cluster_is_unknown() -> None:
    world = World(rules("a"), {"a": found("a")})
    world.mapper = None
    assert await turns_within(world, 2.0) == [0.0, 0.5, 1.5]


@pytest.mark.looptime
async def test_new_rules_and_new_resources_wake_the_loop() -> None:
    world = World(rules("a"), {"a": found("a"), "b": found("b")})
    async with asyncio.TaskGroup() as group:
        running = group.create_task(world.relister.run())
        await asyncio.sleep(1.0)
        assert world.metrics() == {"a"}
        world.relister.use(snapshots.parse(rules("b")))
        await asyncio.sleep(0.001)
        assert world.metrics() == {"b"}
        world.mapper = snapshots.mapper("pods")
        world.relister.wake()
        await asyncio.sleep(0.001)
        assert world.relister.turns == 3
        running.cancel()
