"""The exporter's command line: words in, `Settings` out. Every flag has its line in --help.

Names of the node and of our own pod come from NODE_NAME, POD_NAME and POD_NAMESPACE, which the
downward API fills, unless a flag says otherwise.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from metrics_apiserver.exporter import flagtypes
from metrics_apiserver.exporter.commandline import Parser, WrongFlags, read
from metrics_apiserver.exporter.settings import (
    FAMILIES,
    GROUPS,
    Exposition,
    Holders,
    Sampling,
    Settings,
    Web,
)


def parser(environment: Mapping[str, str]) -> Parser:
    """The flags with their defaults."""
    made = Parser(
        prog="nvml-exporter",
        description="GPU use per pod for Prometheus, read from NVML.",
        allow_abbrev=False,
    )
    _add_holders(made.add_argument_group("who holds the GPUs"), environment)
    _add_sampling(made.add_argument_group("reading"))
    _add_exposition(made.add_argument_group("what is shown"))
    _add_process(made.add_argument_group("serving"))
    return made


def _add_holders(group: argparse._ArgumentGroup, environment: Mapping[str, str]) -> None:
    add = group.add_argument
    add(
        "--attribution",
        choices=("daemonset", "sidecar", "none"),
        default="daemonset",
        help="ask the kubelet (daemonset), look around in the own pod (sidecar), or not at all",
    )
    add(
        "--processes",
        action="store_true",
        help="attribute processes by their cgroups; needs the host's pid namespace",
    )
    add("--node-name", default=environment.get("NODE_NAME", ""), help="default: $NODE_NAME")
    add("--pod-name", default=environment.get("POD_NAME", ""), help="default: $POD_NAME")
    add(
        "--pod-namespace",
        default=environment.get("POD_NAMESPACE", ""),
        help="default: $POD_NAMESPACE",
    )
    add(
        "--kubelet-root",
        type=Path,
        default=Path("/var/lib/kubelet"),
        help="where the kubelet keeps its pod-resources socket (default: %(default)s)",
    )
    add(
        "--resource-name",
        action="append",
        default=[],
        help="an extended resource that stands for GPUs, beside NVIDIA's; may be repeated",
    )
    add(
        "--gpu-uuids",
        default="",
        help="GPUs of the own pod with commas between them; for --attribution=sidecar",
    )
    add(
        "--resource-slices",
        action="store_true",
        help="look devices of ResourceClaims up in the node's ResourceSlices",
    )
    add(
        "--poll-interval",
        type=flagtypes.seconds,
        default=10.0,
        help="between two looks (default: 10s)",
    )
    add("--host-proc", type=Path, default=Path("/proc"), help="default: %(default)s")
    add("--pod-logs", type=Path, default=Path("/var/log/pods"), help="default: %(default)s")
    add(
        "--container-logs",
        type=Path,
        default=Path("/var/log/containers"),
        help="default: %(default)s",
    )


def _add_sampling(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--interval", type=flagtypes.interval, default=1.0, help="between two ticks (default: 1s)")
    add(
        "--window",
        type=flagtypes.window,
        default=15.0,
        help="over which utilisation is averaged, 1s to 5m (default: 15s)",
    )
    add(
        "--settle",
        type=flagtypes.seconds,
        default=2.0,
        help="for which utilisation is not believed after NVML was initialised (default: 2s)",
    )
    add(
        "--collect",
        action=flagtypes.words(GROUPS),
        default=frozenset(),
        metavar="GROUPS",
        help=f"more metrics, with commas between them: {', '.join(GROUPS)}",
    )
    add("--nvml-library", default=None, help="a file to load instead of libnvidia-ml.so.1")
    add(
        "--exit-without-driver-after",
        type=flagtypes.seconds,
        default=None,
        help="end when no driver was found for so long; for runtimes that inject the library",
    )


def _add_exposition(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--families",
        action=flagtypes.words(FAMILIES),
        default=frozenset(FAMILIES),
        metavar="FAMILIES",
        help=f"with commas between them (default: {','.join(FAMILIES)})",
    )
    add(
        "--label-style",
        choices=("dcgm", "dcgm-old", "alibaba"),
        default="dcgm",
        help="labels of DCGM_FI_* series (default: %(default)s)",
    )
    add(
        "--hostname-label",
        choices=("Hostname", "hostname", "none"),
        default="Hostname",
        help="of DCGM_FI_* series (default: %(default)s)",
    )
    add(
        "--extra-label",
        type=flagtypes.pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a constant label on DCGM_* series; may be repeated",
    )
    add("--per-process", action="store_true", help="DCGM_CUSTOM_PROCESS_* for each process")
    add("--dcgm-strict-types", action="store_true", help="call NVLink's rate a counter, as DCGM")
    add(
        "--shared-fallback",
        choices=("none", "device"),
        default="none",
        help="of pods on a shared GPU whose own use is not known: nothing, or the GPU's",
    )
    add(
        "--warmup",
        type=flagtypes.seconds,
        default=0.0,
        help="withhold gpu_pod_* of a new pod until it computes, at most so long (default: 0s)",
    )
    add("--max-series", type=flagtypes.count, default=50_000, help="default: %(default)s")


def _add_process(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--web.listen-address",
        dest="listen",
        type=flagtypes.address,
        action="append",
        default=None,
        help="may be repeated (default: :9445)",
    )
    add(
        "--web.config.file",
        dest="web_config",
        type=Path,
        default=None,
        help="TLS and basic authentication, as Prometheus exporters have it",
    )
    add(
        "--web.telemetry-path",
        dest="telemetry_path",
        type=flagtypes.path,
        default="/metrics",
        help="default: %(default)s",
    )
    add(
        "--log.level",
        dest="log_level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="default: %(default)s",
    )
    add(
        "--log.format",
        dest="log_format",
        choices=("text", "json"),
        default="text",
        help="default: text",
    )


def _conflicts(found: argparse.Namespace) -> Iterator[str]:
    """Flags that are good alone and not together."""
    if found.attribution == "sidecar" and not (found.pod_name and found.pod_namespace):
        yield "--attribution=sidecar needs POD_NAME and POD_NAMESPACE (downward API)"
    if found.attribution != "daemonset" and found.processes:
        yield "--processes needs --attribution=daemonset: nobody else can tell whose a pid is"
    if found.attribution != "sidecar" and found.gpu_uuids:
        yield "--gpu-uuids needs --attribution=sidecar"
    if found.attribution != "daemonset" and found.resource_slices:
        yield "--resource-slices needs --attribution=daemonset"
    if found.resource_slices and not found.node_name:
        yield "--resource-slices needs NODE_NAME (downward API): slices are looked up by node"


def parse(words: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings of a command line.

    Raises:
        WrongFlags: with every fault.
        SystemExit: 0 after --help.
    """
    found = read(parser(environment), words)
    if faults := list(_conflicts(found)):
        raise WrongFlags(faults)
    groups = found.collect | ({"clocks"} if "exp" in found.collect else set())
    return Settings(
        sampling=Sampling(
            interval_seconds=found.interval,
            window_seconds=found.window,
            settle_seconds=found.settle,
            groups=groups,
            processes=found.processes,
            library=found.nvml_library,
            exit_without_driver_seconds=found.exit_without_driver_after,
        ),
        exposition=Exposition(
            node=found.node_name,
            families=found.families,
            groups=groups,
            label_style=found.label_style,
            hostname_label=found.hostname_label,
            extra_labels=dict(found.extra_label),
            per_process=found.per_process,
            strict_dcgm_types=found.dcgm_strict_types,
            fall_back_to_device=found.shared_fallback == "device",
            warmup_seconds=found.warmup,
            max_series=found.max_series,
        ),
        holders=Holders(
            attribution=found.attribution,
            resource_names=frozenset(found.resource_name),
            socket=found.kubelet_root / "pod-resources" / "kubelet.sock",
            poll_seconds=found.poll_interval,
            node=found.node_name,
            proc=found.host_proc,
            pod_logs=found.pod_logs,
            container_logs=found.container_logs,
            pod=found.pod_name,
            namespace=found.pod_namespace,
            gpu_uuids=tuple(uuid for uuid in found.gpu_uuids.split(",") if uuid),
            resource_slices=found.resource_slices,
        ),
        web=Web(tuple(found.listen or [("", 9445)]), found.web_config, found.telemetry_path),
        log_level=found.log_level,
        log_format=found.log_format,
    )
