"""Workloads whose load is a number: Deployments, their HPAs, and the series that the load gives.

Load is shared evenly by the ready pods, as a load balancer would; queue and request rate are of the
workload as a whole. The HPAs have no stabilisation, so that they turn in one sync.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from tests.e2e.harness.apiclient import Object
from tests.fakes.exposition import series

NAMESPACE = "loop"
NODE = "node-loop"
MAX_REPLICAS = 10
_GPU = {"minor_number": "0", "name": "Tesla T4", "node_name": NODE, "namespace_name": NAMESPACE}
_NO_DELAY = {"stabilizationWindowSeconds": 0}
_FAST = {
    "scaleUp": {**_NO_DELAY, "policies": [{"type": "Percent", "value": 900, "periodSeconds": 1}]},
    "scaleDown": {**_NO_DELAY, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 1}]},
}


def node(name: str = NODE) -> Object:
    ready = {"type": "Ready", "status": "True"}
    capacity = {"cpu": "64", "memory": "256Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"conditions": [ready], "capacity": capacity},
    }


def deployment(name: str) -> Object:
    container = {
        "name": "main",
        "image": "none",
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
    }
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"automountServiceAccountToken": False, "containers": [container]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
    }


def service(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": name}},
    }


def autoscaler(name: str, metric: dict[str, Any]) -> Object:
    """An HPA over the Deployment of the same name."""
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": 1,
        "maxReplicas": MAX_REPLICAS,
        "metrics": [metric],
        "behavior": _FAST,
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def _average(value: str) -> dict[str, str]:
    return {"type": "AverageValue", "averageValue": value}


def pods_metric(name: str = "duty_cycle_current") -> dict[str, Any]:
    """The GPU documents' metric, or another of the same load: duty cycle at 40 on average."""
    metric = {"name": name}
    return {"type": "Pods", "pods": {"metric": metric, "target": _average("40")}}


def object_metric() -> dict[str, Any]:
    """Requests of a Service at 25 for each replica."""
    described = {"apiVersion": "v1", "kind": "Service", "name": "svc"}
    target = {"metric": {"name": "svc_rate"}, "target": _average("25")}
    return {"type": "Object", "object": {"describedObject": described, **target}}


def external_metric() -> dict[str, Any]:
    """A queue outside the cluster at 10 for each replica."""
    metric = {"name": "ext_queue", "selector": {"matchLabels": {"queue": "orders"}}}
    return {"type": "External", "external": {"metric": metric, "target": _average("10")}}


def cpu_metric() -> dict[str, Any]:
    """CPU at half of the request of one core."""
    target = {"type": "Utilization", "averageUtilization": 50}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


METRICS = {
    "gpu": pods_metric(),
    "svc": object_metric(),
    "ext": external_metric(),
    "cpu": cpu_metric(),
}


def objects() -> list[Object]:
    """Node, Service and the Deployments, without their HPAs."""
    return [node(), service("svc"), *(deployment(name) for name in METRICS)]


def autoscalers() -> list[Object]:
    return [autoscaler(name, metric) for name, metric in METRICS.items()]


class ReadyPods(Protocol):
    """What the loads ask of a kubelet."""

    def ready(self, app: str) -> tuple[str, ...]: ...


class Loads:
    """The load of each workload now, and the exposition of what it causes.

    Attributes set by a test, each the load of the whole workload: `gpu` in per cent of one GPU,
    `svc` in requests a second, `ext` in waiting messages, `cpu` in cores.

    Args:
        shows_gpus: False leaves them to an exporter that reads `gpu_uses` from a driver.
    """

    def __init__(
        self,
        kubelet: ReadyPods,
        clock: Callable[[], float] = time.monotonic,
        *,
        shows_gpus: bool = True,
    ) -> None:
        self.gpu = 30.0
        self.svc = 50.0
        self.ext = 20.0
        self.cpu = 0.5
        self._kubelet = kubelet
        self._clock = clock
        self._shows_gpus = shows_gpus
        self._lock = threading.Lock()
        self._counted_at = clock()
        self._cpu_seconds: dict[str, float] = {}

    def set(self, **loads: float) -> None:
        for name, load in loads.items():
            setattr(self, name, load)

    def render(self) -> str:
        with self._lock:
            gpus = self._gpu_lines() if self._shows_gpus else []
            return "".join([*gpus, *self._cpu_lines(), *self._whole_lines()])

    def gpu_uses(self) -> dict[str, float]:
        """Per cent of a GPU that each ready pod uses."""
        pods = self._kubelet.ready("gpu")
        return dict.fromkeys(pods, min(100.0, self.gpu / max(1, len(pods))))

    def _gpu_lines(self) -> list[str]:
        return [
            series("nvidia_gpu_duty_cycle", share, uuid=f"GPU-{pod}", pod_name=pod, **_GPU)
            for pod, share in self.gpu_uses().items()
        ]

    def _cpu_lines(self) -> list[str]:
        now = self._clock()
        passed, self._counted_at = now - self._counted_at, now
        pods = self._kubelet.ready("cpu")
        lines = []
        for pod in pods:
            used = self._cpu_seconds.get(pod, 0.0) + passed * self.cpu / len(pods)
            self._cpu_seconds[pod] = used
            place = {"namespace": NAMESPACE, "pod": pod, "container": "main", "node": NODE}
            lines.append(series("container_cpu_usage_seconds_total", used, **place))
            lines.append(series("container_memory_working_set_bytes", 128 * 2**20, **place))
        whole = {"id": "/", "node": NODE}
        used = self._cpu_seconds.get("", 0.0) + passed * self.cpu
        self._cpu_seconds[""] = used
        lines.append(series("container_cpu_usage_seconds_total", used, **whole))
        lines.append(series("container_memory_working_set_bytes", 2 * 2**30, **whole))
        return lines

    def _whole_lines(self) -> list[str]:
        return [
            series("svc_rate", self.svc, namespace=NAMESPACE, service="svc"),
            series("ext_queue", self.ext / 2, queue="orders", topic="a"),
            series("ext_queue", self.ext / 2, queue="orders", topic="b"),
        ]
