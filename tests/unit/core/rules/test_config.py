import pytest

from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.core.converter import Override
from metrics_apiserver.core.model import GroupResource
from metrics_apiserver.core.rules import config
from metrics_apiserver.core.rules.config import ResourceRules, Rule, RuleFile

ALIBABA = r"""
rules:
- seriesQuery: '{uuid!=""}'
  resources:
    overrides:
      node_name: {resource: node}
      pod_name: {resource: pod}
      namespace_name: {resource: namespace}
  name:
    matches: ^nvidia_gpu_(.*)$
    as: "${1}_over_time"
  metricsQuery: ceil(avg_over_time(<<.Series>>{<<.LabelMatchers>>}[3m]))
"""
PLAIN = """
rules:
- seriesQuery: up{pod!=""}
  resources: {template: <<.Resource>>}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)
"""
EXTERNAL = """
externalRules:
- seriesQuery: queue
  resources: {namespaced: false}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>})
"""
RESOURCES = """
resourceRules:
  cpu:
    containerQuery: sum(rate(cpu{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)
    nodeQuery: sum(rate(cpu{<<.LabelMatchers>>,id="/"}[1m])) by (<<.GroupBy>>)
    resources: {overrides: {node: {resource: node}, namespace: {resource: namespace}}}
    containerLabel: container
  memory:
    containerQuery: sum(memory{<<.LabelMatchers>>}) by (<<.GroupBy>>)
    nodeQuery: sum(memory{<<.LabelMatchers>>,id="/"}) by (<<.GroupBy>>)
    resources: {template: <<.Resource>>}
    containerLabel: container_name
  window: 1m30s
"""


def parse(text: str) -> RuleFile:
    return config.parse(text.encode(), "rules.yaml")


def rule(more: str = "", text: str = PLAIN) -> Rule:
    """The only rule of a text, with further keys."""
    parsed = parse(text + more)
    (only,) = parsed.rules + parsed.external_rules
    return only


def diagnostics(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigError) as caught:
        config.parse(text.encode(), "rules.yaml", dialect="promql")
    return [
        (diagnostic.line, diagnostic.path, diagnostic.message)
        for diagnostic in caught.value.diagnostics
    ]


def warnings(text: str) -> list[tuple[int, str, str]]:
    return [
        (diagnostic.line, diagnostic.path, diagnostic.message)
        for diagnostic in parse(text).warnings
    ]


def without(text: str, *removed: str) -> str:
    """The text without the lines that hold any of these."""
    return "\n".join(line for line in text.split("\n") if not any(part in line for part in removed))


def test_a_rule() -> None:
    parsed = parse(ALIBABA)
    (only,) = parsed.rules
    assert parsed.warnings == ()
    assert parsed.external_rules == ()
    assert parsed.resource_rules is None
    assert (only.path, only.line) == ("rules[0]", 3)
    assert only.series_query == '{uuid!=""}'
    assert only.mapping.overrides == (
        Override("node_name", GroupResource("", "node")),
        Override("pod_name", GroupResource("", "pod")),
        Override("namespace_name", GroupResource("", "namespace")),
    )
    assert [override.line for override in only.mapping.overrides] == [6, 7, 8]
    assert only.mapping.template is None
    assert only.namer.metric_name("nvidia_gpu_duty_cycle") == "duty_cycle_over_time"
    assert only.template.text == "ceil(avg_over_time(<<.Series>>{<<.LabelMatchers>>}[3m]))"
    assert (
        only.template.render(
            {
                "Series": "s",
                "LabelMatchers": 'a="b"',
                "LabelValuesByName": {},
                "GroupBy": "",
                "GroupBySlice": [],
            }
        )
        == 'ceil(avg_over_time(s{a="b"}[3m]))'
    )
    assert only.namespaced
    assert (only.on_nan, only.on_duplicate) == ("zero", "max")


def test_an_external_rule() -> None:
    only = rule(text=EXTERNAL)
    assert only.path == "externalRules[0]"
    assert not only.namespaced
    assert only.mapping.empty
    assert (only.on_nan, only.on_duplicate) == ("drop", "max")


@pytest.mark.parametrize("written", ["namespaced: true", "namespaced: null", "template: null"])
def test_namespaced_is_the_default(written: str) -> None:
    assert rule(text=EXTERNAL.replace("namespaced: false", written)).namespaced


