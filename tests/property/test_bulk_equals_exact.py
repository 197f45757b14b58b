"""Whatever is proved to be askable in bulk has the same answer in bulk as object by object.

Rules are drawn from a grammar wider than what can be proved, objects from recorded data in which
pods of one name live in several namespaces; both forms go through the evaluator to a real
Prometheus at one moment, and are compared item by item.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics_apiserver.base import errors
from metrics_apiserver.core import gotemplate, selector
from metrics_apiserver.core.bulk import queryplan
from metrics_apiserver.core.bulk.queryplan import BulkQuery, QueryPlan
from metrics_apiserver.core.model import Sample
from metrics_apiserver.options.prometheus import EvaluationSettings
from metrics_apiserver.provider.evaluation.evaluator import Evaluator, WhyNotBulk
from tests.fakes import recorded
from tests.fakes.evaluation import FIELDS
from tests.fakes.recorded import RecordedBackend

LM = "<<.LabelMatchers>>"
GROUP = "<<.GroupBy>>"


@dataclass
class Arena:
    """The recorded Prometheus, and how much was compared."""

    backend: RecordedBackend
    runner: asyncio.Runner
    compared: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    if not recorded.is_installed():
        pytest.skip("prometheus and promtool are not on PATH")
    directory = tmp_path_factory.mktemp("recorded")
    with (
        asyncio.Runner() as runner,
        recorded.running(directory, recorded.render(seed=20)) as prometheus,
        RecordedBackend(prometheus.port) as backend,
    ):
        yield Arena(backend, runner)


# --- the two forms -------------------------------------------------------------------------


def make_plan(
    template: str, *, resource: str = "pod", selects: str = "", extra: tuple[str, ...] = ()
) -> QueryPlan:
    return QueryPlan(
        template=gotemplate.compile(template, FIELDS),
        series="gauge",
        resource_label=resource,
        namespace_label="" if resource == "node" else "namespace",
        selector=selector.parse(selects),
        extra_group_by=extra,
    )


def make_evaluator(
    arena: Arena, freshness: float, why_not: WhyNotBulk, uses: list[str]
) -> Evaluator:
    return Evaluator(
        arena.backend,
        EvaluationSettings(freshness, 10.0),
        spawn=lambda work, _name: work.close(),
        observe=uses.append,
        clock=lambda: 0.0,
        why_not_bulk=why_not,
    )


def values(samples: list[Sample] | tuple[Sample, ...]) -> list[float]:
    """In an order that does not depend on labels, which the two forms may differ in."""
    return sorted(
        (sample.value for sample in samples), key=lambda value: (math.isnan(value), value)
    )


def same(left: list[float], right: list[float]) -> bool:
    return len(left) == len(right) and all(
        (math.isnan(a) and math.isnan(b)) or a == b or math.isclose(a, b, rel_tol=1e-9)
        for a, b in zip(left, right, strict=True)
    )


async def find_differences(
    arena: Arena, plan: QueryPlan, why_not: WhyNotBulk, groups: list[tuple[str, ...]]
) -> list[str]:
    """Objects whose two answers differ; a refusal of Prometheus counts as an answer.

    Args:
        arena: where to ask.
        plan: the query.
        prove: what the bulk evaluator believes.
        groups: lists of names, each asked for in each namespace.
    """
    uses: list[str] = []
    bulk = make_evaluator(arena, 5.0, why_not, uses)
    exact = make_evaluator(arena, 0.0, why_not, [])
    spaces = [""] if plan.resource_label == "node" else [*recorded.NAMESPACES, "none"]
    found: list[str] = []
    for space in spaces:
        for names in groups:
            in_bulk = await read(bulk, plan, space, names)
            alone = await read(exact, plan, space, names)
            if REFUSED in (in_bulk, alone):
                found += [f"{space}: {in_bulk}, {alone}"] if in_bulk != alone else []
                continue
            for name in names:
                if not same(in_bulk[name], alone[name]):
                    found.append(f"{space}/{name}: bulk {in_bulk[name]}, exact {alone[name]}")
                elif alone[name]:
                    arena.compared["items"] += 1
    if "fallback" not in uses and "bulk" in uses:
        arena.compared["rules"] += 1
    return found


REFUSED: dict[str, list[float]] = {"Prometheus refused the query": []}


async def read(
    evaluator: Evaluator, plan: QueryPlan, space: str, names: tuple[str, ...]
) -> dict[str, list[float]]:
    try:
        found = await evaluator.samples(plan, space, names)
    except errors.UpstreamError as error:
        if error.kind != "api":
            raise
        return REFUSED
    return {name: values(list(found.get(name, ()))) for name in names}


# --- the grammar ---------------------------------------------------------------------------


def one_of(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


METRICS = one_of("gauge", "other", "count_total", "owner", "lat_bucket", "<<.Series>>")
# Grouping by GroupBy comes up more often than what seldom can be proved.
LABELS = one_of(
    *[GROUP] * 6,
    *[f"{GROUP}, queue"] * 2,
    *("pod", "namespace", "pod, namespace", "node", "queue", "", "namespace, pod, queue", "le"),
)
RANGE = one_of("1m", "2m", "5m")
OVER_TIME = one_of("avg", "max", "min", "sum", "count", "last", "stddev")
INSTANT = one_of("ceil", "abs", "sgn", "sqrt", "timestamp", "sort", "absent", "floor", "scalar")
AGGREGATIONS = one_of("sum", "max", "min", "avg", "count", "stddev", "group")
ARITHMETIC = one_of("+", "-", "*", "/", "%", "^")
COMPARISONS = one_of(">", "<=", "==", "!=", "> bool")
SETS = one_of("and", "or", "unless")


def selectors() -> st.SearchStrategy[str]:
    extra = one_of("", "", ',queue="x"', ',queue!="x"', ',namespace!="b"', ',le="1"')
    offset = one_of("", "", "", " offset 1m")
    return st.builds(lambda name, more, by: f"{name}{{{LM}{more}}}{by}", METRICS, extra, offset)


def shared() -> st.SearchStrategy[str]:
    """Vectors and scalars that are not about the objects asked for."""
    return one_of(
        "total",
        "sum(limits)",
        'limits{region="r1"}',
        "quota",
        "scalar(total)",
        "sum(gauge)",
        f"sum(gauge) by ({GROUP})",
        f"count(count(other) by ({GROUP}))",
        'sum(gauge{namespace="a"})',
        "sum(gauge) by (namespace)",
        "vector(1)",
        "time()",
        "3",
        "0.5",
    )


def ranges(vectors: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Functions over a range or a subquery."""
    plain = st.builds(lambda name, span: f"{name}{{{LM}}}[{span}]", METRICS, RANGE)
    nested = st.builds(lambda inner, span: f"({inner})[{span}:30s]", vectors, RANGE)
    over = st.builds(lambda kind, inner: f"{kind}_over_time({inner})", OVER_TIME, plain | nested)
    rates = st.builds(lambda name, inner: f"{name}({inner})", one_of("rate", "increase"), plain)
    return over | rates


