"""What the flags say, in one frozen object for each part that reads it. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Attribution = Literal["daemonset", "sidecar", "none"]
LabelStyle = Literal["dcgm", "dcgm-old", "alibaba"]
HostnameLabel = Literal["Hostname", "hostname", "none"]

FAMILIES = ("nvidia_gpu", "dcgm", "custom", "pods")
# What is collected only when it is asked for.
GROUPS = ("clocks", "ecc", "exp", "memory", "nvlink", "power", "profiling", "retired", "violations")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How NVML is read.

    Attributes:
        interval_seconds: between two ticks.
        window_seconds: over which utilisation is averaged.
        settle_seconds: for which utilisation is not believed after initialisation, which wakes
            GPUs without persistence mode.
        groups: of `GROUPS`, collected beside what always is.
        processes: whether pids of other pods can be told apart (host's pid namespace).
        library: a file to load instead of libnvidia-ml.so.1 from the linker's path.
        exit_without_driver_seconds: None means never.
    """

    interval_seconds: float = 1.0
    window_seconds: float = 15.0
    settle_seconds: float = 2.0
    groups: frozenset[str] = frozenset()
    processes: bool = False
    library: str | None = None
    exit_without_driver_seconds: float | None = None
    driver_proc: Path = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Exposition:
    """What is shown, and how.

    Attributes:
        node: the node's name; empty leaves its labels empty.
        extra_labels: constant, on families (b) and (c).
        fall_back_to_device: show a shared unit's own numbers for each of its pods where the pods'
            cannot be told.
        warmup_seconds: a new pod's series of family (d) are withheld until it computes, at most
            for so long.
    """

    node: str = ""
    families: frozenset[str] = frozenset(FAMILIES)
    groups: frozenset[str] = frozenset()
    label_style: LabelStyle = "dcgm"
    hostname_label: HostnameLabel = "Hostname"
    extra_labels: Mapping[str, str] = field(default_factory=dict)
    per_process: bool = False
    strict_dcgm_types: bool = False
    fall_back_to_device: bool = False
    warmup_seconds: float = 0.0
    max_series: int = 50_000


@dataclass(frozen=True, slots=True)
class Holders:
    """Where the exporter learns who holds what.

    Attributes:
        resource_names: accepted beside NVIDIA's own.
        socket: of the kubelet's pod-resources service.
        proc, pod_logs, container_logs: the host's, for processes.
        pod, namespace: our own, for a sidecar.
        gpu_uuids: said by the operator, for a sidecar.
        resource_slices: whether devices of DRA may be looked up at the API server.
    """

    attribution: Attribution = "daemonset"
    resource_names: frozenset[str] = frozenset()
    socket: Path = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
    poll_seconds: float = 10.0
    node: str = ""
    proc: Path = Path("/proc")
    pod_logs: Path = Path("/var/log/pods")
    container_logs: Path = Path("/var/log/containers")
    pod: str = ""
    namespace: str = ""
    gpu_uuids: tuple[str, ...] = ()
    resource_slices: bool = False


@dataclass(frozen=True, slots=True)
class Web:
    """Where HTTP is served: (host, port) pairs, and the usual web configuration file."""

    listen: tuple[tuple[str, int], ...] = (("", 9445),)
    config: Path | None = None
    telemetry_path: str = "/metrics"


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it."""

    sampling: Sampling = field(default_factory=Sampling)
    exposition: Exposition = field(default_factory=Exposition)
    holders: Holders = field(default_factory=Holders)
    web: Web = field(default_factory=Web)
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"