def test_own_options() -> None:
    assert rule("  onNaN: error\n  onDuplicate: sum\n").on_duplicate == "sum"
    assert rule("  onNaN: error\n").on_nan == "error"
    assert rule("  onNaN: zero\n", EXTERNAL).on_nan == "zero"


def test_resource_rules() -> None:
    parsed = parse(RESOURCES)
    assert parsed.warnings == ()
    rules = parsed.resource_rules
    assert isinstance(rules, ResourceRules)
    assert rules.window_seconds == 90
    assert (rules.cpu.path, rules.cpu.line) == ("resourceRules.cpu", 4)
    assert rules.cpu.container_label == "container"
    assert rules.memory.path == "resourceRules.memory"
    assert rules.memory.container_label == "container_name"
    assert "GroupBy" in rules.memory.node_template.fields_used


@pytest.mark.parametrize(
    ("written", "seconds"), [("5m", 300), ("0", 0), ("null", 0), ("1h30m", 5400), ('"30s"', 30)]
)
def test_window(written: str, seconds: float) -> None:
    parsed = parse(RESOURCES.replace("1m30s", written))
    assert parsed.resource_rules is not None
    assert parsed.resource_rules.window_seconds == seconds
    absent = parse(without(RESOURCES, "window")).resource_rules
    assert absent is not None
    assert absent.window_seconds == 0


@pytest.mark.parametrize(
    "text", ["", "rules:", "rules: []\n", "{}", "rules: null\nexternalRules:\nresourceRules: ~\n"]
)
def test_a_file_without_rules(text: str) -> None:
    parsed = parse(text)
    assert parsed.rules == parsed.external_rules == ()
    assert parsed.resource_rules is None


def test_a_file_without_any_key_is_odd() -> None:
    assert warnings("") == [(0, "", "has no rules: no metric will be served")]


def test_null_and_numbers_in_the_place_of_text() -> None:
    only = rule("  name: {matches: null, as: 1}\n  seriesFilters: null\n")
    assert only.namer.metric_name("anything") == "1"


def test_filters() -> None:
    only = rule("  seriesFilters: [{is: ^a}, {isNot: b$, is: null}]\n")
    assert [only.namer.metric_name(name) for name in ("a", "ab", "c")] == ["a", None, None]


def test_fingerprints_identify_rules_that_say_the_same() -> None:
    twice = parse(PLAIN + PLAIN.replace("\nrules:\n", ""))
    first, second = twice.rules
    assert first.fingerprint == second.fingerprint
    assert first != second
    assert rule("  name: {as: x}\n").fingerprint != first.fingerprint
    assert rule("  name: {as: null}\n").fingerprint != rule("  name: {as: ''}\n").fingerprint
    assert rule("  seriesFilters: [is: a]\n").fingerprint != first.fingerprint


# --- faults ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "line", "path", "message"),
    [
        (
            "  name: {matches: '('}",
            6,
            "rules[0].name.matches",
            "is not a valid Go regular expression",
        ),
        ("  name: {matches: '(?!x)'}", 6, "rules[0].name.matches", "invalid perl operator"),
        ("  name: {matches: '(a)(b)'}", 6, "rules[0].name.as", "2 groups"),
        ("  name: [a]", 6, "rules[0].name", "must be a mapping"),
        ("  name: {match: a}", 6, "rules[0].name", "unknown key match: did you mean matches?"),
        ("  name:\n    as: [a]", 7, "rules[0].name.as", "must be text"),
        ("  seriesFilters: a", 6, "rules[0].seriesFilters", "must be a list"),
        ("  seriesFilters: [a]", 6, "rules[0].seriesFilters[0]", "must be a mapping"),
        ("  seriesFilters: [{}]", 6, "rules[0].seriesFilters[0]", "either `is` or `isNot`"),
        ("  seriesFilters: [null]", 6, "rules[0].seriesFilters[0]", "either `is` or `isNot`"),
        (
            "  seriesFilters:\n  - {is: a}\n  - {is: a, isNot: b}",
            8,
            "rules[0].seriesFilters[1]",
            "and not both",
        ),
        ("  seriesFilters: [{is: '['}]", 6, "rules[0].seriesFilters[0].is", "missing ]"),
        ("  onNaN: Zero", 6, "rules[0].onNaN", "must be one of zero, drop, error"),
        ("  onDuplicate: last", 6, "rules[0].onDuplicate", "max, min, avg, sum, error"),
        ("  metricQuery: a", 6, "rules[0]", "unknown key metricQuery: did you mean metricsQuery?"),
        ("  seriesquery: a", 6, "rules[0]", "did you mean seriesQuery?"),
        ("  seriesQuery: a", 6, "", "the key seriesQuery is there already, in line 3"),
        ("- {}", 6, "rules[1].seriesQuery", "is required"),
        ("- null", 6, "rules[1].metricsQuery", "is required"),
        ("- text", 6, "rules[1]", "must be a mapping"),
        ("rule: []", 6, "", "unknown key rule: did you mean rules?"),
        ("resourceRules: []", 6, "resourceRules", "must be a mapping"),
    ],
)
def test_an_error_has_its_place(more: str, line: int, path: str, message: str) -> None:
    found = diagnostics(PLAIN + more + "\n")
    assert [entry for entry in found if entry[:2] == (line, path) and message in entry[2]], found


