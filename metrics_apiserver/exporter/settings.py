"""The exporter's settings, one frozen object for each part that reads it, with their flags. No I/O.

To add a flag, add a field to the class that it belongs to: the command line, --help, the table of
docs/gpu-exporter.md and the names in error messages follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metrics_apiserver.base import checks
from metrics_apiserver.base.flags import Flag
from metrics_apiserver.base.settings import SettingsGroup, filled_by, flag, group
from metrics_apiserver.exporter import flagtypes
from metrics_apiserver.exporter.attribution.settings import NODE, PROCESSES, AttributionSettings

LabelStyle = Literal["dcgm", "dcgm-old", "alibaba"]
HostnameLabel = Literal["Hostname", "hostname", "none"]

FAMILIES = ("nvidia_gpu", "dcgm", "custom", "pods")
# What is collected only when it is asked for.
GROUPS = ("clocks", "ecc", "exp", "memory", "nvlink", "power", "profiling", "retired", "violations")


def _groups(names: Sequence[str]) -> frozenset[str]:
    return frozenset(names) | ({"clocks"} if "exp" in names else set())


_COLLECT = Flag(
    "collect",
    "strings",
    [],
    f"more metrics, comma-separated: {', '.join(GROUPS)}",
    placeholder="GROUPS",
    choices=GROUPS,
    convert=_groups,
)


@dataclass(frozen=True, slots=True)
class Sampling(SettingsGroup):
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
    processes: bool = filled_by(PROCESSES)
    driver_proc: Path = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Exposition(SettingsGroup):
    """What is shown, and how.

    Attributes:
        node: the node's name; empty leaves its labels empty.
        extra_labels: constant, on families (b) and (c).
        fall_back_to_device: show a shared unit's own numbers for each of its pods where the pods'
            cannot be told.
        warmup_seconds: a new pod's series of family (d) are withheld until it computes, at most
            for so long.
    """

    node: str = filled_by(NODE)
    families: frozenset[str] = flag(
        "families",
        [*FAMILIES],
        "families of metrics, comma-separated",
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
class Web(SettingsGroup):
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
        "path of the metrics page",
        placeholder="PATH",
        convert=flagtypes.path,
    )


@dataclass(frozen=True, slots=True)
class ExporterSettings(SettingsGroup):
    """All of it."""

    holders: AttributionSettings = group(AttributionSettings, "Attribution of GPUs to pods")
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
