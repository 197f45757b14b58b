"""What people type: kubectl get --raw, top, api-resources, and the discovery behind them."""

from __future__ import annotations

import json
from functools import partial

import pytest

from tests.e2e.harness import polling, workload
from tests.e2e.harness.environment import Environment

PODS = f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/{workload.NAMESPACE}/pods/*"


@pytest.fixture(scope="module", autouse=True)
def values(served: Environment) -> None:
    """Waits until every kind of metric has a value."""
    for path in (
        f"{PODS}/duty_cycle_current",
        f"/apis/metrics.k8s.io/v1beta1/namespaces/{workload.NAMESPACE}/pods",
        f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{workload.NAMESPACE}/ext_queue",
    ):
        polling.until(path, partial(listed, served, path))


def listed(environment: Environment, path: str) -> list[object]:
    return environment.cluster.get(path).items


def test_get_raw_of_the_gpu_documents(environment: Environment) -> None:
    answer = json.loads(environment.kubectl("get", "--raw", f"{PODS}/duty_cycle_current"))
    assert answer["kind"] == "MetricValueList"
    assert {item["describedObject"]["name"][:4] for item in answer["items"]} == {"gpu-"}


def test_get_raw_of_an_external_metric(environment: Environment) -> None:
    path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{workload.NAMESPACE}/ext_queue"
    answer = json.loads(environment.kubectl("get", "--raw", f"{path}?labelSelector=queue%3Dorders"))
    (item,) = answer["items"]
    assert item["metricName"] == "ext_queue"


def test_get_raw_of_an_unknown_metric_says_what_is_missing(environment: Environment) -> None:
    done = environment.run_kubectl("get", "--raw", f"{PODS}/nothing_of_the_kind")
    assert done.returncode == 1
    assert "could not find the metric nothing_of_the_kind for pods" in done.stderr


def test_top_pods(environment: Environment) -> None:
    header, *rows = environment.kubectl("top", "pods", "-n", workload.NAMESPACE).splitlines()
    assert header.split() == ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert {tuple(row.split()[2:]) for row in rows} == {("128Mi",)}


def test_top_nodes(environment: Environment) -> None:
    header, *rows = environment.kubectl("top", "nodes").splitlines()
    memory = header.split().index("MEMORY(bytes)")
    values = {row.split()[0]: row.split()[memory] for row in rows}
    assert values[workload.NODE] == "2048Mi"


def test_api_resources_shows_nodes_and_pods_and_no_fault(environment: Environment) -> None:
    done = environment.run_kubectl("api-resources", "--api-group=metrics.k8s.io", "--no-headers")
    assert done.returncode == 0
    assert done.stderr == ""
    assert {row.split()[0] for row in done.stdout.splitlines()} == {"nodes", "pods"}


def test_every_group_version_is_current(environment: Environment) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

    def freshness() -> dict[str, str]:
        answer = environment.cluster.get("/apis", headers=[("Accept", accept)])
        return {
            f"{group['metadata']['name']}/{version['version']}": version["freshness"]
            for group in answer.body["items"]
            for version in group["versions"]
            if group["metadata"]["name"].endswith("metrics.k8s.io")
        }

    current = {
        "custom.metrics.k8s.io/v1beta1": "Current",
        "custom.metrics.k8s.io/v1beta2": "Current",
        "external.metrics.k8s.io/v1beta1": "Current",
        "metrics.k8s.io/v1beta1": "Current",
    }
    polling.until("discovery", lambda: freshness() == current, timeout=75.0, seen=freshness)


def test_openapi_of_the_groups_is_served(environment: Environment) -> None:
    index = environment.cluster.read("/openapi/v3")["paths"]
    for version in ("custom.metrics.k8s.io/v1beta1", "metrics.k8s.io/v1beta1"):
        assert f"apis/{version}" in index
        assert environment.cluster.read(f"/openapi/v3/apis/{version}")["openapi"].startswith("3.")
