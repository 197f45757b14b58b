from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import gotemplate, selector
from metrics_apiserver.core.bulk.queryplan import BulkQuery, QueryPlan
from metrics_apiserver.core.model import Sample
from metrics_apiserver.options.prometheus import EvaluationSettings
from metrics_apiserver.provider.evaluation import bulk, evaluator
from metrics_apiserver.provider.evaluation.bulk import SamplesByName
from metrics_apiserver.provider.evaluation.evaluator import Evaluator
from tests.fakes.evaluation import FIELDS, FakeBackend, FakeClock
from tests.fakes.waiting import until

BULK = 'pod!=""'  # stands in every bulk query and in no exact one


def ask(
    series: str = "m", *, namespace_label: str = "ns", selects: str = "", template: str = ""
) -> QueryPlan:
    compiled = gotemplate.compile(template or "<<.Series>>{<<.LabelMatchers>>}", FIELDS)
    return QueryPlan(compiled, series, "pod", namespace_label, selector.parse(selects))


def value_of(series: str, namespace: str, pod: str) -> float:
    """A number that tells where it is from."""
    return float(sum(ord(char) * 31**place for place, char in enumerate(series + namespace + pod)))


def cluster(*pods: str) -> Callable[[str], list[Sample]]:
    """Answers bulk and exact queries over `namespace/pod`s, as Prometheus would."""
    places = [pod.split("/") for pod in pods]

    def answer(text: str) -> list[Sample]:
        series = text.partition("{")[0]
        spaces = re.search(r'ns=~?"([^"]*)"', text)
        names = re.search(r'pod=~?"([^"]*)"', text)
        return [
            Sample({"ns": space, "pod": name}, value_of(series, space, name), 0.0)
            for space, name in places
            if (spaces is None or space in spaces[1].split("|"))
            and (names is None or name in names[1].split("|"))
        ]

    return answer


class Environment:
    """An evaluator with all that it was given."""

    def __init__(
        self,
        *pods: str,
        freshness: float = 5.0,
        why_not_bulk: Callable[[BulkQuery], str | None] = lambda _query: None,
    ) -> None:
        self.backend = FakeBackend(cluster(*pods))
        self.clock = FakeClock()
        self.uses: list[str] = []
        self.spawned: list[Coroutine[Any, Any, None]] = []
        self.evaluator = Evaluator(
            self.backend,
            EvaluationSettings(freshness, 10.0),
            spawn=lambda work, _name: self.spawned.append(work),
            observe=self.uses.append,
            clock=self.clock,
            why_not_bulk=why_not_bulk,
        )

    async def read(
        self, namespace: str, *names: str, plan: QueryPlan | None = None
    ) -> dict[str, float]:
        found = await self.evaluator.samples(plan or ask(), namespace, names)
        return {name: samples[0].value for name, samples in found.items() if name in names}

    async def run_spawned(self) -> None:
        work, self.spawned = self.spawned, []
        for piece in work:
            await piece

    @property
    def bulk_queries(self) -> int:
        return sum(BULK in text for text in self.backend.asked)


def m(namespace: str, pod: str) -> dict[str, float]:
    return {pod: value_of("m", namespace, pod)}


async def test_first_and_later_reads_render_the_template_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = Environment("a/x", "b/x", why_not_bulk=BulkQuery.why_not)
    render, renderings = gotemplate.Template.render, []

    def count(template: gotemplate.Template, data: Mapping[str, object]) -> str:
        renderings.append(data)
        return render(template, data)

    monkeypatch.setattr(gotemplate.Template, "render", count)
    assert await environment.read("a", "x") == m("a", "x")
    assert len(renderings) == 1
    assert await environment.read("b", "x") == m("b", "x")
    environment.clock.now += 60.0
    assert await environment.read("a", "x") == m("a", "x")
    assert len(renderings) == 1
    assert environment.uses == ["bulk"] * 3


# --- sharing and freshness -----------------------------------------------------------------


async def test_one_query_answers_for_all_objects_and_namespaces_read_lately() -> None:
    environment = Environment("a/x", "a/y", "b/x")
    assert await environment.read("a", "x") == m("a", "x")
    assert await environment.read("a", "y") == m("a", "y")
    assert await environment.read("b", "x") == m("b", "x")
    assert await environment.read("a", "x", "y") == {**m("a", "x"), **m("a", "y")}
    assert environment.backend.asked == ['m{ns="a",pod!=""}', 'm{ns=~"a|b",pod!=""}']
    assert environment.uses == ["bulk", "shared", "bulk", "shared"]


