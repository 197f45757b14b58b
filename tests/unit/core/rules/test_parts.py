import pytest

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.core.converter import Override, ResourceMapping
from metrics_apiserver.core.model import PODS
from metrics_apiserver.core.rules import fields, parts, yamlload
from metrics_apiserver.core.rules.fields import Report, Section

KEYS = ("seriesQuery", "seriesFilters", "resources", "name", "metricsQuery")
MAPPING = ResourceMapping("", (Override("pod_name", PODS),))


def rule(text: str) -> Section:
    return fields.section(yamlload.load(text.encode(), "f").root, "rule", KEYS, Report())


def only(diagnostics: list[Diagnostic]) -> tuple[str, int, str]:
    (diagnostic,) = diagnostics
    return diagnostic.path, diagnostic.line, diagnostic.message


def test_selectors() -> None:
    given = rule("seriesQuery: up{a!=''}")
    assert parts.read_selector(given, "seriesQuery") == "up{a!=''}"
    assert given.report == Report()

    given = rule("\nseriesQuery: rate(up[1m])")
    parts.read_selector(given, "seriesQuery")
    path, line, message = only(given.report.errors)
    assert (path, line) == ("rule.seriesQuery", 2)
    assert "not another expression" in message


@pytest.mark.parametrize(
    ("text", "name", "metric"),
    [
        ("{}", "up", "up"),
        ("name: {matches: '^u(.)$'}", "up", "p"),
        ("name: {matches: '^u(.)$', as: '${1}_x'}", "up", "p_x"),
        ("name: {matches: '(u)(.)', as: $2$1}", "up", "pu"),
        ("name: {as: 7}", "up", "7"),
        ("seriesFilters: [{is: u}, {isNot: x}]", "up", "up"),
    ],
)
def test_namers(text: str, name: str, metric: str) -> None:
    given = rule(text)
    namer = parts.read_namer(given)
    assert namer is not None
    assert namer.metric_name("x") is None or "u" not in text
    assert namer.metric_name(name) == metric
    assert given.report == Report()


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (
            "name: {matches: '('}",
            "rule.name.matches",
            "is not a valid Go regular expression: missing",
        ),
        ("name: {matches: '(a)(b)'}", "rule.name.as", "the expression has 2 groups"),
        ("name: {matches: [a]}", "rule.name.matches", "must be text"),
        ("seriesFilters: [{}]", "rule.seriesFilters[0]", "must have either"),
        ("seriesFilters: [{is: a, isNot: a}]", "rule.seriesFilters[0]", "must have either"),
        (
            "seriesFilters: [{is: a}, {is: '('}]",
            "rule.seriesFilters[1].is",
            "is not a valid Go regular",
        ),
    ],
)
def test_no_namers(text: str, path: str, message: str) -> None:
    given = rule(f"\n{text}")
    assert parts.read_namer(given) is None
    found, line, said = only(given.report.errors)
    assert (found, line) == (path, 2)
    assert said.startswith(message)


def test_mappings() -> None:
    given = rule(
        "resources:\n  template: k_<<.Resource>>\n  overrides:\n    p: {resource: pods}\n"
        "    d: {group: apps, resource: deployment}\n  namespaced: false\n"
    )
    resources = parts.open_resources(given)
    mapping = parts.read_mapping(resources)
    assert mapping is not None
    assert mapping.template_text == "k_<<.Resource>>"
    assert [
        (override.label, str(override.group_resource), override.line)
        for override in mapping.overrides
    ] == [("p", "pods", 4), ("d", "deployment.apps", 5)]
    assert resources.flag("namespaced", default=True) is False
    assert given.report == Report()


def test_no_resources_are_an_empty_mapping() -> None:
    mapping = parts.read_mapping(parts.open_resources(rule("{}")))
    assert mapping is not None
    assert mapping.empty


@pytest.mark.parametrize(
    ("text", "path", "line", "message"),
    [
        ("template: x", "rule.resources.template", 2, "must include at least"),
        ("template: |\n    a\n    <<", "rule.resources.template", 4, "unclosed"),
        ("overrides: {p: {group: apps}}", "rule.resources.overrides.p", 2, "needs a label"),
        ("overrides: {'': {resource: pods}}", "rule.resources.overrides.", 2, "needs a label"),
    ],
)
def test_no_mappings(text: str, path: str, line: int, message: str) -> None:
    given = rule(f"resources:\n  {text}\n")
    assert parts.read_mapping(parts.open_resources(given)) is None
    found, where, said = only(given.report.errors)
    assert (found, where) == (path, line)
    assert message in said


def test_queries() -> None:
    given = rule("metricsQuery: <<.Series>>{<<.LabelMatchers>>}")
    samples = parts.object_samples(None)
    template = parts.read_query(given, "metricsQuery", samples)
    assert template is not None
    assert [template.render(sample) for sample in samples] == [
        'series_name{pod="a"}',
        'series_name{pod=~"a|b"}',
    ]
    assert given.report == Report()


@pytest.mark.parametrize(
    ("text", "line", "message", "compiled"),
    [
        ("{}", 1, "is required", False),
        ("metricsQuery: ' '", 1, "is required", False),
        ("metricsQuery: |\n  a\n  <<.Nothing>>", 3, "Nothing", False),
    ],
)
def test_errors_of_queries(text: str, line: int, message: str, compiled: bool) -> None:
    given = rule(text)
    template = parts.read_query(given, "metricsQuery", parts.object_samples(None))
    assert (template is not None) is compiled
    found, where, said = only(given.report.errors)
    assert (found, where) == ("rule.metricsQuery", line)
    assert message in said


def test_what_may_be_meant_is_a_warning() -> None:
    given = rule("metricsQuery: sum(<<.Series>>")
    assert parts.read_query(given, "metricsQuery", parts.object_samples(None))
    assert given.report.errors == []
    assert only(given.report.warnings)[:2] == ("rule.metricsQuery", 1)


def test_samples_of_objects() -> None:
    one, several = parts.object_samples(MAPPING, ["container"])
    assert one == {
        "Series": "series_name",
        "LabelMatchers": 'pod="a"',
        "LabelValuesByName": {"pod_name": "a", "pod": "a", "namespace": "a"},
        "GroupBy": "pod,container",
        "GroupBySlice": ["pod", "container"],
    }
    assert several["LabelMatchers"] == 'pod=~"a|b"'


@pytest.mark.parametrize(
    ("namespaced", "matchers"),
    [(True, ['queue="a",namespace="a"', 'namespace="a"']), (False, ['queue="a"', ""])],
)
def test_samples_of_external_metrics(namespaced: bool, matchers: list[str]) -> None:
    samples = parts.external_samples(MAPPING, namespaced=namespaced)
    assert [sample["LabelMatchers"] for sample in samples] == matchers
    assert [sample["GroupBy"] for sample in samples] == ["", ""]
    assert [sample["GroupBySlice"] for sample in samples] == [[], []]