@pytest.mark.parametrize(
    ("written", "path", "message"),
    [
        ("template: pod", "template", "must include at least"),
        ("template: <<.Resource", "template", ""),
        ("template: <<.Name>>", "template", "Name"),
        ("template: [a]", "template", "must be text"),
        ("overrides: [a]", "overrides", "must be a mapping"),
        ("overrides: {pod: pods}", "overrides.pod", "must be a mapping"),
        ("overrides: {pod: null}", "overrides.pod", "needs a label and a resource"),
        ("overrides: {pod: {group: apps}}", "overrides.pod", "needs a label and a resource"),
        ("overrides: {'': {resource: pods}}", "overrides.", "needs a label and a resource"),
        ("overrides: {pod: {resources: pods}}", "overrides.pod", "did you mean resource?"),
        ("overrides: {pod: {resource: [a]}}", "overrides.pod.resource", "must be text"),
        ("namespaced: maybe", "namespaced", "must be true or false"),
        ("overides: {}", "", "did you mean overrides?"),
    ],
)
def test_errors_of_resources(written: str, path: str, message: str) -> None:
    found = diagnostics(PLAIN.replace("template: <<.Resource>>", written))
    whole = ".".join(["rules[0].resources", *([path] if path else [])])
    assert [entry for entry in found if entry[:2] == (4, whole) and message in entry[2]], found


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "is required"),
        ("''", "is required"),
        ("[a]", "must be text"),
        ("sum(<<.Series>>", "is not valid PromQL"),
        ("<<.Serie>>", "Serie"),
        ("<<if>>", ""),
        ("x" * 70_000, ""),
    ],
    ids=lambda argument: argument[:20],
)
def test_errors_of_queries(query: str, message: str) -> None:
    found = diagnostics(without(PLAIN, "metricsQuery") + f"  metricsQuery: {query}\n")
    assert [
        entry
        for entry in found
        if entry[1] == "rules[0].metricsQuery" and entry[0] in (3, 5) and message in entry[2]
    ], found


def test_a_template_s_error_has_the_line_inside_a_block() -> None:
    query = "  metricsQuery: |\n    sum(\n      <<.Series>>{<<.LabelMatcher>>}\n    )\n"
    ((line, path, _),) = diagnostics(without(PLAIN, "metricsQuery") + query)
    assert (line, path) == (7, "rules[0].metricsQuery")


def test_errors_of_a_series_query() -> None:
    assert diagnostics(PLAIN.replace('up{pod!=""}', "rate(up[5m])"))[0][:2] == (
        3,
        "rules[0].seriesQuery",
    )


def test_all_errors_are_reported_at_once_and_by_line() -> None:
    text = """
rules:
- seriesQuery: 'up{'
  metricsQuery: sum(
  name: {matches: (}
externalRules:
- seriesQuery: up
  metricsQuery: up
  onDuplicate: max
  typo: 1
resourceRules:
  window: soon
"""
    assert [(line, path) for line, path, _ in diagnostics(text)] == [
        (3, "rules[0].seriesQuery"),
        (4, "rules[0].metricsQuery"),
        (5, "rules[0].name.matches"),
        (9, "externalRules[0].onDuplicate"),
        (10, "externalRules[0]"),
        (12, "resourceRules.cpu"),
        (12, "resourceRules.memory"),
        (12, "resourceRules.window"),
    ]


@pytest.mark.parametrize(
    ("removed", "path"),
    [
        ("containerQuery: sum(rate(cpu", "resourceRules.cpu.containerQuery"),
        ("nodeQuery: sum(memory", "resourceRules.memory.nodeQuery"),
        ("containerLabel: container_name", "resourceRules.memory.containerLabel"),
    ],
)
def test_resource_rules_are_whole(removed: str, path: str) -> None:
    ((_, found, message),) = diagnostics(without(RESOURCES, removed))
    assert found == path
    assert message.startswith("is required")