async def test_concurrent_equal_questions_share_one_query() -> None:
    environment = Environment("a/x", "b/x")
    environment.backend.gate.clear()
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(environment.read("a", "x")) for _ in range(20)]
        await until(lambda: environment.backend.running == 1)
        environment.backend.gate.set()
    assert all(reader.result() == m("a", "x") for reader in readers)
    assert len(environment.backend.asked) == 1


async def test_a_namespace_that_is_new_to_a_running_query_gets_the_next() -> None:
    environment = Environment("a/x", "b/x")
    environment.backend.gate.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(environment.read("a", "x"))
        await until(lambda: environment.backend.running == 1)
        second = group.create_task(environment.read("b", "x"))
        await asyncio.sleep(0)
        environment.backend.gate.set()
    assert first.result() == m("a", "x")
    assert second.result() == m("b", "x")
    assert environment.backend.asked == ['m{ns="a",pod!=""}', 'm{ns=~"a|b",pod!=""}']


async def test_a_reader_who_gives_up_takes_nobody_with_it() -> None:
    environment = Environment("a/x")
    environment.backend.gate.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(environment.read("a", "x"))
        second = group.create_task(environment.read("a", "x"))
        await until(lambda: environment.backend.running == 1)
        first.cancel()
        await asyncio.sleep(0)
        environment.backend.gate.set()
    assert second.result() == m("a", "x")
    assert len(environment.backend.asked) == 1


@pytest.mark.parametrize("provable", [True, False])
async def test_nothing_older_than_the_window_is_served(provable: bool) -> None:
    environment = Environment("a/x", why_not_bulk=lambda _query: None if provable else "no")
    for step in range(40):
        await environment.read("a", "x")
        environment.clock.now += 0.5
        assert len(environment.backend.asked) == step // 10 + 1
    await environment.run_spawned()


async def test_the_window_begins_with_the_question() -> None:
    environment = Environment("a/x")
    answer = cluster("a/x")

    def slow(text: str) -> Sequence[Sample]:
        environment.clock.now += 4.0
        return answer(text)

    environment.backend.answer = slow
    await environment.read("a", "x")
    environment.clock.now += 1.0
    await environment.read("a", "x")
    assert len(environment.backend.asked) == 2


async def test_no_window_means_an_exact_query_for_every_read() -> None:
    environment = Environment("a/x", freshness=0.0)
    for _ in range(3):
        assert await environment.read("a", "x") == m("a", "x")
    assert environment.backend.asked == ['m{ns="a",pod="x"}'] * 3
    assert environment.evaluator.why_exact(ask()) == "--query-freshness is 0"


async def test_what_is_not_proved_is_asked_exactly() -> None:
    environment = Environment("a/x", "a/y", why_not_bulk=lambda _query: "it is not")
    assert await environment.read("a", "x") == m("a", "x")
    assert await environment.read("a", "y") == m("a", "y")
    assert environment.backend.asked == ['m{ns="a",pod="x"}', 'm{ns="a",pod="y"}']
    assert environment.evaluator.why_exact(ask()) == "it is not"


async def test_the_proof_is_the_question_s_own_unless_given() -> None:
    evaluator = Evaluator(
        FakeBackend(cluster()), EvaluationSettings(), spawn=lambda work, _name: work.close()
    )
    assert evaluator.why_exact(ask()) is None
    unproved = ask(template="sum(<<.Series>>{<<.LabelMatchers>>})")
    assert evaluator.why_exact(unproved) == BulkQuery(unproved).why_not()
    assert "not supported in metric selectors" in str(evaluator.why_exact(ask(selects="q>1")))
    empty = ask("", template="<<.Series>>")
    assert "empty query" in str(evaluator.why_exact(empty))


async def test_cluster_scoped_objects_have_one_part() -> None:
    environment = Environment("n/x", "n/y")
    plan = ask(namespace_label="")
    assert await environment.read("", "x", plan=plan) == m("n", "x")
    assert await environment.read("", "y", plan=plan) == m("n", "y")
    assert environment.backend.asked == ['m{pod!=""}']


async def test_objects_without_samples_are_absent() -> None:
    environment = Environment("a/x")
    assert await environment.read("a", "gone") == {}
    assert await environment.read("empty", "x") == {}


async def test_several_namespaces_in_one_evaluation() -> None:
    environment = Environment("a/x", "b/x", "c/x")
    found = await environment.evaluator.by_namespace(ask(), {"a": ["x"], "b": ["x"]})
    assert set(found) == {"a", "b"}
    assert environment.backend.asked == ['m{ns=~"a|b",pod!=""}']


