"""The kinds of a cluster that is not there."""

from __future__ import annotations

import pytest

from metrics_apiserver.core import builtin
from metrics_apiserver.core.model import GroupResource
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules.config import RuleFile
from tests.fakes import snapshots


def naming(*resources: str, section: str = "rules") -> RuleFile:
    """Rules whose overrides name these resources as `resource.group`."""
    labels = []
    for number, resource in enumerate(resources):
        named = GroupResource.parse(resource)
        labels.append(f"l{number}: {{group: '{named.group}', resource: {named.resource}}}")
    return snapshots.parse(
        f"{section}: [{{seriesQuery: up, metricsQuery: up, "
        f"resources: {{overrides: {{{', '.join(labels)}}}}}}}]"
    )


def found(mapper: RESTMapper, resource: str) -> str:
    mapped = mapper.resource_for(GroupResource.parse(resource))
    if mapped is None:
        return ""
    return f"{mapped.api_version} {mapped.kind} {mapped.plural} {mapped.namespaced}"


def test_the_usual_kinds_are_there() -> None:
    mapper = builtin.mapper(naming("pods"))
    assert found(mapper, "pods") == "/v1 Pod pods True"
    assert found(mapper, "node") == "/v1 Node nodes False"
    assert found(mapper, "namespaces") == "/v1 Namespace namespaces False"
    assert found(mapper, "deployments.apps") == "apps/v1 Deployment deployments True"
    assert found(mapper, "ingress.networking.k8s.io") == (
        "networking.k8s.io/v1 Ingress ingresses True"
    )
    assert found(mapper, "widgets.example.com") == ""
    assert mapper.resources[0].kind == "Pod"
    assert len(mapper) == len(builtin.mapper(naming("jobs.batch", "services", "pod")))


def test_they_are_in_the_order_of_kube_apiserver_and_of_version_1() -> None:
    resources = builtin.mapper(naming("pods")).resources
    assert {one.version for one in resources} == {"v1"}
    assert [str(one.group_resource) for one in resources if one.namespaced] == [
        "pods",
        "services",
        "persistentvolumeclaims",
        "replicationcontrollers",
        "deployments.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "replicasets.apps",
        "jobs.batch",
        "cronjobs.batch",
        "ingresses.networking.k8s.io",
    ]
    assert [str(one.group_resource) for one in resources if not one.namespaced] == [
        "namespaces",
        "nodes",
        "persistentvolumes",
    ]
    assert [one.singular for one in resources] == [one.kind.lower() for one in resources]


@pytest.mark.parametrize(
    ("named", "asked", "expected"),
    [
        ("widget.example.com", "widgets.example.com", "example.com/v1 Widget widgets True"),
        ("widgets.example.com", "widget.example.com", "example.com/v1 Widget widgets True"),
        ("Widget.example.com", "widgets.example.com", "example.com/v1 Widget widgets True"),
        ("policy.example.com", "policies.example.com", "example.com/v1 Policy policies True"),
        ("policies.example.com", "policy.example.com", "example.com/v1 Policy policies True"),
    ],
)
@pytest.mark.parametrize("section", ["rules", "externalRules"])
def test_what_only_the_rules_name_is_made_up(
    named: str, asked: str, expected: str, section: str
) -> None:
    mapper = builtin.mapper(naming("pods", named, section=section))
    assert found(mapper, asked) == expected
    assert found(mapper, named) == expected


def test_a_name_used_twice_is_one_kind() -> None:
    mapper = builtin.mapper(naming("widget.example.com", "widget.example.com"))
    assert len(mapper) == len(builtin.mapper(naming("pods"))) + 1


def test_resource_rules_count_too() -> None:
    rule = (
        "{{containerQuery: 'a{{<<.LabelMatchers>>}}', nodeQuery: 'a{{<<.LabelMatchers>>}}', "
        "containerLabel: c, resources: {{overrides: {{pod: {{resource: pod}}, "
        "node: {{resource: node}}, namespace: {{resource: namespace}}, "
        "x: {{group: example.com, resource: {resource}}}}}}}}}"
    )
    cpu, memory = rule.format(resource="cpukind"), rule.format(resource="memorykind")
    rules = snapshots.parse(f"resourceRules: {{cpu: {cpu}, memory: {memory}, window: 1m}}")
    mapper = builtin.mapper(rules)
    assert found(mapper, "cpukind.example.com") == "example.com/v1 Cpukind cpukinds True"
    assert found(mapper, "memorykinds.example.com") == "example.com/v1 Memorykind memorykinds True"
