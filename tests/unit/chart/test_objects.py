"""What the rendered objects allow: rights, Pod Security, network, spread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests import helm
from tests.builds import ROOT
from tests.helm import NAMESPACE, Object

EVERYTHING = ROOT / "tests/unit/chart/values/everything.yaml"
SERVER = {
    "kind": "ServiceAccount",
    "name": "release-metrics-apiserver",
    "namespace": NAMESPACE,
}
HPA = {"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler", "namespace": "kube-system"}


def named(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def rights(role: Object) -> set[tuple[str, str, str]]:
    """A role taken apart: API group, resource, verb."""
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_reader_role_is_that_of_the_manifests() -> None:
    """Whose every right is proved to be needed, and to suffice, by the end-to-end tests."""
    shipped = yaml.safe_load_all((ROOT / "manifests/base/resource-reader.yaml").read_text())
    role = named(helm.render(), "ClusterRole", "metrics-apiserver-resource-reader")
    assert rights(role) == rights(next(shipped))


def test_extra_rules_are_added_to_the_reader_role() -> None:
    objects = helm.render(files=[EVERYTHING])
    role = named(objects, "ClusterRole", "metrics-apiserver-resource-reader")
    assert ("argoproj.io", "rollouts", "watch") in rights(role)


@pytest.mark.parametrize("pick", ["customMetrics", "externalMetrics"])
def test_what_the_hpa_may_read(pick: str) -> None:
    values = {
        "rules": {"external": [{"seriesQuery": "x"}]},
        "rbac": {pick: {"resources": ["one", "two"]}},
    }
    objects = helm.render(values)
    binding, role, group = {
        "customMetrics": ("hpa-controller", "server-resources", "custom"),
        "externalMetrics": ("hpa-controller-external-metrics", "external-metrics", "external"),
    }[pick]
    bound = named(objects, "ClusterRoleBinding", f"metrics-apiserver-{binding}")
    assert bound["subjects"] == [HPA]
    assert bound["roleRef"]["name"] == f"metrics-apiserver-{role}"
    assert rights(named(objects, "ClusterRole", f"metrics-apiserver-{role}")) == {
        (f"{group}.metrics.k8s.io", resource, verb)
        for resource in ("one", "two")
        for verb in ("get", "list")
    }


def test_every_binding_has_its_role_and_the_server_no_other() -> None:
    objects = helm.render(files=[EVERYTHING])
    made = {
        (one["kind"], one["metadata"]["name"])
        for one in objects
        if one["kind"] in ("ClusterRole", "Role")
    }
    built_in = {
        ("ClusterRole", "system:auth-delegator"),
        ("Role", "extension-apiserver-authentication-reader"),
    }
    used = set()
    for found in objects:
        if found["kind"] in ("ClusterRoleBinding", "RoleBinding"):
            used.add((found["roleRef"]["kind"], found["roleRef"]["name"]))
    aggregated = {("ClusterRole", "metrics-apiserver-aggregated-metrics-reader")}
    assert used | aggregated == made | built_in


def test_no_role_is_wider_than_it_must_be() -> None:
    """No `*` verb; writes and Secrets only by name, where the server keeps its certificate."""
    for found in helm.render(files=[EVERYTHING]):
        for rule in found.get("rules", []) if "Role" in found["kind"] else []:
            assert "*" not in rule["verbs"]
            if set(rule["verbs"]) - {"get", "list", "watch"} or "secrets" in rule.get(
                "resources", []
            ):
                assert rule["resourceNames"], rule


def test_without_rbac_there_is_none() -> None:
    kinds = {one["kind"] for one in helm.render({"rbac": {"create": False}})}
    assert not {kind for kind in kinds if "Role" in kind}


def pods(values: dict[str, Any]) -> Object:
    (deployment,) = [one for one in helm.render(values) if one["kind"] == "Deployment"]
    template: Object = deployment["spec"]["template"]["spec"]
    return template


def test_the_pod_is_restricted() -> None:
    """What the Pod Security Standard `restricted` asks for, and a read-only root beside it."""
    spec = pods({})
    assert "hostNetwork" not in spec
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert [volume["name"] for volume in spec["volumes"]] == ["config", "tmp"]


def test_high_availability() -> None:
    objects = helm.render({"highAvailability": {"enabled": True}})
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    assert deployment["spec"]["replicas"] == 2
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in spread] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for one in spread:
        assert one["labelSelector"]["matchLabels"].items() <= labels.items()
    assert [one["spec"]["maxUnavailable"] for one in objects if "Budget" in one["kind"]] == [1]


def ports(rules: list[Object]) -> Iterator[tuple[Any, str]]:
    for rule in rules:
        assert rule["ports"], "a rule without ports lets everything through"
        yield from ((port["port"], port["protocol"]) for port in rule["ports"])


@pytest.mark.parametrize(
    ("prometheus", "port"),
    [
        ({"url": "http://p.svc", "port": 9090}, 9090),
        ({"url": "http://p.svc", "port": 0}, 80),
        ({"url": "https://p.example/prefix"}, 443),
        ({"url": "http://p.svc:9091/prefix"}, 9091),
    ],
    ids=str,
)
def test_the_network_policy_lets_through_what_the_server_needs(
    prometheus: dict[str, Any], port: int
) -> None:
    objects = helm.render({"networkPolicy": {"enabled": True}, "prometheus": prometheus})
    (policy,) = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert list(ports(policy["ingress"])) == [("https", "TCP")]
    assert set(ports(policy["egress"])) == {
        (53, "UDP"),
        (53, "TCP"),
        (443, "TCP"),
        (6443, "TCP"),
        (port, "TCP"),
    }
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize(("cluster", "version"), [("1.36.0", "v1"), ("1.28.0", "v1beta3")])
def test_the_flow_schema_is_of_a_version_that_the_cluster_has(cluster: str, version: str) -> None:
    objects = helm.render({"priorityAndFairness": {"enabled": True}}, kube_version=cluster)
    (flow,) = [one for one in objects if one["kind"] == "FlowSchema"]
    assert flow["apiVersion"] == f"flowcontrol.apiserver.k8s.io/{version}"
    (subject,) = flow["spec"]["rules"][0]["subjects"]
    assert subject["serviceAccount"] == {key: SERVER[key] for key in ("name", "namespace")}
