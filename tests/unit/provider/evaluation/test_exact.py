from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import gotemplate, selector
from metrics_apiserver.core.bulk.queryplan import QueryPlan
from metrics_apiserver.core.model import Sample
from metrics_apiserver.core.values import ValueCounts
from metrics_apiserver.options.prometheus import EvaluationSettings
from metrics_apiserver.provider.evaluation import bulk, exact
from metrics_apiserver.provider.evaluation.exact import ExactEvaluator, side_by_side
from tests.fakes.evaluation import FIELDS, FakeBackend, FakeClock
from tests.fakes.waiting import until

PLAIN = "m{<<.LabelMatchers>>}"
UNSPLITTABLE = 'm{ns="<<.LabelValuesByName.ns>>",pod=~"<<.LabelValuesByName.pod>>"}'


def ask(template: str = PLAIN, selects: str = "", series: str = "m") -> QueryPlan:
    compiled = gotemplate.compile(template, FIELDS)
    return QueryPlan(compiled, series, "pod", "ns", selector.parse(selects))


def named(text: str) -> list[Sample]:
    """A sample for each object that an exact query names; its value is the query's length."""
    found = re.search(r'pod=~?"([^"]*)"', text)
    assert found is not None
    return [Sample({"pod": name}, float(len(text)), 0.0) for name in found[1].split("|")]


class Exact:
    """An evaluator with its backend, clock and uses."""

    def __init__(self, backend: FakeBackend | None = None, freshness: float = 5.0) -> None:
        self.backend = backend or FakeBackend(named)
        self.clock = FakeClock()
        self.uses: list[str] = []
        self.evaluator = ExactEvaluator(
            self.backend,
            EvaluationSettings(freshness, 10.0),
            observe=self.uses.append,
            clock=self.clock,
        )


async def test_series_of_another_namespace_are_no_answer_and_namesakes_are_counted() -> None:
    samples = [
        Sample({"ns": "a", "pod": "x"}, 1.0, 0.0),
        Sample({"ns": "b", "pod": "x"}, 2.0, 0.0),
        Sample({"ns": "b", "pod": "stranger"}, 3.0, 0.0),
        Sample({"pod": "y"}, 4.0, 0.0),
    ]
    environment = Exact(FakeBackend(lambda _text: samples))
    counts = ValueCounts()
    plan = ask("m")
    found = await environment.evaluator.by_namespace(plan, {"a": ["x", "y"], "c": ["x"]}, counts)
    assert {name: [s.value for s in part] for name, part in found["a"].items()} == {
        "x": [1.0],
        "y": [4.0],
    }
    assert set(found["c"]) == {"y"}
    assert counts.namesake == 3


async def test_without_a_namespace_label_every_series_stays() -> None:
    samples = [Sample({"ns": "b", "pod": "x"}, 2.0, 0.0)]
    environment = Exact(FakeBackend(lambda _text: samples))
    plan = replace(ask("m"), namespace_label="")
    found = await environment.evaluator.by_namespace(plan, {"": ["x"]}, ValueCounts())
    assert found[""] == {"x": samples}


async def test_equal_texts_are_asked_once_within_the_window() -> None:
    environment = Exact()
    first = await environment.evaluator.query('m{pod="x"}')
    environment.clock.now += 4.99
    assert await environment.evaluator.query('m{pod="x"}') is first
    environment.clock.now += 0.01
    assert await environment.evaluator.query('m{pod="x"}') is not first
    assert environment.backend.asked == ['m{pod="x"}'] * 2
    assert environment.uses == ["exact", "shared", "exact"]
    assert environment.backend.timeouts == [10.0, 10.0]


async def test_the_window_begins_with_the_question_not_with_its_answer() -> None:
    environment = Exact()

    def slow(text: str) -> list[Sample]:
        environment.clock.now += 4.0
        return named(text)

    environment.backend.answer = slow
    await environment.evaluator.query('m{pod="x"}')
    environment.clock.now += 1.0
    await environment.evaluator.query('m{pod="x"}')
    assert len(environment.backend.asked) == 2


