"""What reads are told of rules that are set aside."""

from __future__ import annotations

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import custom, external, registry
from metrics_apiserver.core.custom import CustomRequest
from metrics_apiserver.core.model import GroupResource
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.rules import config
from metrics_apiserver.core.selector import Selector
from tests.fakes import snapshots

ANY = Selector(())
LABELS = "resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}"
QUERY = "metricsQuery: max(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)"


def rule(series: str, *more: str) -> str:
    return "\n  ".join((f"- seriesQuery: '{series}'", LABELS, *more)) + "\n"


def build(text: str, *series: str) -> Snapshot:
    rules = config.parse(text.encode(), "rules.yaml", quarantine=True)
    found = {name: {snapshots.series(name, "namespace", "pod")} for name in series}
    return registry.build(rules, snapshots.mapper(), found, 1)


def read(snapshot: Snapshot, metric: str, resource: str = "pods") -> str:
    """The path of the rule that gives the metric."""
    request = CustomRequest(GroupResource.parse(resource), "shop", "a", metric, ANY, ANY)
    return custom.resolve(snapshot, request).source.rule.path


def test_the_other_rules_are_served() -> None:
    snapshot = build("rules:\n" + rule("kiln", QUERY) + rule("belts"), "kiln")
    assert read(snapshot, "kiln") == "rules[0]"
    with pytest.raises(errors.Unavailable) as refused:
        read(snapshot, "belts")
    assert refused.value.message == (
        "unable to fetch metrics: rules[1] (line 5) is set aside: "
        "metricsQuery is required: without it every query would be empty"
    )
    found = [(one.code, one.path, one.line) for one in snapshot.diagnostics]
    assert ("MA209", "rules[1]", 5) in found


def test_it_is_about_the_resources_that_the_rule_maps() -> None:
    snapshot = build("rules:\n" + rule("belts"))
    with pytest.raises(errors.MetricNotFound) as refused:
        read(snapshot, "belts", "services")
    assert "rules[0] (line 2) is set aside" in refused.value.message


def test_an_earlier_rule_does_not_take_its_place_and_a_later_one_does() -> None:
    sound, broken = rule("belts", QUERY), rule("belts")
    with pytest.raises(errors.Unavailable):
        read(build("rules:\n" + sound + broken, "belts"), "belts")
    assert read(build("rules:\n" + broken + sound, "belts"), "belts") == "rules[1]"


def test_where_the_name_is_not_known_the_404_mentions_the_rule() -> None:
    snapshot = build("rules:\n" + rule('{job="x"}') + rule("kiln", QUERY), "kiln")
    with pytest.raises(errors.MetricNotFound) as refused:
        read(snapshot, "belts")
    assert "lists those there are; rules[0] (line 2) is set aside: " in refused.value.message


def test_a_rule_of_another_known_name_is_not_mentioned() -> None:
    with pytest.raises(errors.MetricNotFound) as refused:
        read(build("rules:\n" + rule("kiln")), "belts")
    assert "set aside" not in refused.value.message


def test_external_metrics_are_found_without_regard_to_case() -> None:
    text = "externalRules:\n- seriesQuery: queue\n  name: {as: Depth}\n"
    snapshot = build(text + "- seriesQuery: '{a=\"b\"}'\n")
    with pytest.raises(errors.Unavailable, match=r"externalRules\[0\] \(line 2\) is set aside"):
        external.resolve(snapshot, "depth", "shop", ANY)
    with pytest.raises(errors.MetricNotFound, match=r"externalRules\[1\] \(line 4\)"):
        external.resolve(snapshot, "other", "shop", ANY)
    with pytest.raises(errors.MetricNotFound) as refused:
        read(snapshot, "Depth")
    assert "set aside" not in refused.value.message


def test_a_sound_external_rule_after_the_broken_one_is_served() -> None:
    sound = "- seriesQuery: queue\n  metricsQuery: sum(queue)\n  resources: {namespaced: false}\n"
    snapshot = build("externalRules:\n- seriesQuery: queue\n" + sound, "queue")
    assert external.resolve(snapshot, "queue", "shop", ANY).source.rule.path == "externalRules[1]"


def test_resource_rules_are_set_aside_together() -> None:
    snapshot = build("rules:\n" + rule("kiln", QUERY) + "resourceRules: {cpu: {}}\n", "kiln")
    assert snapshot.resource_rules is None
    assert snapshot.resource_fault.startswith("resourceRules (line 5) is set aside: ")
    assert read(snapshot, "kiln") == "rules[0]"


def test_a_label_that_can_never_be_used_costs_the_label_alone() -> None:
    team = "team: {group: apps/v1, resource: deployment}"
    text = rule("crew", QUERY).replace("pod: {resource: pod}", f"pod: {{resource: pod}}, {team}")
    snapshot = build("rules:\n" + text, "crew")
    assert read(snapshot, "crew") == "rules[0]"
    with pytest.raises(errors.MetricNotFound) as refused:
        read(snapshot, "crew", "deployments.apps")
    assert "the group apps/v1 has a version in it" in refused.value.message
    assert "write `group: apps`" in refused.value.message
    assert [one.code for one in snapshot.diagnostics] == ["MA210"]


def test_a_template_that_writes_no_label_maps_nothing() -> None:
    text = "rules:\n- seriesQuery: belts\n  name: {as: belts}\n  resources: {overrides: {}}\n"
    with pytest.raises(errors.MetricNotFound):
        read(build(text), "belts")