def aggregations(vectors: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def by(operator: str, keyword: str, labels: str, inner: str) -> str:
        return f"{operator} {keyword} ({labels}) ({inner})"

    keyword = one_of("by", "by", "by", "without")
    plain = st.builds(by, AGGREGATIONS, keyword, LABELS, vectors)
    whole = st.builds(lambda operator, inner: f"{operator}({inner})", AGGREGATIONS, vectors)
    choosing = st.builds(
        lambda operator, labels, parameter, inner: (
            f"{operator} by ({labels}) ({parameter}, {inner})"
        ),
        one_of("topk", "bottomk", "quantile"),
        LABELS,
        one_of("1", "1", "1", f"scalar(sum(owner{{{LM}}}))"),
        vectors,
    )
    counting = st.builds(
        lambda target, labels, inner: f'count_values by ({labels}) ("{target}", {inner})',
        one_of("version", "queue", "pod"),
        LABELS,
        vectors,
    )
    return plain | plain | whole | choosing | counting


def calls(vectors: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    instant = st.builds(lambda name, inner: f"{name}({inner})", INSTANT, vectors)
    clamp = st.builds(lambda inner: f"clamp_max({inner}, 3)", vectors)
    label = one_of("queue", "pod", "namespace", "app")
    replace = st.builds(
        lambda inner, target, source: (
            f'label_replace({inner}, "{target}", "$1", "{source}", "(.*)")'
        ),
        vectors,
        label,
        label,
    )
    join = st.builds(
        lambda inner, target, source: f'label_join({inner}, "{target}", "-", "{source}", "pod")',
        vectors,
        label,
        label,
    )
    histogram = st.builds(
        lambda labels: (
            f"histogram_quantile(0.9, sum(rate(lat_bucket{{{LM}}}[5m])) by (le, {labels or 'pod'}))"
        ),
        LABELS,
    )
    return instant | clamp | replace | join | histogram


def operations(vectors: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    matching = one_of(
        *[""] * 3,
        *[f"on ({GROUP})"] * 4,
        *("on (pod)", "on (pod, namespace)", "on (namespace)", "on ()", "ignoring (queue)"),
        *("ignoring (namespace)", "ignoring (queue, container)", f"ignoring ({GROUP})"),
    )
    side = one_of(
        *("", "", "group_left ()", "group_left ()", "group_right ()", "group_left (queue)"),
        *("group_left (namespace)", "group_left (pod)"),
    )

    def joined(left: str, operator: str, match: str, group: str, right: str) -> str:
        words = [f"({left})", operator, match, group if match else "", f"({right})"]
        return " ".join(filter(None, words))

    arithmetic = st.builds(joined, vectors, ARITHMETIC | COMPARISONS, matching, side, vectors)
    sets = st.builds(joined, vectors, SETS, matching, st.just(""), vectors)
    total = st.builds(
        lambda left, operator, right: f"({left}) {operator} on () group_left () ({right})",
        vectors,
        ARITHMETIC | COMPARISONS,
        shared(),
    )
    mixed = st.builds(
        joined, vectors, ARITHMETIC | COMPARISONS | SETS, matching, side, vectors | shared()
    )
    number = st.builds(
        lambda left, operator, right: f"({left}) {operator} {right}",
        vectors,
        ARITHMETIC | COMPARISONS,
        one_of("2", "100", "scalar(total)", "(1 - 3)"),
    )
    flipped = st.builds(lambda left, right: f"({right}) - ({left})", vectors, shared())
    return arithmetic | sets | total | mixed | number | flipped


def grouped(vectors: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """What most rules are: an aggregation by GroupBy."""
    return st.builds(
        lambda operator, inner: f"{operator}({inner}) by ({GROUP})", AGGREGATIONS, vectors
    )


def vectors() -> st.SearchStrategy[str]:
    leaves = selectors()
    base = leaves | ranges(leaves) | grouped(leaves | ranges(leaves))
    return st.recursive(
        base,
        lambda inner: (
            grouped(inner)
            | aggregations(inner)
            | operations(inner)
            | operations(grouped(inner))
            | calls(inner)
            | ranges(inner)
        ),
        max_leaves=4,
    )


PLANS = st.builds(
    lambda template, resource, selects, extra: make_plan(
        template, resource=resource, selects=selects, extra=extra if resource == "pod" else ()
    ),
    vectors(),
    one_of("pod", "pod", "pod", "node", "namespace"),
    one_of("", "", "queue=x", "queue!=x", "!queue", "queue in (x,y)", "namespace=a", "node"),
    st.sampled_from([(), (), ("container",)]),
)


def groups_for(plan: QueryPlan) -> list[tuple[str, ...]]:
    if plan.resource_label == "node":
        return [recorded.NODES, ("n1",)]
    if plan.resource_label == "namespace":
        return [(*recorded.NAMESPACES, "none"), ("a.c",)]
    return [(*recorded.PODS, "absent"), ("p1",), ("p.1",)]


# --- properties ----------------------------------------------------------------------------


# A fault in the proof shows in one of some hundred rules.
@settings(
    max_examples=settings.default.max_examples * 4 if settings.default else 800,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(plan=PLANS)
def test_what_is_proved_is_equal(arena: Arena, plan: QueryPlan) -> None:
    if BulkQuery(plan).why_not() is not None:
        arena.compared["unproved"] += 1
        return
    arena.compared["proved"] += 1
    groups = groups_for(plan)
    found = arena.runner.run(find_differences(arena, plan, BulkQuery.why_not, groups))
    assert not found, f"{plan.template.text}\n" + "\n".join(found)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(plan=PLANS)
def test_what_may_be_split_is_equal(arena: Arena, plan: QueryPlan) -> None:
    """A list of names asked in parts has the answers of the whole list."""
    if queryplan.why_not_split(plan) is not None:
        return
    exact = make_evaluator(arena, 0.0, BulkQuery.why_not, [])
    names = groups_for(plan)[0]
    space = "" if plan.resource_label == "node" else "a"
    whole = arena.runner.run(read(exact, plan, space, names))
    parts = [arena.runner.run(read(exact, plan, space, part)) for part in (names[:1], names[1:])]
    if REFUSED in (whole, *parts):
        assert whole == REFUSED
        assert REFUSED in parts
        return
    for name in names:
        [alone] = [part[name] for part in parts if name in part]
        assert same(alone, whole[name]), f"{plan.template.text}: {name}"


def test_enough_was_compared(arena: Arena) -> None:
    """A grammar that yields nothing provable, or nothing but errors, would prove nothing."""
    if not arena.compared:
        pytest.skip("the property did not run before")
    assert arena.compared["rules"] >= 20
    assert arena.compared["items"] >= 500
    assert arena.compared["unproved"] >= 20


# What the proof must refuse, and why: each has another answer in bulk.
WRONG = {
    "one sum over all objects": f"gauge{{{LM}}} * 0 + on () group_left () sum(gauge{{{LM}}})",
    "grouped by the object alone": f"sum(gauge{{{LM}}}) by (pod)",
    "the largest of all objects": f"topk(1, gauge{{{LM}}})",
    "a scalar of all objects": f"sum(gauge{{{LM}}}) by ({GROUP}) / scalar(sum(other{{{LM}}}))",
    "a side without the namespace": (
        f"sum(gauge{{{LM}}}) by ({GROUP}) + sum(other{{{LM}}}) by (pod, namespace)"
    ),
    "other series grouped by GroupBy": (
        f"sum(gauge{{{LM}}}) by ({GROUP}) * on () group_left () count(count(other) by ({GROUP}))"
    ),
    "the object's label changed": (
        f'label_replace(sum(owner{{{LM},pod!="p.1"}}) by ({GROUP}), "pod", "p.1", "pod", "p2")'
    ),
    "the namespace read": (
        f"sum(other{{{LM}}}) by ({GROUP}) * on (queue, {GROUP}) "
        f'label_replace(sum(owner{{{LM}}}) by ({GROUP}), "queue", "$1", "namespace", "(a)")'
    ),
    "matched by the object alone": f"owner{{{LM}}} * on (pod) sum(gauge{{{LM}}}) by (pod)",
    "absence": f"absent(gauge{{{LM}}})",
    "the matchers left out": f"sum(gauge) by ({GROUP})",
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_proof_is_found_out(arena: Arena, case: str) -> None:
    """The comparison sees the difference that believing such a proof would make."""
    plan = make_plan(WRONG[case])
    assert BulkQuery(plan).why_not() is not None
    found = arena.runner.run(find_differences(arena, plan, lambda _plan: None, groups_for(plan)))
    assert found
