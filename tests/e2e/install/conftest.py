"""The control plane that everything is installed into, with a workload whose load is a number.

It is not the one of the other tests. These run last of all, so that no other one shares the
machine with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests import builds, programs
from tests.e2e.harness import polling, ways, workload
from tests.e2e.harness.apiclient import Object
from tests.e2e.harness.installation import Installation
from tests.e2e.harness.workload import Loads
from tests.fakes import prometheus as backends
from tests.fakes.cluster_kubelet import Kubelet
from tests.fakes.exposition import ScrapeTarget, series
from tests.fakes.prometheus import Backend

FOREIGN_KINDS = {
    "cert-manager.io": ("Certificate", "Issuer"),
    "monitoring.coreos.com": ("PodMonitor", "PrometheusRule", "ServiceMonitor"),
}


def foreign(group: str, kind: str) -> Object:
    """A definition of somebody else's kind that lets every field pass."""
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    versions = [
        {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    ]
    names = {"plural": plural, "singular": kind.lower(), "kind": kind}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
    }


def is_served(site: Installation, group: str, kinds: int) -> bool:
    answer = site.cluster.get(f"/apis/{group}/v1")
    return answer.status == 200 and len(answer.body["resources"]) >= kinds


@pytest.fixture(scope="session")
def site() -> Iterator[Installation]:
    """The control plane, with the kinds that shipped objects may be of."""
    programs.require(*programs.END_TO_END, "helm")
    site = Installation(builds.ROOT / ".cache/e2e-install")
    try:
        site.start()
        for namespace in (ways.NAMESPACE, "monitoring"):
            site.namespace(namespace)
        for group, kinds in FOREIGN_KINDS.items():
            for kind in kinds:
                site.cluster.apply(foreign(group, kind))
            served = partial(is_served, site, group, len(kinds))
            polling.until(f"{group} is served", served)
        yield site
    finally:
        site.close()


@pytest.fixture(scope="session")
def loads(site: Installation) -> Iterator[Loads]:
    """The load of workloads in a namespace that is not restricted, with their pods kept ready."""
    metadata = {"name": workload.NAMESPACE}
    site.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    for one in workload.objects():
        site.cluster.apply(one)
    kubelet = Kubelet(site.cluster, workload.NAMESPACE, workload.NODE)
    kubelet.start()
    yield Loads(kubelet)
    kubelet.close()


@pytest.fixture(scope="session")
def prometheus(site: Installation, loads: Loads) -> Iterator[Backend]:
    """Scrapes the workloads, and a metric of the Services that the chart makes."""

    def exposition() -> str:
        names = (ways.RELEASE_OF_THE_PREDECESSOR, ways.NAME)
        depths = (series("depth", 7, namespace=ways.NAMESPACE, service=name) for name in names)
        return "".join([*depths, loads.render()])

    with ScrapeTarget(exposition) as target:
        processes = site.processes
        with backends.prometheus(site.directory, [target.target], processes=processes) as backend:
            yield backend
