from __future__ import annotations

from collections.abc import Mapping

import promql_parser
import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import gotemplate, promql, selector
from metrics_apiserver.core.bulk import queryplan
from metrics_apiserver.core.bulk.queryplan import BulkQuery, QueryPlan
from tests.fakes.evaluation import FIELDS

SUM = "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)"
BY_VALUE = (
    'sum(<<.Series>>{ns="<<index .LabelValuesByName "ns">>",'
    'pod=~"<<.LabelValuesByName.pod>>"}) by (<<.GroupBy>>)'
)


def ask(
    template: str = SUM,
    *,
    resource: str = "pod",
    namespace: str = "ns",
    selects: str = "",
    extra: tuple[str, ...] = (),
) -> QueryPlan:
    return QueryPlan(
        template=gotemplate.compile(template, FIELDS),
        series="m",
        resource_label=resource,
        namespace_label=namespace,
        selector=selector.parse(selects),
        extra_group_by=extra,
    )


# --- exact ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "namespace", "names", "query"),
    [
        (ask(), "a", ["x"], 'sum(m{ns="a",pod="x"}) by (pod)'),
        (ask(), "a", ["x", "y"], 'sum(m{ns="a",pod=~"x|y"}) by (pod)'),
        (ask(), "a", ["a.b", "c"], 'sum(m{ns="a",pod=~"a\\\\.b|c"}) by (pod)'),
        (ask(), "a", ["a.b"], 'sum(m{ns="a",pod="a.b"}) by (pod)'),
        (ask(), "", ["x"], 'sum(m{pod="x"}) by (pod)'),
        (
            ask(resource="node", namespace=""),
            "a",
            ["n1"],
            'sum(m{node="n1"}) by (node)',
        ),
        (
            ask(selects="q in (a,b),!c,d!=e,f"),
            "a",
            ["x"],
            'sum(m{c="",d!="e",f!="",q=~"a|b",ns="a",pod="x"}) by (pod)',
        ),
        (
            ask(extra=("container",)),
            "a",
            ["x"],
            'sum(m{ns="a",pod="x"}) by (pod,container)',
        ),
        (ask(resource=""), "a", [], 'sum(m{ns="a"}) by ()'),
        (ask(BY_VALUE), "a", ["x"], 'sum(m{ns="a",pod=~"x"}) by (pod)'),
        (ask(BY_VALUE), "a", ["x.1", "y"], 'sum(m{ns="a",pod=~"x\\\\.1|y"}) by (pod)'),
        (
            ask("m{<<.LabelMatchers>>,g='<<index .GroupBySlice 0>>'}"),
            "a",
            ["x"],
            'm{ns="a",pod="x",g=\'pod\'}',
        ),
        (
            ask('m{q="<<.LabelValuesByName.q>>",e="<<.LabelValuesByName.e>>"}', selects="q=v,e"),
            "a",
            ["x"],
            'm{q="v",e=""}',
        ),
    ],
)
def test_the_exact_query(plan: QueryPlan, namespace: str, names: list[str], query: str) -> None:
    assert queryplan.render_exact(plan, namespace, names) == query


NASTY = 'x"} or {__name__=~".+"} #\\ \n\x00\x85\u2028`$'


@pytest.mark.parametrize("template", [SUM, BY_VALUE])
@pytest.mark.parametrize("names", [[NASTY], [NASTY, "y"]])
def test_no_name_leaves_its_matcher(template: str, names: list[str]) -> None:
    tree = promql.parse(queryplan.render_exact(ask(template), NASTY, names))
    assert isinstance(tree, promql_parser.AggregateExpr)
    assert isinstance(tree.expr, promql_parser.VectorSelector)
    pair = {matcher.name: matcher.value for matcher in tree.expr.matchers.matchers}
    assert pair["ns"] == NASTY
    wanted = NASTY if len(names) == 1 else "|".join(map(promql.escape_regex, names))
    assert pair["pod"] == wanted
    assert len(pair) == 2


def test_a_list_of_names_may_be_longer_than_what_a_template_may_write() -> None:
    names = [f"pod-{number:060d}" for number in range(5000)]
    query = queryplan.render_exact(ask("m{<<.LabelMatchers>>} / n{<<.LabelMatchers>>}"), "a", names)
    assert query.count(names[-1]) == 2


def test_an_empty_query_is_an_error_of_the_template() -> None:
    with pytest.raises(errors.TemplateError, match="empty query produced"):
        queryplan.render_exact(ask("<<if .LabelMatchers>><<end>>"), "a", ["x"])
    with pytest.raises(errors.TemplateError, match="empty query produced"):
        queryplan.render_exact(ask("<<.LabelMatchers>>", resource=""), "", [])


def test_operators_that_promql_lacks() -> None:
    with pytest.raises(errors.BadRequest):
        queryplan.render_exact(ask(selects="q>1"), "a", ["x"])


def test_no_names_are_never_asked_for() -> None:
    with pytest.raises(ValueError, match="no value to match pod with"):
        queryplan.render_exact(ask(), "a", [])


# --- bulk ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "namespaces", "query"),
    [
        (ask(), ["a"], 'sum(m{ns="a",pod!=""}) by (pod,ns)'),
        (ask(), ["a", "b.c"], 'sum(m{ns=~"a|b\\\\.c",pod!=""}) by (pod,ns)'),
        (ask(), [], 'sum(m{ns!="",pod!=""}) by (pod,ns)'),
        (ask(namespace=""), ["a"], 'sum(m{pod!=""}) by (pod)'),
        (ask(selects="q=v"), ["a"], 'sum(m{q="v",ns="a",pod!=""}) by (pod,ns)'),
        (ask(extra=("container",)), ["a"], 'sum(m{ns="a",pod!=""}) by (pod,container,ns)'),
        (ask(extra=("ns",)), ["a"], 'sum(m{ns="a",pod!=""}) by (pod,ns)'),
    ],
)
def test_the_bulk_query(plan: QueryPlan, namespaces: list[str], query: str) -> None:
    assert BulkQuery(plan).render(namespaces) == query