def test_resource_rules_need_both_halves() -> None:
    half = RESOURCES[: RESOURCES.index("  memory:")]
    assert diagnostics(half) == [
        (
            3,
            "resourceRules.memory",
            "is required: metrics.k8s.io answers cpu and memory together",
        )
    ]


def test_errors_inside_resource_rules() -> None:
    text = RESOURCES.replace("template: <<.Resource>>", "template: x").replace("1m30s", "1.5m")
    assert [(line, path) for line, path, _ in diagnostics(text)] == [
        (11, "resourceRules.memory.resources.template"),
        (13, "resourceRules.window"),
    ]


def test_too_many_rules_are_refused() -> None:
    text = "rules:\n" + "- {}\n" * 2001
    assert diagnostics(text) == [(1, "rules", "has 2001 rules, and 2000 are allowed")]


def test_too_many_errors_are_counted() -> None:
    found = diagnostics("rules:\n" + "- {}\n" * 1000)
    assert len(found) == 101
    assert found[-1] == (0, "", "and 1900 more")


def test_what_is_not_yaml_is_one_error() -> None:
    ((line, _, message),) = diagnostics("rules: [\n")
    assert line == 2
    assert message.startswith("is not YAML")


# --- warnings --------------------------------------------------------------------------------


def test_a_custom_rule_without_resources_gives_nothing() -> None:
    ((line, path, message),) = warnings(without(PLAIN, "resources"))
    assert (line, path) == (3, "rules[0].resources")
    assert "maps no label to a resource" in message


@pytest.mark.parametrize(
    ("resources", "warned"),
    [
        ("{}", True),
        ("{overrides: {pod: {resource: pods}}}", True),
        ("{overrides: {ns: {group: x.io, resource: namespaces}}}", True),
        ("{overrides: {ns: {resource: namespace}}}", False),
        ("{overrides: {ns: {resource: Namespaces}}}", False),
        ("{template: <<.Resource>>}", False),
        ("{namespaced: false}", False),
    ],
)
def test_an_external_rule_needs_the_namespace_or_none(resources: str, warned: bool) -> None:
    found = warnings(EXTERNAL.replace("{namespaced: false}", resources))
    assert [path for _, path, _ in found] == ["externalRules[0].resources"] * warned
    assert all("resources.namespaced: false" in message for _, _, message in found)


def test_a_query_that_ignores_the_request() -> None:
    query = "sum(<<.Series>>{<<.LabelMatchers>>})"
    ((line, path, message),) = warnings(PLAIN.replace(query, "sum(<<.Series>>)"))
    assert (line, path) == (5, "rules[0].metricsQuery")
    assert "every request gets the same answer" in message
    assert "series that name another namespace are left out" in message

    whole = EXTERNAL.replace(query, "sum(a) / sum(b)")
    assert warnings(whole) == []
    mapped = whole.replace("namespaced: false", "overrides: {ns: {resource: namespaces}}")
    assert [path for _, path, _ in warnings(mapped)] == ["externalRules[0].metricsQuery"]


def test_a_query_for_another_backend() -> None:
    query = "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)"
    ((line, path, message),) = warnings(PLAIN.replace(query, f"median({query})"))
    assert (line, path) == (5, "rules[0].metricsQuery")
    assert "median" in message


def test_resource_rules_without_resources_fail_each_query() -> None:
    text = RESOURCES.replace("{template: <<.Resource>>}", "{}")
    ((_, path, message),) = warnings(text)
    assert path == "resourceRules.memory.resources"
    assert "every query fails" in message


def test_matchers_that_an_external_request_may_lack() -> None:
    query = '<<.LabelMatchers>>,queue="a"'
    ((_, path, message),) = warnings(EXTERNAL.replace("<<.LabelMatchers>>", query))
    assert path == "externalRules[0].metricsQuery"
    assert message.startswith("fails for some requests")

    mapped = EXTERNAL.replace("namespaced: false", "overrides: {ns: {resource: namespace}}")
    assert warnings(mapped.replace("<<.LabelMatchers>>", query)) == []


def quarantined(text: str) -> list[tuple[str, str, str]]:
    """Path, code of the fault and metric of the rules that are set aside."""
    parsed = config.parse(text.encode(), "rules.yaml", quarantine=True)
    return [(one.path, one.fault.code, one.metric) for one in parsed.quarantined]


