import re

import pytest

from metrics_apiserver.core import diagnostics, registry
from metrics_apiserver.core.model import (
    NAMESPACES,
    NODES,
    PODS,
    GroupResource,
    MappedResource,
    Series,
)
from metrics_apiserver.core.registry import RuleStatus, Snapshot
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules import config

JOBS = GroupResource("batch", "jobs")
CLUSTERS = GroupResource("example.com", "clusters")


def mapped(group: str, plural: str, singular: str, namespaced: bool = True) -> MappedResource:
    return MappedResource(group, "v1", plural, singular, singular.title(), namespaced)


CLUSTER = [
    mapped("", "namespaces", "namespace", False),
    mapped("", "nodes", "node", False),
    mapped("", "pods", "pod"),
    mapped("batch", "jobs", "job"),
    mapped("example.com", "clusters", "cluster", False),
]
GPU = """
rules:
- seriesQuery: '{uuid!=""}'
  resources: &no
    overrides: {node: {resource: node}, pod: {resource: pod}, namespace: {resource: namespace}}
  name: {matches: ^nvidia_gpu_(.*)$, as: "${1}_over_time"}
  metricsQuery: avg_over_time(<<.Series>>{<<.LabelMatchers>>}[3m])
- seriesQuery: '{uuid!=""}'
  resources:
    overrides: {node: {resource: node}, pod: {resource: pod}, namespace: {resource: namespace}}
  name: {matches: ^nvidia_gpu_(.*)$, as: "${1}_current"}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
""".replace(" &no", "")


def series(name: str, *labels: str) -> Series:
    return Series(name, frozenset(labels))


def build(
    text: str, found: dict[str, list[Series]], cluster: list[MappedResource] = CLUSTER
) -> Snapshot:
    rules = config.parse(text.encode(), "rules.yaml")
    snapshot = registry.build(rules, RESTMapper(cluster), found, 7)
    backwards = {query: items[::-1] for query, items in found.items()}
    again = registry.build(rules, RESTMapper(cluster), backwards, 7)
    assert again.diagnostics == snapshot.diagnostics
    assert again.statuses == snapshot.statuses
    assert _names(again) == _names(snapshot)
    return snapshot


def _names(snapshot: Snapshot) -> dict[object, str]:
    sources = [*snapshot.custom.items(), *snapshot.external.items()]
    return {key: source.series_name for key, source in sources}


def kinds(snapshot: Snapshot) -> list[tuple[str, str]]:
    return [(diagnostics.CATALOGUE[one.code].name, one.path) for one in snapshot.diagnostics]


def message(snapshot: Snapshot) -> str:
    (diagnostic,) = snapshot.diagnostics
    return diagnostic.message


def test_the_gpu_rules() -> None:
    snapshot = build(
        GPU,
        {
            '{uuid!=""}': [
                series("nvidia_gpu_power", "uuid", "node", "pod", "namespace"),
                series("nvidia_gpu_power", "uuid", "node"),
                series("nvidia_gpu_total", "uuid", "node"),
                series("other", "uuid", "pod"),
            ]
        },
    )
    assert snapshot.generation == 7
    assert len(snapshot.mapper) == 5
    assert {key: source.rule.path for key, source in snapshot.custom.items()} == {
        (NAMESPACES, "power_over_time"): "rules[0]",
        (NODES, "power_over_time"): "rules[0]",
        (PODS, "power_over_time"): "rules[0]",
        (NODES, "total_over_time"): "rules[0]",
        (NAMESPACES, "power_current"): "rules[1]",
        (NODES, "power_current"): "rules[1]",
        (PODS, "power_current"): "rules[1]",
        (NODES, "total_current"): "rules[1]",
    }
    source = snapshot.custom[PODS, "power_current"]
    assert source.series_name == "nvidia_gpu_power"
    assert source.namespaced
    assert source.converter.label_for(PODS) == "pod"
    assert not snapshot.custom[NODES, "power_current"].namespaced
    assert not snapshot.custom[NAMESPACES, "power_current"].namespaced
    assert snapshot.diagnostics == ()
    assert not snapshot.external
    assert not snapshot.external_folded
    assert snapshot.resource_rules is None
    assert snapshot.statuses == (
        RuleStatus("rules[0]", True, 4, 3, 0, 4),
        RuleStatus("rules[1]", True, 4, 3, 0, 4),
    )
    assert len({id(source.converter) for source in snapshot.custom.values()}) == 1


def custom(resources: str, more: str = "", query: str = "a") -> str:
    return (
        f"- seriesQuery: {query}\n  resources: {resources}\n"
        f"  metricsQuery: sum(<<.Series>>{{<<.LabelMatchers>>}}) by (<<.GroupBy>>)\n{more}"
    )


TEMPLATE = "{template: <<.Resource>>}"


def test_scope_follows_the_cluster() -> None:
    snapshot = build(
        "rules:\n" + custom(TEMPLATE), {"a": [series("a", "namespace", "job", "cluster")]}
    )
    assert {key[0]: source.namespaced for key, source in snapshot.custom.items()} == {
        NAMESPACES: False,
        JOBS: True,
        CLUSTERS: False,
    }


