"""One object of every kind that the shipped reader role names, and a metric over each.

Only names matter, so nothing here ever runs: the Pod stays without a node, the Deployment and the
StatefulSet have no replicas, the Job is suspended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.e2e.harness.apiclient import Object
from tests.e2e.harness.workload import node
from tests.fakes.exposition import series

NAMESPACE = "kinds"
NAME = "one"
_CUSTOM = "/apis/custom.metrics.k8s.io/v1beta1"


@dataclass(frozen=True)
class Kind:
    """One kind that the reader role covers.

    Attributes:
        group: API group, empty for core.
        resource: plural, as RBAC and URLs write it.
        label: the label that names such an object.
    """

    group: str
    resource: str
    label: str

    def __str__(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def path(self) -> str:
        """Reads the metric of every object of the kind, which takes the list of their names."""
        if self.resource == "nodes":
            return f"{_CUSTOM}/nodes/*/kind_probe"
        if self.resource == "namespaces":
            return f"{_CUSTOM}/namespaces/*/metrics/kind_probe"
        return f"{_CUSTOM}/namespaces/{NAMESPACE}/{self}/*/kind_probe"


KINDS = (
    Kind("", "pods", "pod"),
    Kind("", "nodes", "node"),
    Kind("", "namespaces", "namespace"),
    Kind("", "services", "service"),
    Kind("apps", "deployments", "deployment"),
    Kind("apps", "statefulsets", "statefulset"),
    Kind("batch", "jobs", "batch_job"),
    Kind("networking.k8s.io", "ingresses", "ingress"),
)


def exposition() -> str:
    """The metric `kind_probe` for one object of each kind."""
    return "".join(_lines())


def _lines() -> Iterator[str]:
    for kind in KINDS:
        if kind.resource == "nodes":
            yield series("kind_probe", 1, node=NAME)
        elif kind.resource != "namespaces":  # every other line names the namespace too
            yield series("kind_probe", 1, **{kind.label: NAME}, namespace=NAMESPACE)


def objects() -> Iterator[Object]:
    """The objects, without their namespace."""
    containers = [{"name": "main", "image": "none"}]
    template = {"metadata": {"labels": {"app": NAME}}, "spec": {"containers": containers}}
    none = {"replicas": 0, "selector": {"matchLabels": {"app": NAME}}, "template": template}
    port = {"port": 80, "protocol": "TCP"}
    backend = {"service": {"name": NAME, "port": {"number": 80}}}
    once = {"spec": {"restartPolicy": "Never", "containers": containers}}
    yield node(NAME)
    yield _object("v1", "Pod", {"containers": containers})
    yield _object("v1", "Service", {"ports": [port]})
    yield _object("apps/v1", "Deployment", none)
    yield _object("apps/v1", "StatefulSet", {**none, "serviceName": NAME})
    yield _object("batch/v1", "Job", {"suspend": True, "template": once})
    yield _object("networking.k8s.io/v1", "Ingress", {"defaultBackend": backend})


def _object(version: str, kind: str, spec: Object) -> Object:
    metadata = {"name": NAME, "namespace": NAMESPACE}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