async def test_a_text_is_shared_by_external_metrics_too() -> None:
    environment = Environment("a/x")
    assert await environment.evaluator.query("m") is await environment.evaluator.query("m")
    assert len(environment.backend.asked) == 1


# --- refresh ahead -------------------------------------------------------------------------


async def test_a_read_late_in_the_window_starts_the_next_evaluation() -> None:
    environment = Environment("a/x")
    await environment.read("a", "x")
    environment.clock.now += 4.0
    await environment.read("a", "x")
    assert not environment.spawned
    environment.clock.now += 0.1
    await environment.read("a", "x")
    await environment.read("a", "x")
    assert len(environment.spawned) == 1
    await environment.run_spawned()
    assert len(environment.backend.asked) == 2
    environment.clock.now += 3.9
    await environment.read("a", "x")
    assert len(environment.backend.asked) == 2
    assert not environment.spawned


async def _share(environment: Environment, times: int) -> None:
    for _ in range(times):
        await environment.read("a", "x")


async def test_an_evaluation_that_many_reads_share_is_renewed_sooner() -> None:
    environment = Environment("a/x")
    await environment.read("a", "x")
    environment.clock.now += 1.1
    await _share(environment, evaluator.BUSY_READS - 1)
    assert not environment.spawned
    await _share(environment, 2)
    assert len(environment.spawned) == 1
    await environment.run_spawned()
    assert len(environment.backend.asked) == 2
    environment.clock.now += 0.9
    await _share(environment, evaluator.BUSY_READS + 1)
    assert not environment.spawned, "not twice in a second, however many reads there are"
    environment.clock.now += 0.2
    await _share(environment, 1)
    assert len(environment.spawned) == 1
    await environment.run_spawned()


async def test_a_slow_evaluation_rests_however_many_reads_share_it() -> None:
    environment = Environment("a/x")
    values = cluster("a/x")

    def answer(text: str) -> list[Sample]:
        environment.clock.now += 0.15
        return values(text)

    environment.backend.answer = answer
    await environment.read("a", "x")
    environment.clock.now += 0.15 * evaluator.BUSY_REST - 0.2
    await _share(environment, evaluator.BUSY_READS + 1)
    assert not environment.spawned
    environment.clock.now += 0.2
    await _share(environment, 1)
    assert len(environment.spawned) == 1
    await environment.run_spawned()


async def test_a_refresh_of_a_busy_evaluation_that_fails_is_not_repeated_at_each_read() -> None:
    environment = Environment("a/x")
    await environment.read("a", "x")
    environment.clock.now += 1.1
    await _share(environment, evaluator.BUSY_READS)
    environment.backend.answer = errors.UpstreamError("down", kind="unreachable")
    await environment.run_spawned()
    await _share(environment, evaluator.BUSY_READS - 1)
    assert not environment.spawned
    assert len(environment.backend.asked) == 2


async def test_a_refresh_that_fails_leaves_no_older_answer_behind() -> None:
    environment = Environment("a/x")
    await environment.read("a", "x")
    environment.clock.now += 4.5
    await environment.read("a", "x")
    environment.backend.answer = errors.UpstreamError("down", kind="unreachable")
    await environment.run_spawned()
    assert await environment.read("a", "x") == m("a", "x")
    environment.clock.now += 0.5
    with pytest.raises(errors.UpstreamError, match="down"):
        await environment.read("a", "x")
    assert environment.uses.count("fallback") == 1
    await environment.run_spawned()


async def test_after_a_failed_refresh_the_next_read_may_start_another() -> None:
    environment = Environment("a/x")
    await environment.read("a", "x")
    environment.clock.now += 4.5
    await environment.read("a", "x")
    environment.backend.answer = errors.UpstreamError("down", kind="unreachable")
    await environment.run_spawned()
    await environment.read("a", "x")
    assert len(environment.spawned) == 1
    environment.backend.answer = cluster("a/x")
    await environment.run_spawned()
    environment.clock.now += 1.0
    assert await environment.read("a", "x") == m("a", "x")


# --- errors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        errors.UpstreamError("down", kind="unreachable"),
        errors.UpstreamError("busy", kind="http", status=503),
        errors.UpstreamError("odd", kind="protocol"),
        errors.UpstreamTimeout("slow"),
    ],
)
@pytest.mark.parametrize("provable", [True, False])
async def test_an_error_is_never_an_older_value(error: errors.MetricsError, provable: bool) -> None:
    environment = Environment("a/x", why_not_bulk=lambda _query: None if provable else "no")
    await environment.read("a", "x")
    environment.clock.now += 5.0
    environment.backend.answer = error
    with pytest.raises(type(error), match=error.message):
        await environment.read("a", "x")
    environment.backend.answer = cluster("a/x")
    assert await environment.read("a", "x") == m("a", "x")
    await environment.run_spawned()


