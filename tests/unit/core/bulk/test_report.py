"""What `check` says of sharing: proved rules, and the reason of every other."""

from __future__ import annotations

from metrics_apiserver.core.bulk import report
from metrics_apiserver.core.rules import config

OVERRIDES = "{overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}"


def build(text: str) -> dict[str, str | None]:
    rules = config.parse(text.encode(), "rules.yaml")
    return {one.path: one.reason for one in report.build(rules)}


def rule(query: str, resources: str = OVERRIDES) -> str:
    return f"rules:\n- seriesQuery: x\n  resources: {resources}\n  metricsQuery: '{query}'\n"


def test_a_rule_that_groups_by_its_objects_is_shared() -> None:
    assert build(rule("sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)")) == {
        "rules[0]": None
    }


def test_a_rule_that_drops_its_objects_is_not_and_says_why() -> None:
    found = build(rule("sum(<<.Series>>{<<.LabelMatchers>>})"))
    assert found["rules[0]"]


def test_a_rule_without_pods_is_evaluated_for_the_kind_it_maps() -> None:
    found = build(rule("<<.Series>>{<<.LabelMatchers>>}", "{overrides: {node: {resource: node}}}"))
    assert found == {"rules[0]": None}


def test_a_rule_that_maps_nothing_is_left_out() -> None:
    assert build(rule("<<.Series>>{<<.LabelMatchers>>}", "{overrides: {}}")) == {}


def test_a_kind_whose_namespace_is_mapped_to_no_label_is_passed_over() -> None:
    only_pods = "{overrides: {pod: {resource: pod}, node: {resource: node}}}"
    assert build(rule("<<.Series>>{<<.LabelMatchers>>}", only_pods)) == {"rules[0]": None}


def test_resource_rules_are_evaluated_by_their_container_queries() -> None:
    query = "sum(x{<<.LabelMatchers>>}) by (<<.GroupBy>>)"
    halves = "".join(
        f"  {half}:\n    containerQuery: {query}\n    nodeQuery: {query}\n"
        f"    resources: {resources}\n    containerLabel: container\n"
        for half, resources in (("cpu", OVERRIDES), ("memory", "{overrides: {}}"))
    )
    assert build(f"resourceRules:\n{halves}  window: 1m\n") == {
        "resourceRules.cpu.containerQuery": None
    }
