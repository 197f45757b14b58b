"""The exporter's settings, one frozen object for each part that reads it, with their flags. No I/O.

To add a flag, add a field to the class that it belongs to: the command line, --help, the table of
docs/gpu-exporter.md and the names in error messages follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metrics_apiserver.base import checks
from metrics_apiserver.base.flags import Flag
from metrics_apiserver.base.settings import Settings as Declared
from metrics_apiserver.base.settings import filled_by, flag, group
from metrics_apiserver.exporter import flagtypes

Attribution = Literal["daemonset", "sidecar", "none"]
LabelStyle = Literal["dcgm", "dcgm-old", "alibaba"]
HostnameLabel = Literal["Hostname", "hostname", "none"]

FAMILIES = ("nvidia_gpu", "dcgm", "custom", "pods")
# What is collected only when it is asked for.
GROUPS = ("clocks", "ecc", "exp", "memory", "nvlink", "power", "profiling", "retired", "violations")


def _groups(names: Sequence[str]) -> frozenset[str]:
    return frozenset(names) | ({"clocks"} if "exp" in names else set())


_NODE = Flag(
    "node-name",
    "string",
    "",
    "name of the node, for labels",
    placeholder="NAME",
    environment="NODE_NAME",
)
_PROCESSES = Flag(
    "processes",
    "bool",
    False,
    "attribute processes by their cgroups; needs the host's pid namespace",
)
_COLLECT = Flag(
    "collect",
    "strings",
    [],
    f"more metrics, with commas between them: {', '.join(GROUPS)}",
    placeholder="GROUPS",
    choices=GROUPS,
    convert=_groups,
)


@dataclass(frozen=True, slots=True)
class Holders(Declared):
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
        "ask the kubelet (daemonset), look around in the own pod (sidecar), or not at all (none)",
        placeholder="MODE",
        choices=("daemonset", "sidecar", "none"),
    )
    processes: bool = filled_by(_PROCESSES)
    node: str = filled_by(_NODE)
    pod: str = flag(
        "pod-name", "", "name of our own pod", placeholder="NAME", environment="POD_NAME"
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
        "GPUs of the own pod with commas between them; for --attribution=sidecar",
        placeholder="UUIDS",
    )
    resource_slices: bool = flag(
        "resource-slices",
        False,
        "look devices of ResourceClaims up in the node's ResourceSlices",
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


@dataclass(frozen=True, slots=True)
class Sampling(Declared):
    """How NVML is read.

    Attributes:
        interval_seconds: between two ticks.
        window_seconds: over which utilisation is averaged.
        settle_seconds: for which utilisation is not believed after initialisation, which wakes
            GPUs without persistence mode.
        groups: of `GROUPS`, collected beside what always is.
        library: a file to load instead of libnvidia-ml.so.1 from the linker's path.
        exit_without_driver_seconds: None means never.
        processes: whether pids of other pods can be told apart (host's pid namespace).
    """

    interval_seconds: float = flag(
        "interval",
        1.0,
        "between two samples of the GPUs, 100ms to 60s",
        kind="seconds",
        check=checks.between(0.1, 60, "must lie between 100ms and 60s"),
    )
    window_seconds: float = flag(
        "window",
        15.0,
        "over which utilisation is averaged, 1s to 5m",
        kind="seconds",
        check=checks.between(1, 300, "must lie between 1s and 5m"),
    )
    settle_seconds: float = flag(
        "settle",
        2.0,
        "for which utilisation is not believed after NVML was initialised",
        kind="seconds",
        check=checks.not_negative,
    )
    groups: frozenset[str] = filled_by(_COLLECT)
    library: str | None = flag(
        "nvml-library",
        None,
        "a file to load instead of libnvidia-ml.so.1",
        kind="string",
        placeholder="FILE",
    )
    exit_without_driver_seconds: float | None = flag(
        "exit-without-driver-after",
        None,
        "end when no driver was found for so long; for runtimes that inject the library",
        kind="seconds",
        check=checks.not_negative,
    )
    processes: bool = filled_by(_PROCESSES)
    driver_proc: Path = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Exposition(Declared):
    """What is shown, and how.

    Attributes:
        node: the node's name; empty leaves its labels empty.
        extra_labels: constant, on families (b) and (c).
        fall_back_to_device: show a shared unit's own numbers for each of its pods where the pods'
            cannot be told.
        warmup_seconds: a new pod's series of family (d) are withheld until it computes, at most
            for so long.
    """

    node: str = filled_by(_NODE)
    families: frozenset[str] = flag(
        "families",
        [*FAMILIES],
        "which families of metrics, with commas between them",
        placeholder="FAMILIES",
        choices=FAMILIES,
        convert=frozenset,
    )
    groups: frozenset[str] = filled_by(_COLLECT)
    label_style: LabelStyle = flag(
        "label-style",
        "dcgm",
        "labels of DCGM_FI_* series: dcgm, dcgm-old or alibaba",
        placeholder="STYLE",
        choices=("dcgm", "dcgm-old", "alibaba"),
    )
    hostname_label: HostnameLabel = flag(
        "hostname-label",
        "Hostname",
        "label of DCGM_FI_* series that names the node: Hostname, hostname or none",
        placeholder="LABEL",
        choices=("Hostname", "hostname", "none"),
    )
    extra_labels: Mapping[str, str] = flag(
        "extra-label",
        [],
        "a constant label on DCGM_* series; may be repeated",
        kind="stringArray",
        placeholder="NAME=VALUE",
        check=flagtypes.each(flagtypes.pair),
        convert=lambda texts: dict(map(flagtypes.pair, texts)),
    )
    per_process: bool = flag("per-process", False, "DCGM_CUSTOM_PROCESS_* for each process")
    strict_dcgm_types: bool = flag(
        "dcgm-strict-types", False, "call NVLink's rate a counter, as DCGM"
    )
    fall_back_to_device: bool = flag(
        "shared-fallback",
        "none",
        "of pods on a shared GPU whose own use is not known: nothing (none), or the GPU's (device)",
        placeholder="WHAT",
        choices=("none", "device"),
        convert=lambda choice: choice == "device",
    )
    warmup_seconds: float = flag(
        "warmup",
        0.0,
        "withhold gpu_pod_* of a new pod until it computes, at most so long",
        kind="seconds",
        check=checks.not_negative,
    )
    max_series: int = flag(
        "max-series",
        50_000,
        "beyond it whole metrics are left out",
        placeholder="NUMBER",
        check=checks.positive,
    )


@dataclass(frozen=True, slots=True)
class Web(Declared):
    """Where HTTP is served: (host, port) pairs, and the usual web configuration file."""

    listen: tuple[tuple[str, int], ...] = flag(
        "web.listen-address",
        [":9445"],
        "where to listen; may be repeated",
        kind="stringArray",
        placeholder="HOST:PORT",
        check=flagtypes.each(flagtypes.address),
        convert=lambda texts: tuple(map(flagtypes.address, texts)),
    )
    config: Path | None = flag(
        "web.config.file",
        None,
        "TLS and basic authentication, as Prometheus exporters have it",
        kind="string",
        placeholder="FILE",
        convert=Path,
    )
    telemetry_path: str = flag(
        "web.telemetry-path",
        "/metrics",
        "path of the page of metrics",
        placeholder="PATH",
        convert=flagtypes.path,
    )


@dataclass(frozen=True, slots=True)
class Settings(Declared):
    """All of it."""

    holders: Holders = group(Holders, "Attribution of GPUs to pods")
    sampling: Sampling = group(Sampling, "Sampling")
    exposition: Exposition = group(Exposition, "Metrics")
    web: Web = group(Web, "Serving")
    log_level: str = flag(
        "log.level",
        "info",
        "what is logged: debug, info, warning or error",
        group="Logging",
        placeholder="LEVEL",
        choices=("debug", "info", "warning", "error"),
    )
    log_format: Literal["text", "json"] = flag(
        "log.format",
        "text",
        "how it is logged: text or json",
        group="Logging",
        placeholder="FORMAT",
        choices=("text", "json"),
    )
