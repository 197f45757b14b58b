"""The stock HPA and metrics.k8s.io see what runs: no init container that ended, no finished pod.

Two Deployments of two pods each. In one, the init container's cgroup is left with memory 0; in the
other, its counter of cpu still lies in the range of the rate. Either would keep the HPA from
scaling, as it drops a pod in which any container lacks the resource.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pytest

from tests.e2e.conftest import RULES
from tests.e2e.harness import polling, workload
from tests.e2e.harness.apiclient import Object
from tests.e2e.harness.environment import Environment, namespace
from tests.e2e.harness.scaling import exactly, expect
from tests.fakes.cluster_kubelet import Kubelet
from tests.fakes.exposition import ScrapeTarget, series

CPU = "container_cpu_usage_seconds_total"
MEMORY = "container_memory_working_set_bytes"
METRICS = "/apis/metrics.k8s.io/v1beta1/namespaces"
TARGETS = {"memory-left": ("cpu", 50), "cpu-left": ("memory", 50)}
FINISHED = "finished"


class Usage:
    """What the containers of the two Deployments and of the batch pods have used by now."""

    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet
        self._start = time.monotonic()

    def render(self) -> str:
        passed = time.monotonic() - self._start
        lines: list[str] = []

        def show(name: str, value: float, pod: str, container: str, space: str) -> None:
            place = {"namespace": space, "pod": pod, "container": container}
            lines.append(series(name, value, node=workload.NODE, **place))

        for pod in self._kubelet.ready("memory-left"):
            show(CPU, 0.9 * passed, pod, "main", workload.NAMESPACE)
            show(MEMORY, 3e8, pod, "main", workload.NAMESPACE)
            show(MEMORY, 0, pod, "unpack", workload.NAMESPACE)
        for pod in self._kubelet.ready("cpu-left"):
            show(CPU, 0.3 * passed, pod, "main", workload.NAMESPACE)
            show(CPU, 0.5, pod, "unpack", workload.NAMESPACE)
            show(MEMORY, 9e8, pod, "main", workload.NAMESPACE)
        for pod in ("batch-1", "batch-2", "till"):
            show(CPU, 0.1 * passed, pod, "main", FINISHED)
            show(MEMORY, 5e6, pod, "main", FINISHED)
        return "".join(lines)


def deployment(name: str) -> Object:
    made = workload.deployment(name)
    made["spec"]["replicas"] = 2
    pod = made["spec"]["template"]["spec"]
    pod["initContainers"] = [{"name": "unpack", "image": "none"}]
    return made


def autoscaler(name: str) -> Object:
    resource, percent = TARGETS[name]
    target = {"type": "Utilization", "averageUtilization": percent}
    metric = {"type": "Resource", "resource": {"name": resource, "target": target}}
    made = workload.autoscaler(name, metric)
    made["spec"]["maxReplicas"] = 4
    return made


@pytest.fixture(scope="module")
def running(environment: Environment, kubelet: Kubelet) -> Iterator[Environment]:
    made = [deployment(name) for name in TARGETS]
    environment.apply(made)
    with ScrapeTarget(Usage(kubelet).render) as target:
        backend = environment.prometheus([target.target], "prometheus-running")
        environment.serve(RULES, backend, flags=["--query-freshness=300ms"])
        yield environment
        environment.server.kill()
        for one in made:
            environment.cluster.delete(one)
        backend.stop()


def listed(environment: Environment, space: str, query: str = "") -> dict[str, list[str]]:
    """Containers by pod."""
    items = environment.cluster.get(f"{METRICS}/{space}/pods{query}").items
    return {item["metadata"]["name"]: [one["name"] for one in item["containers"]] for item in items}


def test_pods_with_an_ended_init_container_scale(running: Environment) -> None:
    scalers = [autoscaler(name) for name in TARGETS]
    running.apply(scalers)
    try:
        expect(running.cluster, dict.fromkeys(TARGETS, exactly(4)))
        for name in TARGETS:
            polling.until(name, partial(running.scaling_active, name))
            found = listed(running, workload.NAMESPACE, f"?labelSelector=app%3D{name}")
            assert found
            assert all(containers == ["main"] for containers in found.values())
    finally:
        for one in scalers:
            running.cluster.delete(one)


@pytest.fixture
def batch(running: Environment) -> Iterator[None]:
    """Pods of a namespace in which nobody starts or ends them but the test."""
    running.apply([namespace(FINISHED)])
    made: list[Object] = []
    for name in ("batch-1", "batch-2", "till"):
        spec = workload.deployment(name)["spec"]["template"]["spec"]
        metadata = {"name": name, "namespace": FINISHED}
        made.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    running.apply(made)
    yield
    for pod in made:
        running.cluster.delete(pod)


@pytest.mark.usefixtures("batch")
def test_a_finished_pod_is_gone(running: Environment) -> None:
    pods = f"/api/v1/namespaces/{FINISHED}/pods"
    for name in ("batch-1", "batch-2", "till"):
        running.cluster.patch(f"{pods}/{name}/status", {"status": {"phase": "Running"}})
    everyone = {"batch-1": ["main"], "batch-2": ["main"], "till": ["main"]}
    polling.until("all three", lambda: listed(running, FINISHED) == everyone)
    running.cluster.patch(f"{pods}/batch-1/status", {"status": {"phase": "Succeeded"}})
    running.cluster.patch(f"{pods}/batch-2/status", {"status": {"phase": "Failed"}})
    polling.until("one is left", lambda: listed(running, FINISHED) == {"till": ["main"]})
    for name in ("batch-1", "batch-2"):
        answer = running.cluster.get(f"{METRICS}/{FINISHED}/pods/{name}")
        assert (answer.status, answer.body["message"]) == (404, f'pods "{name}" not found')
        assert running.cluster.get(f"{pods}/{name}").status == 200