async def test_an_answer_that_took_longer_than_the_window_is_not_kept() -> None:
    environment = Exact()

    def slow(text: str) -> list[Sample]:
        environment.clock.now += 5.0
        return named(text)

    environment.backend.answer = slow
    await environment.evaluator.query('m{pod="x"}')
    await environment.evaluator.query('m{pod="x"}')
    assert len(environment.backend.asked) == 2


async def test_no_window_means_no_keeping() -> None:
    environment = Exact(freshness=0.0)
    await environment.evaluator.query('m{pod="x"}')
    await environment.evaluator.query('m{pod="x"}')
    assert len(environment.backend.asked) == 2


async def test_large_answers_are_not_kept() -> None:
    large = [Sample({"pod": "x"}, 1.0, 0.0)] * (exact.MAX_CACHED_SAMPLES + 1)
    environment = Exact(FakeBackend(lambda _text: large))
    await environment.evaluator.query("a")
    await environment.evaluator.query("a")
    assert len(environment.backend.asked) == 2


async def test_no_more_answers_are_kept_than_the_bound() -> None:
    environment = Exact(FakeBackend(lambda _text: []))
    for number in range(exact.MAX_CACHED_RESULTS + 1):
        await environment.evaluator.query(str(number))
    before = len(environment.backend.asked)
    await environment.evaluator.query("1")
    assert len(environment.backend.asked) == before
    await environment.evaluator.query("0")
    assert len(environment.backend.asked) == before + 1


async def test_an_error_is_shared_by_those_who_wait_and_not_kept() -> None:
    environment = Exact(FakeBackend(errors.UpstreamError("down", kind="unreachable")))
    environment.backend.gate.clear()

    async def failed() -> bool:
        with pytest.raises(errors.UpstreamError, match="down"):
            await environment.evaluator.query("q")
        return True

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(failed()) for _ in range(3)]
        await until(lambda: environment.backend.running == 1)
        environment.backend.gate.set()
    assert all(reader.result() for reader in readers)
    assert len(environment.backend.asked) == 1
    environment.backend.answer = lambda _text: []
    await environment.evaluator.query("q")
    assert len(environment.backend.asked) == 2


async def test_samples_by_namespace_and_object() -> None:
    environment = Exact()
    found = await environment.evaluator.by_namespace(ask(), {"a": ["x", "y"], "b": ["x"]})
    assert sorted(environment.backend.asked) == ['m{ns="a",pod=~"x|y"}', 'm{ns="b",pod="x"}']
    assert {space: sorted(names) for space, names in found.items()} == {"a": ["x", "y"], "b": ["x"]}
    assert found["a"]["x"][0].value != found["b"]["x"][0].value


async def test_a_long_list_of_names_is_asked_in_parts() -> None:
    names = [f"pod-{number}" for number in range(1234)]
    environment = Exact()
    found = await environment.evaluator.by_namespace(ask(), {"a": names})
    assert sorted(text.count("|") + 1 for text in environment.backend.asked) == [234, 500, 500]
    assert set(found["a"]) == set(names)


async def test_no_more_parts_are_asked_at_once_than_the_bound() -> None:
    environment = Exact()
    environment.backend.gate.clear()
    names = [str(number) for number in range(exact.NAMES_PER_QUERY * 20)]
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(environment.evaluator.by_namespace(ask(), {"a": names}))
        await until(lambda: environment.backend.running == exact.QUERIES_AT_ONCE)
        for _ in range(10):
            await asyncio.sleep(0)
        assert environment.backend.running == exact.QUERIES_AT_ONCE
        environment.backend.gate.set()
    assert len(reader.result()["a"]) == len(names)
    assert len(environment.backend.asked) == 20


async def test_a_list_that_cannot_be_split_is_asked_whole() -> None:
    names = [f"pod{number}" for number in range(600)]
    environment = Exact()
    found = await environment.evaluator.by_namespace(ask(UNSPLITTABLE), {"a": names})
    assert len(environment.backend.asked) == 1
    assert len(found["a"]) == 600


