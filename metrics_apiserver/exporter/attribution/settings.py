"""Settings of attribution: how the exporter learns which pod a GPU is allocated to, with flags.

Each mode has flags of its own; those of another mode are refused. Names of the node and of our own
pod come from the downward API's variables unless a flag says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metrics_apiserver.base import checks
from metrics_apiserver.base.flags import Flag
from metrics_apiserver.base.settings import SettingsGroup, filled_by, flag

Attribution = Literal["daemonset", "sidecar", "none"]

NODE = Flag(
    "node-name",
    "string",
    "",
    "name of the node, for labels",
    placeholder="NAME",
    environment="NODE_NAME",
)
PROCESSES = Flag(
    "processes",
    "bool",
    False,
    "attribute processes by their cgroups; needs the host's pid namespace",
)


@dataclass(frozen=True, slots=True)
class AttributionSettings(SettingsGroup):
    """Where the exporter learns who holds what.

    Attributes:
        processes: whether pids of other pods can be told apart (host's pid namespace).
        pod, namespace: our own, for a sidecar.
        socket: of the kubelet's pod-resources service.
        resource_names: accepted beside NVIDIA's own.
        gpu_uuids: said by the operator, for a sidecar.
        resource_slices: whether devices of DRA may be looked up at the API server.
        proc, pod_logs, container_logs: the host's, for processes.
    """

    attribution: Attribution = flag(
        "attribution",
        "daemonset",
        "ask the kubelet (daemonset), look at its own pod (sidecar), or not at all (none)",
        placeholder="MODE",
        choices=("daemonset", "sidecar", "none"),
    )
    processes: bool = filled_by(PROCESSES)
    node: str = filled_by(NODE)
    pod: str = flag(
        "pod-name", "", "name of its own pod", placeholder="NAME", environment="POD_NAME"
    )
    namespace: str = flag(
        "pod-namespace", "", "its namespace", placeholder="NAME", environment="POD_NAMESPACE"
    )
    socket: Path = flag(
        "kubelet-root",
        "/var/lib/kubelet",
        "where the kubelet keeps its pod-resources socket",
        placeholder="FOLDER",
        convert=lambda root: Path(root) / "pod-resources" / "kubelet.sock",
    )
    resource_names: frozenset[str] = flag(
        "resource-name",
        [],
        "an extended resource that stands for GPUs, beside NVIDIA's; may be repeated",
        kind="stringArray",
        placeholder="NAME",
        convert=frozenset,
    )
    gpu_uuids: tuple[str, ...] = flag(
        "gpu-uuids",
        [],
        "comma-separated GPUs of its own pod; for --attribution=sidecar",
        placeholder="UUIDS",
    )
    resource_slices: bool = flag(
        "resource-slices", False, "look devices of ResourceClaims up in the node's ResourceSlices"
    )
    poll_seconds: float = flag(
        "poll-interval",
        10.0,
        "between two requests to the kubelet",
        kind="seconds",
        check=checks.not_negative,
    )
    proc: Path = flag(
        "host-proc",
        "/proc",
        "where to read the host's processes",
        placeholder="FOLDER",
        convert=Path,
    )
    pod_logs: Path = flag(
        "pod-logs",
        "/var/log/pods",
        "where to read names of pods by UID",
        placeholder="FOLDER",
        convert=Path,
    )
    container_logs: Path = flag(
        "container-logs",
        "/var/log/containers",
        "where to read names of containers by id",
        placeholder="FOLDER",
        convert=Path,
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        """Each way of attribution has flags of its own."""
        if self.attribution == "sidecar" and not (self.pod and self.namespace):
            yield "attribution", "sidecar needs POD_NAME and POD_NAMESPACE (downward API)"
        if self.attribution != "daemonset" and self.processes:
            yield "processes", "needs {attribution}=daemonset: nobody else can tell whose a pid is"
        if self.attribution != "sidecar" and self.gpu_uuids:
            yield "gpu_uuids", "needs {attribution}=sidecar"
        if self.attribution != "daemonset" and self.resource_slices:
            yield "resource_slices", "needs {attribution}=daemonset"
        if self.resource_slices and not self.node:
            yield (
                "resource_slices",
                "needs NODE_NAME (downward API): slices are looked up by node",
            )
