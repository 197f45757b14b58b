from __future__ import annotations

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import gotemplate, selector
from metrics_apiserver.core.bulk.queryplan import BulkQuery, QueryPlan
from metrics_apiserver.core.model import QueryResult, Sample
from metrics_apiserver.provider.evaluation import bulk
from metrics_apiserver.provider.evaluation.bulk import BulkResult, BulkState
from tests.fakes.evaluation import FIELDS, FakeBackend, FakeClock


def ask(namespace_label: str = "ns") -> QueryPlan:
    template = gotemplate.compile("m{<<.LabelMatchers>>}", FIELDS)
    return QueryPlan(template, "m", "pod", namespace_label, selector.parse(""))


def sample(namespace: str, pod: str, value: float = 1.0) -> Sample:
    return Sample({"ns": namespace, "pod": pod}, value, 0.0)


async def collect(
    backend: FakeBackend,
    *namespaces: str,
    plan: QueryPlan | None = None,
    clock: FakeClock | None = None,
) -> BulkResult:
    return await bulk.collect(
        backend, BulkQuery(plan or ask()), namespaces, timeout=10.0, clock=clock or FakeClock()
    )


# --- collect -------------------------------------------------------------------------------


async def test_an_answer_is_filed_by_namespace_and_object() -> None:
    a, b, c = sample("a", "x"), sample("b", "x"), sample("b", "y")
    backend = FakeBackend(lambda _text: [a, b, c, Sample({}, 9, 0), Sample({"ns": "a"}, 9, 0)])
    answer = await collect(backend, "a", "b", "none")
    assert backend.asked == ['m{ns=~"a|b|none",pod!=""}']
    assert answer.parts == {"a": {"x": [a]}, "b": {"x": [b], "y": [c]}, "none": {}}
    assert answer.size == 5
    assert not answer.everything


async def test_without_a_namespace_label_all_objects_are_in_one_part() -> None:
    node = Sample({"pod": "x"}, 1, 0)
    answer = await collect(FakeBackend(lambda _text: [node]), "", plan=ask(""))
    assert answer.parts == {"": {"x": [node]}}


async def test_all_namespaces_are_queried_when_none_is_named() -> None:
    backend = FakeBackend(lambda _text: [sample("a", "x")])
    answer = await collect(backend)
    assert backend.asked == ['m{ns!="",pod!=""}']
    assert answer.everything
    assert answer.covers({"unheard-of": None})
    assert answer.take({"unheard-of": None}) == {"unheard-of": {}}


def test_an_answer_covers_a_read_only_with_all_of_its_namespaces() -> None:
    answer = BulkResult(0.0, {"a": {}, "b": {}}, 0, everything=False)
    assert answer.covers({"a": None})
    assert answer.covers({"a": None, "b": None})
    assert not answer.covers({"a": None, "c": None})
    assert not answer.covers({"c": None, "a": None})
    assert not answer.covers({"c": None})


async def test_an_answer_that_is_too_large_is_asked_for_in_halves() -> None:
    def answer(text: str) -> list[Sample]:
        if "|" in text:
            raise errors.UpstreamError("too large", kind="too_large")
        name = text.split('"')[1]
        return [sample(name, "x")]

    backend = FakeBackend(answer)
    found = await collect(backend, "a", "b", "c")
    assert backend.asked == [
        'm{ns=~"a|b|c",pod!=""}',
        'm{ns="a",pod!=""}',
        'm{ns=~"b|c",pod!=""}',
        'm{ns="b",pod!=""}',
        'm{ns="c",pod!=""}',
    ]
    assert set(found.parts) == {"a", "b", "c"}
    assert found.size == 3


async def test_one_namespace_that_is_too_large_is_refused() -> None:
    backend = FakeBackend(errors.UpstreamError("too large", kind="too_large"))
    with pytest.raises(errors.UpstreamError, match="too large"):
        await collect(backend, "a", "b")
    assert len(backend.asked) == 2


async def test_other_errors_are_not_asked_again() -> None:
    backend = FakeBackend(errors.UpstreamError("down", kind="unreachable"))
    with pytest.raises(errors.UpstreamError, match="down"):
        await collect(backend, "a", "b")
    assert len(backend.asked) == 1