def refusing_bulk(error: errors.MetricsError, *pods: str) -> Callable[[str], list[Sample]]:
    answer = cluster(*pods)

    def refuse(text: str) -> list[Sample]:
        if BULK in text:
            raise error
        return answer(text)

    return refuse


@pytest.mark.parametrize(
    "error",
    [
        errors.UpstreamError("bad", kind="api", status=422),
        errors.UpstreamError("too large", kind="too_large"),
        errors.UpstreamError("too long", kind="http", status=414),
    ],
)
async def test_where_bulk_is_refused_the_exact_query_answers(error: errors.MetricsError) -> None:
    environment = Environment()
    environment.backend.answer = refusing_bulk(error, "a/x", "b/y")
    assert await environment.read("a", "x") == m("a", "x")
    assert environment.uses == ["bulk", "fallback", "exact"]
    for _ in range(3):
        environment.clock.now += 1.6
        assert await environment.read("b", "y") == m("b", "y")
    assert environment.bulk_queries == 1
    assert not environment.spawned


async def test_after_the_pause_bulk_is_tried_beside_the_exact_queries() -> None:
    environment = Environment()
    refused = errors.UpstreamError("bad", kind="api")
    environment.backend.answer = refusing_bulk(refused, "a/x")
    await environment.read("a", "x")
    pauses = []
    for _ in range(3):
        began = environment.clock.now
        while not environment.spawned:
            environment.clock.now += 0.5
            assert await environment.read("a", "x") == m("a", "x")
        pauses.append(environment.clock.now - began)
        assert await environment.read("a", "x") == m("a", "x")
        assert len(environment.spawned) == 1
        await environment.run_spawned()
    assert pauses == [5.0, 10.0, 20.0]
    environment.clock.now += 40.0
    environment.backend.answer = cluster("a/x")
    assert await environment.read("a", "x") == m("a", "x")
    await environment.run_spawned()
    before = len(environment.backend.asked)
    assert await environment.read("a", "x") == m("a", "x")
    assert len(environment.backend.asked) == before
    environment.clock.now += 5.0
    assert await environment.read("a", "x") == m("a", "x")
    assert BULK in environment.backend.asked[-1]


async def test_a_bulk_query_that_takes_too_long_makes_way_for_the_exact_ones() -> None:
    environment = Environment()
    environment.backend.answer = refusing_bulk(errors.UpstreamTimeout("slow"), "a/x")
    with pytest.raises(errors.UpstreamTimeout, match="slow"):
        await environment.read("a", "x")
    assert await environment.read("a", "x") == m("a", "x")


async def test_an_answer_that_is_too_large_is_sliced() -> None:
    environment = Environment()
    answer = cluster("a/x", "b/x", "c/x")

    def no_more_than_one(text: str) -> list[Sample]:
        if "|" in text:
            raise errors.UpstreamError("too large", kind="too_large")
        return answer(text)

    environment.backend.answer = no_more_than_one
    wanted = {"a": ["x"], "b": ["x"], "c": ["x"]}
    found = await environment.evaluator.by_namespace(ask(), wanted)
    assert {space: part["x"][0].value for space, part in found.items()} == {
        space: value_of("m", space, "x") for space in wanted
    }
    assert environment.uses == ["bulk"]


async def test_a_template_that_fails_in_bulk_is_an_error() -> None:
    """A wrong proof must not turn into a wrong answer."""
    environment = Environment("a/x")
    plan = ask("", template="<<.Series>>")
    with pytest.raises(errors.TemplateError):
        await environment.read("a", "x", plan=plan)


# --- bounds --------------------------------------------------------------------------------


async def test_a_namespace_that_nobody_reads_leaves_the_query() -> None:
    environment = Environment("a/x", "b/x")
    await environment.read("a", "x")
    for _ in range(25):
        environment.clock.now += 5.0
        await environment.read("b", "x")
    assert environment.backend.asked[1] == 'm{ns=~"a|b",pod!=""}'
    assert environment.backend.asked[-1] == 'm{ns="b",pod!=""}'


async def test_questions_are_forgotten_when_there_are_too_many() -> None:
    environment = Environment("a/x")
    for number in range(evaluator.MAX_PLANS + 1):
        await environment.read("a", "x", plan=ask(f"m{number}"))
    before = len(environment.backend.asked)
    await environment.read("a", "x", plan=ask("m1"))
    assert len(environment.backend.asked) == before
    await environment.read("a", "x", plan=ask("m0"))
    assert len(environment.backend.asked) == before + 1