def test_a_query_that_was_not_answered_yet() -> None:
    snapshot = build("rules:\n" + custom(TEMPLATE), {})
    assert snapshot.custom == {}
    assert snapshot.diagnostics == ()
    assert snapshot.statuses == (RuleStatus("rules[0]", False, 0, 0, 0, 0),)


def test_the_later_rule_wins_and_the_earlier_is_reported() -> None:
    rules = custom(TEMPLATE) + custom(TEMPLATE, query='a{x="y"}')
    snapshot = build(
        "rules:\n" + rules,
        {"a": [series("a", "namespace", "pod", "job")], 'a{x="y"}': [series("a", "pod", "job")]},
    )
    assert snapshot.custom[PODS, "a"].rule.path == "rules[1]"
    assert snapshot.custom[NAMESPACES, "a"].rule.path == "rules[0]"
    assert kinds(snapshot) == [("shadowed", "rules[0]")]
    assert message(snapshot).startswith(
        "2 of the metrics of rules[0], such as jobs.batch/a, come from rules[1] too"
    )
    assert snapshot.diagnostics[0].line == 2
    assert [status.metrics for status in snapshot.statuses] == [1, 2]


def test_each_rule_that_loses_is_reported() -> None:
    rules = (
        custom(TEMPLATE, "  name: {as: x}\n")
        + custom(TEMPLATE, "  name: {as: y}\n")
        + custom(TEMPLATE, '  name: {as: "$0"}\n', query="'{__name__=~\"x|y\"}'")
    )
    snapshot = build(
        "rules:\n" + rules,
        {
            "a": [series("a", "pod", "namespace")],
            '{__name__=~"x|y"}': [series("x", "pod", "namespace"), series("y", "pod")],
        },
    )
    assert kinds(snapshot) == [("shadowed", "rules[0]"), ("shadowed", "rules[1]")]


def test_the_same_rule_twice_is_no_conflict() -> None:
    snapshot = build("rules:\n" + custom(TEMPLATE) * 2, {"a": [series("a", "namespace", "pod")]})
    assert snapshot.diagnostics == ()
    assert snapshot.custom[PODS, "a"].rule.path == "rules[1]"


def test_two_series_under_one_name() -> None:
    snapshot = build(
        "rules:\n" + custom(TEMPLATE, "  name: {as: one}\n"),
        {"a": [series(name, "namespace", "pod") for name in ("b", "c", "a")]},
    )
    assert snapshot.custom[PODS, "one"].series_name == "c"
    assert kinds(snapshot) == [("collision", "rules[0]")]
    assert message(snapshot).startswith("2 of its metrics, such as namespaces/one, come from")
    assert "c is used" in message(snapshot)


def test_series_without_a_resource() -> None:
    snapshot = build(
        "rules:\n" + custom(TEMPLATE),
        {"a": [series("a", "pod", "namespace"), series("z", "x"), series("b", "instance")]},
    )
    assert kinds(snapshot) == [("unassociated", "rules[0]")]
    assert message(snapshot).startswith("2 of 3 series, such as b, have no label that maps")
    assert snapshot.statuses == (RuleStatus("rules[0]", True, 3, 3, 2, 2),)


def test_names_that_cannot_be_asked_for() -> None:
    snapshot = build(
        "rules:\n" + custom(TEMPLATE, '  name: {as: "a/$0"}\n'),
        {"a": [series("a", "pod", "namespace")]},
    )
    assert snapshot.custom == {}
    assert kinds(snapshot) == [("unnameable", "rules[0]")]


def test_an_override_waits_for_its_resource() -> None:
    overrides = (
        "{overrides: {w: {group: x.io, resource: widgets}, pod: {resource: pods}, "
        "namespace: {resource: namespaces}}}"
    )
    text = "rules:\n" + custom(overrides)
    found = {"a": [series("a", "w", "namespace"), series("b", "pod", "namespace")]}
    snapshot = build(text, found)
    assert kinds(snapshot) == [("waiting", "rules[0]")]
    assert message(snapshot).startswith(
        "resources.overrides.w: the cluster has no resource widgets.x.io"
    )
    assert (PODS, "b") in snapshot.custom

    later = build(text, found, [*CLUSTER, mapped("x.io", "widgets", "widget")])
    assert later.diagnostics == ()
    assert later.custom[GroupResource("x.io", "widgets"), "a"].namespaced


def test_two_labels_for_one_resource() -> None:
    overrides = (
        "{overrides: {pod: {resource: pods}, exported_pod: {resource: pod}, "
        "namespace: {resource: namespaces}}}"
    )
    snapshot = build("rules:\n" + custom(overrides), {"a": [series("a", "pod", "namespace")]})
    assert kinds(snapshot) == [("repeated", "rules[0]")]
    assert message(snapshot) == (
        "resources.overrides.exported_pod: pods has a label already (pod), "
        "and that one is asked for"
    )


def test_a_namespaced_resource_needs_the_namespace() -> None:
    pods_only = "rules:\n" + custom("{overrides: {pod: {resource: pods}, node: {resource: node}}}")
    assert kinds(build(pods_only, {"a": [series("a", "pod")]})) == [("unmapped", "rules[0]")]
    assert kinds(build(pods_only, {"a": [series("a", "node")]})) == []