@pytest.mark.parametrize(
    "plan",
    [
        ask(),
        ask(namespace=""),
        ask(extra=("container",)),
        ask(selects="q in (a,b),!c"),
        ask("<<.Series>>{<<.LabelMatchers>>}"),
        ask("ceil(avg_over_time(<<.Series>>{<<.LabelMatchers>>}[3m]))"),
        ask("sum(rate(<<.Series>>{<<.LabelMatchers>>}[30s])) by (<<.GroupBy>>)"),
        ask(f"{SUM} / {SUM}"),
        ask(f"{SUM} / on (<<.GroupBy>>) {SUM}"),
        ask(f"{SUM} / on () group_left () sum(total)"),
    ],
)
def test_what_is_proved(plan: QueryPlan) -> None:
    assert BulkQuery(plan).why_not() is None


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (ask(BY_VALUE), ".LabelValuesByName"),
        (ask("m{<<.LabelMatchers>>} <<.LabelValuesByName>>"), ".LabelValuesByName"),
        (ask("<<if .Series>>m{<<.LabelMatchers>>}<<end>>"), "works on its arguments"),
        (ask("m{<<.LabelMatchers>>} > <<len .LabelMatchers>>"), "works on its arguments"),
        (ask("sum(m{<<.LabelMatchers>>}) by (<<index .GroupBySlice 0>>)"), "works on its"),
        (ask(selects="ns=victim"), "matches on ns"),
        (ask(selects="pod=x,ns=y"), "matches on ns, pod"),
        (ask(namespace="", selects="pod"), "matches on pod"),
        (ask("sum(m{<<.LabelMatchers>>})"), ""),
        (ask("sum(m{<<.LabelMatchers>>}) by (pod)"), ""),
        (ask("sum(m) by (<<.GroupBy>>)"), ""),
        (ask(f"{SUM} / sum(m{{<<.LabelMatchers>>}}) by (ns, pod)"), "lacks the label ns"),
        (
            ask(f"{SUM} / on () group_left () count(count(n) by (<<.GroupBy>>))"),
            "not about the objects",
        ),
        (ask("sum(m{<<.LabelMatchers>>}"), "does not parse"),
    ],
)
def test_what_is_not_proved(plan: QueryPlan, why: str) -> None:
    reason = BulkQuery(plan).why_not()
    assert reason is not None
    assert why in reason


def test_a_selector_that_promql_cannot_express_is_proved_nothing_of() -> None:
    with pytest.raises(errors.BadRequest):
        BulkQuery(ask(selects="q>1")).why_not()


# --- parts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [ask(), ask(namespace=""), ask("<<.Series>>{<<.LabelMatchers>>}"), ask(f"{SUM} / {SUM}")],
)
def test_a_list_of_names_may_be_split(plan: QueryPlan) -> None:
    assert queryplan.why_not_split(plan) is None


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (ask(BY_VALUE), ".LabelValuesByName"),
        (ask("<<range .GroupBySlice>>m{<<$.LabelMatchers>>}<<end>>"), "works on its arguments"),
        (ask("topk(3, m{<<.LabelMatchers>>})"), ""),
        (ask("sum(m{<<.LabelMatchers>>}) by (ns)"), ""),
        (ask("sum("), "does not parse"),
    ],
)
def test_a_list_of_names_may_not_be_split(plan: QueryPlan, why: str) -> None:
    reason = queryplan.why_not_split(plan)
    assert reason is not None
    assert why in reason


# --- identity ------------------------------------------------------------------------------


def test_equal_questions_are_one_key() -> None:
    assert ask() == ask()
    assert hash(ask()) == hash(ask())
    assert (
        len({ask(), ask(), ask(selects="q"), ask(namespace=""), ask("m{<<.LabelMatchers>>}")}) == 4
    )


class Counted:
    """Counts renderings of templates and parses of queries."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.renderings = self.parses = 0
        render, parse = gotemplate.Template.render, promql.parse

        def count_rendering(template: gotemplate.Template, data: Mapping[str, object]) -> str:
            self.renderings += 1
            return render(template, data)

        def count_parse(text: str) -> object:
            self.parses += 1
            return parse(text)

        monkeypatch.setattr(gotemplate.Template, "render", count_rendering)
        monkeypatch.setattr(promql, "parse", count_parse)


def test_a_bulk_query_is_rendered_and_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ask("sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)")
    counted = Counted(monkeypatch)
    query = BulkQuery(plan)
    assert query.why_not() is None
    assert query.render(["a"]) == 'sum(m{ns="a",pod!=""}) by (pod,ns)'
    assert query.render(["a", "b"]) == 'sum(m{ns=~"a|b",pod!=""}) by (pod,ns)'
    assert (counted.renderings, counted.parses) == (1, 1)


def test_a_list_in_the_query_is_written_as_go_writes_it() -> None:
    plan = ask("m{<<.LabelMatchers>>} # <<.GroupBySlice>> [<<.GroupBy>>]")
    assert BulkQuery(plan).render(["a"]) == 'm{ns="a",pod!=""} # [pod ns] [pod,ns]'
    assert queryplan.render_exact(plan, "a", ["x"]) == 'm{ns="a",pod="x"} # [pod] [pod]'


def test_a_label_that_promql_cannot_group_by_is_not_proved() -> None:
    plan = ask(namespace="k8s-ns")
    assert BulkQuery(plan).why_not() == "PromQL cannot group by the label k8s-ns"
