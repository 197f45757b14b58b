import pytest

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.core import gotemplate
from metrics_apiserver.core.rules import querycheck
from metrics_apiserver.core.rules.parts import QUERY_FIELDS


@pytest.mark.parametrize(
    "text",
    [
        "up",
        '{uuid!=""}',
        'up{job="x",}',
        '{__name__=~"^container_.*",container!="POD",namespace!=""}',
        'job:rate5m{pod!~"x|y"}',
        '{"with.dots"}',
        " up # comment",
        r'{__name__=~"\\Qa.b\\E.*"}',
        '{__name__=~"(?i)^HTTP_"}',
    ],
)
def test_selectors(text: str) -> None:
    assert querycheck.check_selector(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is required"),
        (" \n", "is required"),
        ("up{", "is not valid PromQL"),
        ("{}", "at least one non-empty matcher"),
        ('{a=""}', "at least one non-empty matcher"),
        ('{,a="b"}', "is not valid PromQL"),
        ("rate(up[5m])", "not another expression"),
        ("up[5m]", "not another expression"),
        ("up offset 5m", "not another expression"),
        ("up @ 5", "not another expression"),
        ("(up)", "not another expression"),
        ("1", "not another expression"),
        ('{a=~"("}', "illegal regex for (: missing )"),
        ('{a=~"a(?!b)"}', "illegal regex"),
        ('{a=~"b{1,1001}"}', "the expression b{1,1001} is refused"),
        ('up{b!~"x",a!~"b{1001}"}', "the expression b{1001} is refused"),
        ("up{" + (1 << 16) * "x" + "}", "longer than 65536"),
        ("x" + "+x" * 1001, "more than 500 operators"),
        ("x" + " or x" * 1001, "more than 500 operators"),
        ("(" * 501 + "x" + ")" * 501, "more than 500 operators"),
    ],
    ids=lambda argument: argument[:30],
)
def test_no_selectors(text: str, message: str) -> None:
    found = querycheck.check_selector(text)
    assert found is not None
    assert message in found.message
    assert found.severity == "error"


def sample(matchers: str = 'pod="a"', value: str = "a") -> dict[str, object]:
    return {
        "Series": "up",
        "LabelMatchers": matchers,
        "LabelValuesByName": {"pod": value},
        "GroupBy": "pod",
        "GroupBySlice": ["pod"],
    }


def check(text: str, *samples: dict[str, object]) -> Diagnostic | None:
    template = gotemplate.compile(text, QUERY_FIELDS)
    both = samples or (sample(), sample('pod=~"a|b"', "a|b"))
    return querycheck.check_query(template, both, "promql")


@pytest.mark.parametrize(
    "text",
    [
        "<<.Series>>{<<.LabelMatchers>>}",
        "sum(rate(<<.Series>>{<<.LabelMatchers>>}[5m])) by (<<.GroupBy>>)",
        'sum(<<.Series>>{pod=~"<<index .LabelValuesByName "pod">>"})',
        "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<range .GroupBySlice>><<.>>,<<end>>)",
        r'<<.Series>>{<<.LabelMatchers>>,a=~"\\Qx\\E"}',
        '<<.Series>>{<<.LabelMatchers>>,a=~"' + "a-b|" * 500 + '"}',
    ],
    ids=lambda argument: argument[:40],
)
def test_queries(text: str) -> None:
    assert check(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sum(<<.Series>>{<<.LabelMatchers>>}", "is not valid PromQL"),
        ("<<.Series>>{<<.LabelMatchers>>} by (<<.GroupBy>>)", "rendered: up{"),
        ("<<.Series>>{<<.LabelMatchers>>", "is not valid PromQL"),
        ("<<.Series>>[5m", "is not valid PromQL"),
        ('<<.Series>>{<<.LabelMatchers>>,a=~"("}', "illegal regex"),
        ("<</* nothing */>> ", "gives an empty query"),
        ("<<index .GroupBySlice 7>>", "the template fails"),
        ("x" + "+x" * 1001, "more than 500 operators"),
    ],
    ids=lambda argument: argument[:40],
)
def test_queries_that_can_never_work(text: str, message: str) -> None:
    found = check(text)
    assert found is not None
    assert message in found.message
    assert found.severity == "error"
    assert len(found.message) < 500


def test_a_long_query_is_cut_in_the_message() -> None:
    found = check("sum(" + "a" * 300)
    assert found is not None
    assert f"(rendered: sum({'a' * 196}); for VictoriaMetrics, check with" in found.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('topk(<<index .LabelValuesByName "k">>, <<.Series>>)', "is not valid PromQL"),
        ("<<if .Series>>(<<else>>up<<end>>", "is not valid PromQL"),
        ('<<.Series>>{<<if eq .LabelMatchers "pod=\\"a\\"">>x<<end>>}', "for some requests"),
    ],
)
def test_queries_that_may_be_meant(text: str, message: str) -> None:
    found = check(text)
    assert found is not None
    assert message in found.message
    assert found.severity == "warning"


def test_matchers_that_may_be_absent_belong_first() -> None:
    found = check('sum(<<.Series>>{<<.LabelMatchers>>,a="b"})', sample(), sample(""))
    assert found is not None
    assert found.message.startswith("fails for some requests: is not valid PromQL")
    assert found.severity == "warning"
    assert check('sum(<<.Series>>{a="b",<<.LabelMatchers>>})', sample(), sample("")) is None


OTHER_DIALECT = [
    "median(<<.Series>>{<<.LabelMatchers>>})",
    "rate(<<.Series>>{<<.LabelMatchers>>})",
    "sum(<<.Series>>{<<.LabelMatchers>>}) default 0",
    "sum(rate(<<.Series>>{<<.LabelMatchers>>}[2m]) keep_metric_names) by (<<.GroupBy>>)",
    "rate(<<.Series>>{<<.LabelMatchers>>}[5m]) by (<<.GroupBy>>)",
    "sum(<<.Series>>{<<.LabelMatchers>>}",
    "x" + "+x" * 1001,
]


@pytest.mark.parametrize("dialect", ["metricsql", "backend"])
@pytest.mark.parametrize("text", OTHER_DIALECT, ids=lambda text: text[:40])
def test_what_the_parser_does_not_know_is_the_backends_to_judge(
    text: str, dialect: querycheck.Dialect
) -> None:
    found = querycheck.check_query(gotemplate.compile(text, QUERY_FIELDS), [sample()], dialect)
    assert found is not None
    assert (found.code, found.severity) == ("MA154", "warning")
    assert found.message.startswith("is not PromQL as known here; it is sent as it is")


@pytest.mark.parametrize("text", OTHER_DIALECT, ids=lambda text: text[:40])
def test_held_to_promql_it_is_a_fault_that_names_the_other_dialect(text: str) -> None:
    found = check(text)
    assert found is not None
    assert (found.code, found.severity) == ("MA111", "error")
    assert "--dialect metricsql" in found.message
