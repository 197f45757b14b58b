"""The server may read what its rules map, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import helm

OTHER_KINDS = Path(__file__).parent / "values/other-kinds.yaml"


def role(*options: str, values: dict[str, Any]) -> dict[str, set[str]]:
    """What the reader role has beyond what it has without rules: resources by API group."""

    def read(given: dict[str, Any]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for one in helm.render(given, options=options):
            if one["metadata"]["name"].endswith("-resource-reader") and "rules" in one:
                for rule in one["rules"]:
                    assert rule["verbs"] == ["get", "list", "watch"]
                    for group in rule["apiGroups"]:
                        found.setdefault(group, set()).update(rule["resources"])
        return found

    always = read({})
    more = {group: names - always.get(group, set()) for group, names in read(values).items()}
    return {group: names for group, names in more.items() if names}


def mapping(kind: str = "custom", **override: str) -> dict[str, Any]:
    rule = {"seriesQuery": "x", "metricsQuery": "x", "resources": {"overrides": {"a": override}}}
    return {"rules": {"default": False, kind: [rule]}}


def test_kinds_that_rules_map_are_readable() -> None:
    assert role(values=yaml.safe_load(OTHER_KINDS.read_text())) == {
        "": {"configmaps", "persistentvolumeclaims"},
        "apps": {"daemonsets"},
        "flagger.app": {"canaries"},
    }


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ({"resource": "pods"}, {}),
        ({"resource": "Deployment"}, {}),
        ({"resource": "ingress"}, {}),
        ({"resource": "cronjob"}, {"batch": {"cronjobs"}}),
        ({"resource": "hpa", "group": "autoscaling"}, {"autoscaling": {"hpas"}}),
        ({"resource": "rollouts", "group": "argoproj.io"}, {"argoproj.io": {"rollouts"}}),
        ({"resource": "policy", "group": "x.example"}, {"x.example": {"policies"}}),
        ({"resource": "redis", "group": "x.example"}, {"x.example": {"redis", "redises"}}),
        ({"resource": "rollout"}, {}),
        ({"resource": "deployment", "group": "apps/v1"}, {}),
        ({"resource": "secret"}, {}),
        ({"resource": "*", "group": "*"}, {}),
        ({"resource": "secrets", "group": ""}, {}),
    ],
    ids=str,
)
def test_a_mapped_kind(override: dict[str, str], read: dict[str, set[str]]) -> None:
    assert role(values=mapping(**override)) == read


def test_a_group_left_out_is_looked_for_in_the_cluster() -> None:
    has = "--api-versions=argoproj.io/v1alpha1/Rollout"
    assert role(has, values=mapping(resource="rollout")) == {"argoproj.io": {"rollouts"}}


def test_an_external_rule_reads_no_objects() -> None:
    assert role(values=mapping("external", resource="configmap")) == {}


@pytest.mark.parametrize(
    ("template", "query", "read"),
    [
        ("<<.Resource>>", 'up{configmap!=""}', {"": {"configmaps"}}),
        ("kube_<<.Resource>>_name", 'up{kube_cronjob_name=~".+"}', {"batch": {"cronjobs"}}),
        ("kube_<<.Resource>>", 'up{configmap!=""}', {}),
        ("<<.Group>>_<<.Resource>>", 'up{_configmap!=""}', {}),
        ("<<.Resource>>", 'up{job="configmap",secret!="",rollout!=""}', {}),
    ],
)
def test_a_template_maps_the_labels_that_the_query_names(
    template: str, query: str, read: dict[str, set[str]]
) -> None:
    rule = {"seriesQuery": query, "metricsQuery": "x", "resources": {"template": template}}
    assert role(values={"rules": {"custom": [rule]}}) == read


def test_the_notes_name_what_may_not_be_read(tmp_path: Path) -> None:
    values = mapping(resource="rollout")
    notes = helm.notes(tmp_path / helm.CHART.name, values)
    assert "rules map rollout, which the server may not read" in notes
    rights = {"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["list", "watch"]}
    values["rbac"] = {"extraReaderRules": [rights]}
    assert "may not read" not in helm.notes(tmp_path / "b" / helm.CHART.name, values)