async def test_questions_without_an_answer_are_forgotten_too() -> None:
    environment = Environment("a/x", why_not_bulk=lambda _query: "no")
    for number in range(evaluator.MAX_PLANS + 10):
        assert environment.evaluator.why_exact(ask(f"m{number}")) == "no"


async def test_samples_are_held_up_to_a_bound() -> None:
    environment = Environment()
    many = [Sample({"ns": "a", "pod": "x"}, 1.0, 0.0)] * (bulk.MAX_HELD_SAMPLES // 2)
    environment.backend.answer = lambda _text: many
    for series in ("m0", "m1", "m0", "m1"):
        await environment.read("a", "x", plan=ask(series))
    assert len(environment.backend.asked) == 2
    environment.backend.answer = lambda _text: many[:10]
    await environment.read("a", "x", plan=ask("m2"))
    before = len(environment.backend.asked)
    await environment.read("a", "x", plan=ask("m1"))
    assert len(environment.backend.asked) == before
    await environment.read("a", "x", plan=ask("m0"))
    assert len(environment.backend.asked) == before + 1


async def test_an_answer_for_a_question_forgotten_meanwhile_is_served_and_not_kept() -> None:
    environment = Environment("a/x")
    environment.backend.gate.clear()
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(environment.read("a", "x"))
        await until(lambda: environment.backend.running == 1)
        for number in range(evaluator.MAX_PLANS):
            environment.evaluator.why_exact(ask(f"m{number}"))
        environment.backend.gate.set()
    assert reader.result() == m("a", "x")
    await environment.read("a", "x")
    assert len(environment.backend.asked) == 2


async def test_many_namespaces_are_read_without_naming_them() -> None:
    spaces = [f"n{number}" for number in range(bulk.MAX_NAMED_NAMESPACES + 1)]
    environment = Environment(*(f"{space}/x" for space in spaces))
    wanted: dict[str, Sequence[str]] = {space: ["x"] for space in spaces}
    found = await environment.evaluator.by_namespace(ask(), wanted)
    assert all(found[space]["x"][0].value == value_of("m", space, "x") for space in spaces)
    assert environment.backend.asked == ['m{ns!="",pod!=""}']
    assert await environment.read("elsewhere", "x") == {}
    assert len(environment.backend.asked) == 1


async def test_a_namespace_that_two_flights_left_out_is_asked_for_exactly() -> None:
    """The flight of a question that was forgotten meanwhile knows only who asked before."""
    environment = Environment("a/x", "b/x", "c/x")
    environment.backend.gate.clear()
    async with asyncio.TaskGroup() as group:
        readers = []
        for space in "abc":
            readers.append(group.create_task(environment.read(space, "x")))
            await asyncio.sleep(0)
            for number in range(evaluator.MAX_PLANS):
                environment.evaluator.why_exact(ask(f"m{number}"))
        environment.backend.gate.set()
    assert readers[-1].result() == m("c", "x")
    assert environment.backend.asked == [
        'm{ns="a",pod!=""}',
        'm{ns="b",pod!=""}',
        'm{ns="c",pod="x"}',
    ]


# --- tenants -------------------------------------------------------------------------------


@pytest.mark.parametrize("provable", [True, False])
async def test_no_reader_ever_sees_another_s_values(provable: bool) -> None:
    users, spaces = 50, [f"ns{number}" for number in range(50)]
    environment = Environment(
        *(f"{space}/p{number}" for space in spaces for number in range(3)),
        why_not_bulk=lambda _query: None if provable else "no",
    )
    chance = random.Random(7)
    reads = 0

    async def user() -> None:
        nonlocal reads
        for _ in range(40):
            space, series = chance.choice(spaces), chance.choice(["m", "k"])
            names = [f"p{number}" for number in range(chance.randint(1, 3))]
            found = await environment.evaluator.samples(ask(series), space, names)
            for name in names:
                [sample] = found[name]
                assert sample.value == value_of(series, space, name)
                assert sample.labels["ns"] == space
            environment.clock.now += chance.choice([0.0, 0.0, 0.01, 0.3])
            reads += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(users):
            group.create_task(user())
    await environment.run_spawned()
    assert reads == users * 40
    if provable:
        assert len(environment.backend.asked) < reads / 3


async def test_a_part_holds_its_own_namespace_only() -> None:
    environment = Environment("a/x", "b/x", "b/y")
    await environment.read("b", "x")
    found: Mapping[str, SamplesByName] = await environment.evaluator.by_namespace(
        ask(), {"a": ["x"]}
    )
    assert set(found) == {"a"}
    assert set(found["a"]) == {"x"}
