"""What scheduler and kubelet do to a pod, as far as an HPA can see, without running anything.

Pods without a node are bound, bound ones become Running and Ready, and deletions are finished.
One namespace, one node. While kube-apiserver is away the loop goes on trying.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from tests.e2e.harness.apiclient import MERGE, Cluster

_TURN_SECONDS = 0.25


class Kubelet(threading.Thread):
    """Turns pods of one namespace ready; daemon, so that it never holds a test run up."""

    def __init__(self, cluster: Cluster, namespace: str, node: str) -> None:
        super().__init__(name=f"kubelet-{node}", daemon=True)
        self.node = node
        self.namespace = namespace
        self._cluster = cluster
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._ready: Mapping[str, tuple[str, ...]] = {}
        self._stopped = threading.Event()

    def ready(self, app: str) -> tuple[str, ...]:
        """Names of the ready pods labelled `app=...`, as of the last turn."""
        return self._ready.get(app, ())

    def run(self) -> None:
        while not self._stopped.wait(_TURN_SECONDS):
            try:
                self.turn()
            except OSError:
                continue  # kube-apiserver is down: its pods stay as they are

    def close(self) -> None:
        self._stopped.set()
        self.join()

    def turn(self) -> None:
        """Moves every pod one step on."""
        answer = self._cluster.get(self._pods)
        if answer.status != 200:
            return
        ready = defaultdict(list)
        for pod in answer.body["items"]:
            name = pod["metadata"]["name"]
            if "deletionTimestamp" in pod["metadata"]:
                self._finish(name)
                continue
            if "nodeName" not in pod["spec"]:
                self._bind(name)
            if not _is_ready(pod):
                self._start_pod(name)
            ready[pod["metadata"].get("labels", {}).get("app", "")].append(name)
        self._ready = {app: tuple(sorted(names)) for app, names in ready.items()}

    def _finish(self, name: str) -> None:
        self._cluster.request("DELETE", f"{self._pods}/{name}", {"gracePeriodSeconds": 0})

    def _bind(self, name: str) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": self.node}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}}
        self._cluster.request("POST", f"{self._pods}/{name}/binding", {**binding, "target": target})

    def _start_pod(self, name: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
        status = {"phase": "Running", "startTime": now, "conditions": [ready]}
        path = f"{self._pods}/{name}/status"
        self._cluster.request("PATCH", path, {"status": status}, content_type=MERGE)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