BROKEN = """
- seriesQuery: %s
  resources: {template: <<.Resource>>}
  metricsQuery: %s
"""


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (BROKEN % ("doors", "''"), ("MA106", "doors")),
        (BROKEN % ("doors[5m]", "<<.Series>>"), ("MA110", "doors")),
        (BROKEN % ("'doors{pod='", "<<.Series>>"), ("MA110", "doors")),
        (BROKEN % ("sum(doors)", "<<.Series>>"), ("MA110", "")),
        (BROKEN % ('\'{__name__="doors",a="b"}\'', "''"), ("MA106", "doors")),
        (BROKEN % ("'{__name__=~\"doors\"}'", "''"), ("MA106", "")),
        (BROKEN % ("doors", "<<.Serie>>"), ("MA111", "doors")),
        (BROKEN % ("doors", "<<define `a`>><<end>>"), ("MA111", "doors")),
        (BROKEN % ("doors", "<<index .GroupBySlice 7>>"), ("MA111", "doors")),
        (BROKEN % ("doors", "<<.Series>>") + "  onNaN: zeros\n", ("MA105", "doors")),
        (BROKEN % ("doors", "") + "  name: {matches: ^do(.*)$}\n", ("MA106", "ors")),
        (BROKEN % ("'{a=\"b\"}'", "") + "  name: {as: fixed}\n", ("MA106", "fixed")),
    ],
)
def test_a_fault_of_one_rule_sets_it_aside(more: str, found: tuple[str, str]) -> None:
    assert quarantined(PLAIN + more) == [("rules[1]", *found)]
    with pytest.raises(ConfigError):
        parse(PLAIN + more)


@pytest.mark.parametrize(
    "more",
    [
        "- other: 1\n",
        "- seriesQuery: a\n  seriesQuery: b\n",
        "- seriesQuery: [a]\n",
        BROKEN % ("doors", "<<if>>"),
        BROKEN % ("doors", "<<nothing .Series>>"),
        BROKEN % ("doors", "<<.Series"),
        BROKEN % ("doors", "<<.Series>>") + "  name: {matches: (}\n",
        BROKEN % ("doors", "<<.Series>>") + "  name: {matches: (a)(b)}\n",
        BROKEN % ("doors", "<<.Series>>") + "  seriesFilters: [{}]\n",
        BROKEN.replace("<<.Resource>>", "<<.Group>>") % ("doors", "<<.Series>>"),
    ],
)
def test_what_the_predecessor_refuses_as_a_whole_is_refused(more: str) -> None:
    with pytest.raises(ConfigError) as refused:
        quarantined(PLAIN + "- seriesQuery: up\n" + more)
    # All that is wrong is told at once.
    assert "rules[1].metricsQuery: is required" in str(refused.value)


def test_more_faulty_rules_than_are_listed_are_set_aside_each() -> None:
    found = quarantined(PLAIN + "- seriesQuery: a\n" * 150)
    assert len(found) == 150
    assert found[99][1] == "MA106"
    assert found[149] == ("rules[150]", "MA109", "a")


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("{group: apps/v1, resource: deployment}", "write `group: apps`"),
        ("{group: /v1, resource: pod}", "leave `group` out"),
        ("{group: v1, resource: pod}", "is a version and not a group: leave `group` out"),
        ("{group: v2beta1, resource: hpa}", "is a version and not a group"),
        ("{group: core, resource: Pods}", "the core group has no name"),
        ("{resource: deployments.apps}", "the group has a key of its own"),
        ("{resource: pods/log}", "cannot be the name of a resource"),
        ("{resource: a b}", "cannot be the name of a resource"),
    ],
)
def test_overrides_that_no_cluster_can_resolve(override: str, why: str) -> None:
    text = PLAIN.replace("{template: <<.Resource>>}", f"{{overrides: {{a: {override}}}}}")
    ((line, path, message),) = diagnostics(text)
    assert (line, path) == (4, "rules[0].resources.overrides.a")
    assert why in message
    # A server starts: the other labels of the rule work.
    parsed = config.parse(text.encode(), "rules.yaml", quarantine=True)
    assert [one.code for one in parsed.warnings] == ["MA119"]
    assert len(parsed.rules) == 1


def test_groups_that_may_be_somebodys() -> None:
    for override in ("{group: core, resource: strimzipodset}", "{group: apps, resource: x}"):
        rule(text=PLAIN.replace("{template: <<.Resource>>}", f"{{overrides: {{a: {override}}}}}"))