def external(more: str = "", query: str = "q", resources: str = "{namespaced: false}") -> str:
    return (
        f"- seriesQuery: {query}\n  resources: {resources}\n"
        f"  metricsQuery: sum(<<.Series>>{{<<.LabelMatchers>>}})\n{more}"
    )


def test_external_rules() -> None:
    snapshot = build(
        "externalRules:\n" + external() + external("  name: {as: total}\n", query="p"),
        {"q": [series("queueDepth", "x"), series("queueDepth")], "p": [series("p")]},
    )
    assert snapshot.custom == {}
    assert {name: source.series_name for name, source in snapshot.external.items()} == {
        "queueDepth": "queueDepth",
        "total": "p",
    }
    assert not snapshot.external["total"].namespaced
    assert snapshot.external_folded == {"queuedepth": "queueDepth", "total": "total"}
    assert snapshot.diagnostics == ()
    assert snapshot.statuses == (
        RuleStatus("externalRules[0]", True, 2, 2, 0, 1),
        RuleStatus("externalRules[1]", True, 1, 1, 0, 1),
    )


def test_an_external_name_of_two_rules() -> None:
    snapshot = build(
        "externalRules:\n" + external() + external(query="p"),
        {"q": [series("q")], "p": [series("q")]},
    )
    assert snapshot.external["q"].rule.path == "externalRules[1]"
    assert kinds(snapshot) == [("shadowed", "externalRules[0]")]
    assert "such as q, come" in message(snapshot)


def test_external_and_custom_names_are_apart() -> None:
    snapshot = build(
        "rules:\n" + custom(TEMPLATE) + "externalRules:\n" + external(query="a"),
        {"a": [series("a", "pod", "namespace")]},
    )
    assert (PODS, "a") in snapshot.custom
    assert list(snapshot.external) == ["a"]
    assert snapshot.diagnostics == ()


def test_external_names_that_differ_in_case_alone() -> None:
    text = "externalRules:\n" + external(query="'{__name__!=\"\"}'")
    query = '{__name__!=""}'
    snapshot = build(text, {query: [series("aB"), series("Ab"), series("c")]})
    assert snapshot.external_folded == {"c": "c"}
    assert kinds(snapshot) == [("ambiguous", "externalRules[0]")]
    assert "Ab, aB differ in case alone" in message(snapshot)

    snapshot = build(text, {query: [series("aB"), series("ab")]})
    assert snapshot.external_folded == {"ab": "ab"}
    assert kinds(snapshot) == [("ambiguous", "externalRules[0]")]


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ("{}", [("unmapped", "externalRules[0]")]),
        ("{overrides: {ns: {resource: namespace}}}", []),
        ("{template: <<.Resource>>}", []),
        ("{namespaced: false}", []),
    ],
)
def test_an_external_rule_and_the_namespace(
    resources: str, expected: list[tuple[str, str]]
) -> None:
    text = "externalRules:\n" + external(resources=resources)
    snapshot = build(text, {"q": [series("q")]})
    assert kinds(snapshot) == expected
    assert snapshot.external["q"].namespaced is ("false" not in resources)
    assert build(text, {"q": []}).diagnostics == ()


RESOURCES = """
resourceRules:
  cpu:
    containerQuery: sum(rate(cpu{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)
    nodeQuery: sum(rate(cpu{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)
    resources: {template: <<.Resource>>}
    containerLabel: container
  memory:
    containerQuery: sum(memory{<<.LabelMatchers>>}) by (<<.GroupBy>>)
    nodeQuery: sum(memory{<<.LabelMatchers>>}) by (<<.GroupBy>>)
    resources:
      overrides: {instance: {resource: node}, ns: {resource: namespace}, p: {resource: pod}}
    containerLabel: name
  window: 1m
"""


def test_resource_rules() -> None:
    snapshot = build(RESOURCES, {})
    compiled = snapshot.resource_rules
    assert compiled is not None
    assert compiled.window_seconds == 60
    assert compiled.cpu.rule.container_label == "container"
    assert compiled.cpu.converter.label_for(NODES) == "node"
    assert compiled.memory.converter.label_for(NODES) == "instance"
    assert snapshot.diagnostics == ()
    assert snapshot.statuses == ()


def test_resource_rules_need_nodes_pods_and_namespaces() -> None:
    text = RESOURCES.replace("instance: {resource: node}", "x: {resource: computers}")
    snapshot = build(text, {})
    assert kinds(snapshot) == [
        ("waiting", "resourceRules.memory"),
        ("unmapped", "resourceRules.memory"),
    ]
    assert re.search("label of nodes", snapshot.diagnostics[1].message)


def test_a_large_fleet_says_everything_once() -> None:
    found = [series(f"metric_{number}", "x", f"label_{number % 50}") for number in range(20_000)]
    snapshot = build("rules:\n" + custom(TEMPLATE), {"a": found})
    assert kinds(snapshot) == [("unassociated", "rules[0]")]
    assert snapshot.statuses[0].unassociated == 20_000
