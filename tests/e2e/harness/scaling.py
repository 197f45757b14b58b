"""What the HPA has made of the workloads, and waiting until it is what the load gives."""

from __future__ import annotations

from collections.abc import Mapping

from tests.e2e.harness import polling, workload
from tests.e2e.harness.apiclient import Cluster, Object


def replicas(cluster: Cluster, name: str) -> int:
    """`spec.replicas` of a Deployment of the workload."""
    path = f"/apis/apps/v1/namespaces/{workload.NAMESPACE}/deployments/{name}"
    return int(cluster.read(path)["spec"]["replicas"])


def hpa_status(cluster: Cluster, name: str) -> Object:
    path = f"/apis/autoscaling/v2/namespaces/{workload.NAMESPACE}/horizontalpodautoscalers/{name}"
    status: Object = cluster.read(path).get("status", {})
    return status


def exactly(count: int) -> range:
    return range(count, count + 1)


def expect(cluster: Cluster, wanted: Mapping[str, range]) -> None:
    """Waits until each Deployment has a number of replicas that is wanted of it."""

    def reached() -> dict[str, int] | None:
        found = {name: replicas(cluster, name) for name in wanted}
        return found if all(found[name] in wanted[name] for name in wanted) else None

    def seen() -> dict[str, object]:
        return {name: (replicas(cluster, name), hpa_status(cluster, name)) for name in wanted}

    polling.until(f"replicas {dict(wanted)}", reached, timeout=75.0, interval=0.3, seen=seen)