async def test_all_slices_together_hold_no_more_than_the_bound() -> None:
    half = [sample("a", "x")] * (bulk.MAX_HELD_SAMPLES // 2 + 1)

    def answer(text: str) -> list[Sample]:
        if "|" in text:
            raise errors.UpstreamError("too large", kind="too_large")
        return half

    with pytest.raises(errors.UpstreamError, match="more than 500000 samples") as refused:
        await collect(FakeBackend(answer), "a", "b")
    assert refused.value.kind == "too_large"


async def test_all_slices_share_one_budget() -> None:
    clock = FakeClock()

    def answer(text: str) -> list[Sample]:
        clock.now += 6
        raise errors.UpstreamError("too large", kind="too_large")

    backend = FakeBackend(answer)
    with pytest.raises(errors.UpstreamTimeout):
        await collect(backend, "a", "b", "c", "d", clock=clock)
    assert backend.timeouts == [10.0, 4.0]


async def test_a_query_that_is_too_long_is_not_sent_but_split() -> None:
    backend = FakeBackend(lambda _text: [])
    long = ["a" * (bulk.QUERY_BYTES - 100), "b" * 100]
    await collect(backend, *long)
    assert [text.count('"') for text in backend.asked] == [4, 4]


async def test_what_is_no_vector_is_refused() -> None:
    with pytest.raises(errors.UpstreamError, match="gives a scalar, not a vector") as refused:
        bulk.vector(QueryResult("scalar", []))
    assert refused.value.kind == "protocol"


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (errors.UpstreamError("", kind="api", status=422), True),
        (errors.UpstreamError("", kind="too_large"), True),
        (errors.UpstreamError("", kind="http", status=413), True),
        (errors.UpstreamError("", kind="http", status=414), True),
        (errors.UpstreamError("", kind="http", status=504), True),
        (errors.UpstreamTimeout(""), True),
        (errors.UpstreamError("", kind="http", status=503), False),
        (errors.UpstreamError("", kind="unreachable"), False),
        (errors.UpstreamError("", kind="overload"), False),
        (errors.UpstreamError("", kind="protocol"), False),
        (errors.Internal(""), False),
    ],
)
def test_which_errors_a_smaller_query_may_avoid(error: errors.MetricsError, refusal: bool) -> None:
    assert bulk.is_refusal(error) is refusal


# --- Group ---------------------------------------------------------------------------------


def want(state: BulkState, now: float, *namespaces: str) -> None:
    state.want(dict.fromkeys(namespaces), now)


def test_namespaces_that_nobody_reads_any_more_are_forgotten() -> None:
    state = BulkState(BulkQuery(ask()), None)
    want(state, 0.0, "b", "a")
    want(state, 100.0, "a")
    assert state.namespaces(120.0) == ["a", "b"]
    assert state.namespaces(120.1) == ["a"]
    assert state.namespaces(220.1) == []
    assert not state.wanted


def test_too_many_namespaces_are_not_named_but_all_asked_for() -> None:
    state = BulkState(BulkQuery(ask()), None)
    want(state, 0.0, *(f"n{number}" for number in range(bulk.MAX_NAMED_NAMESPACES)))
    assert len(state.namespaces(0.0)) == bulk.MAX_NAMED_NAMESPACES
    want(state, 0.0, "one-more")
    assert len(state.wanted) == bulk.MAX_NAMED_NAMESPACES
    assert "one-more" in state.wanted
    assert "n0" not in state.wanted
    assert state.namespaces(0.0) == []
    want(state, 119.0, "n1")
    assert state.namespaces(119.0) == []
    assert state.namespaces(121.0) == ["n1"]


def test_a_pause_grows_with_each_refusal_up_to_a_bound() -> None:
    state = BulkState(BulkQuery(ask()), None)
    pauses = []
    for _ in range(8):
        state.refused(1000.0)
        pauses.append(state.paused_until - 1000.0)
    assert pauses == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]


def test_a_query_that_is_refused_for_days_is_tried_at_the_longest_pause() -> None:
    state = BulkState(BulkQuery(ask()), None)
    for _ in range(2000):
        state.refused(0.0)
    assert state.paused_until == bulk.MAX_PAUSE_SECONDS
    state.accepted()
    state.refused(0.0)
    assert state.paused_until == bulk.FIRST_PAUSE_SECONDS