async def test_a_list_that_is_too_long_and_cannot_be_split_is_refused() -> None:
    template = "m{<<.LabelMatchers>>} > scalar(sum(m{<<.LabelMatchers>>}))"
    names = ["p" * 250 + str(number) for number in range(bulk.QUERY_BYTES // 500)]
    environment = Exact()
    with pytest.raises(errors.Internal, match=r"objects need more than .* cannot be split"):
        await environment.evaluator.by_namespace(ask(template), {"a": names})
    assert environment.backend.asked == []


@pytest.mark.parametrize("template", ["<<range .GroupBySlice>><<end>>", "<<.Series>>"])
async def test_a_template_that_fails_is_the_rule_s_error(template: str) -> None:
    environment = Exact()
    for names in (["x"], ["x"] * 501):
        with pytest.raises(errors.Internal, match="metricsQuery fails on this request") as refused:
            await environment.evaluator.by_namespace(ask(template, series=""), {"a": names})
        assert refused.value.detail
    assert environment.backend.asked == []


async def test_a_selector_that_promql_lacks_is_the_caller_s_error() -> None:
    environment = Exact()
    for names in (["x"], ["x"] * 501):
        with pytest.raises(errors.BadRequest):
            await environment.evaluator.by_namespace(ask(selects="q>1"), {"a": names})


async def test_a_scalar_is_no_answer_for_objects() -> None:
    environment = Exact(FakeBackend(lambda _text: [], kind="scalar"))
    with pytest.raises(errors.UpstreamError, match="gives a scalar"):
        await environment.evaluator.by_namespace(ask(), {"a": ["x"]})


async def test_the_first_error_of_many_parts_is_the_reader_s() -> None:
    environment = Exact(FakeBackend(errors.UpstreamTimeout("slow")))
    with pytest.raises(errors.UpstreamTimeout, match="slow"):
        await environment.evaluator.by_namespace(ask(), {"a": ["x"], "b": ["y"]})


# --- side_by_side --------------------------------------------------------------------------


async def test_results_keep_their_order() -> None:
    async def give(value: int, turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return value

    assert await side_by_side(give(1, 5), give(2, 0), give(3, 2)) == [1, 2, 3]


async def test_the_first_error_ends_the_others() -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("wait")

    async def fail() -> None:
        raise errors.BadRequest("no")

    with pytest.raises(errors.BadRequest, match="no"):
        await side_by_side(wait(), fail())
    assert ended == ["wait"]


def refused(detail: str, status: int = 400, kind: str = "api") -> ExactEvaluator:
    """An evaluator whose backend refuses every query so."""

    def refuse(_text: str) -> list[Sample]:
        raise errors.UpstreamError("unable: refused", kind=kind, status=status, detail=detail)

    return Exact(FakeBackend(refuse)).evaluator


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (400, 'invalid parameter "query": 1:5: parse error:\n unexpected <by>'),
        (422, "cannot parse the query"),
        (400, "error when parsing: x"),
    ],
)
async def test_what_prometheus_cannot_parse_is_told_in_its_words(status: int, detail: str) -> None:
    with pytest.raises(errors.UpstreamError) as told:
        await refused(detail, status).query("m by (x)")
    assert told.value.message == f"unable: refused: {' '.join(detail.split())}"
    assert (told.value.status, told.value.detail) == (status, detail)


@pytest.mark.parametrize(
    ("status", "detail", "kind"),
    [
        (400, "token=secret", "api"),
        (422, "found duplicate series for the match group", "api"),
        (500, "parse error", "api"),
        (400, "parse error", "http"),
        (400, "sparse", "api"),
    ],
)
async def test_other_words_are_for_the_log(status: int, detail: str, kind: str) -> None:
    with pytest.raises(errors.UpstreamError) as told:
        await refused(detail, status, kind).query("m")
    assert told.value.message == "unable: refused"
    assert told.value.detail == detail


async def test_long_words_are_cut() -> None:
    with pytest.raises(errors.UpstreamError) as told:
        await refused("parse error: " + "x" * 1000).query("m")
    assert len(told.value.message) == len("unable: refused: ") + exact.MAX_REASON
