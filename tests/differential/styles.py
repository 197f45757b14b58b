"""Which labels of a series name the objects, and how rules map those labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Style:
    """Labels of a family's series.

    Attributes:
        namespace: the label with the namespace; empty where there is none.
        objects: resource to the label with the object's name.
        mappings: what `resources` of a rule may be; one is drawn.
        fixed: labels that every series has beside.
    """

    namespace: str
    objects: Mapping[str, str]
    mappings: tuple[Mapping[str, Any], ...]
    fixed: Mapping[str, str] = field(default_factory=dict)


def _overrides(**labels: str) -> Mapping[str, Any]:
    """`overrides`, with resources written as in rule files: `group/resource` or `resource`."""
    mapped: dict[str, dict[str, str]] = {}
    for label, resource in labels.items():
        group, _, name = resource.rpartition("/")
        mapped[label] = {"group": group, "resource": name} if group else {"resource": name}
    return {"overrides": mapped}


_TEMPLATE = {"template": "<<.Resource>>"}
STYLES: Mapping[str, Style] = {
    "plain": Style(
        "namespace",
        {"pods": "pod"},
        (_TEMPLATE, _overrides(namespace="namespace", pod="pod"), _overrides(pod="pods")),
    ),
    "exported": Style(
        "exported_namespace",
        {"pods": "exported_pod"},
        (_overrides(exported_namespace="namespace", exported_pod="pod"),),
        {"namespace": "gpu-operator", "pod": "exporter-x7k2p"},
    ),
    "prefixed": Style(
        "kube_namespace", {"pods": "kube_pod"}, ({"template": "kube_<<.Resource>>"},)
    ),
    "kubernetes": Style(
        "kubernetes_namespace",
        {"pods": "kubernetes_pod_name"},
        (_overrides(kubernetes_namespace="namespace", kubernetes_pod_name="pod"),),
    ),
    "service": Style(
        "namespace",
        {"services": "service"},
        (_TEMPLATE, _overrides(namespace="namespace", service="service")),
    ),
    "deployment": Style(
        "namespace",
        {"deployments": "deployment"},
        (_overrides(namespace="namespace", deployment="apps/deployment"),),
    ),
    "ingress": Style(
        "exported_namespace",
        {"ingresses": "ingress"},
        (_overrides(exported_namespace="namespace", ingress="networking.k8s.io/ingress"),),
    ),
    "mesh": Style(
        "destination_workload_namespace",
        {"deployments": "destination_workload", "services": "destination_service_name"},
        (
            _overrides(
                destination_workload_namespace="namespace",
                destination_workload="apps/deployments",
                destination_service_name="services",
            ),
        ),
        {"reporter": "destination"},
    ),
    "node": Style("", {"nodes": "node"}, (_TEMPLATE, _overrides(node="node"))),
    "namespace": Style("namespace", {}, (_TEMPLATE, _overrides(namespace="namespaces"))),
}
