"""Every flag of the exporter with its default and its line in --help.

Names of the node and of our own pod come from NODE_NAME, POD_NAME and POD_NAMESPACE, which the
downward API fills, unless a flag says otherwise.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from metrics_apiserver import __version__
from metrics_apiserver.exporter import flagtypes
from metrics_apiserver.exporter.commandline import Parser
from metrics_apiserver.exporter.settings import FAMILIES, GROUPS


def parser(environment: Mapping[str, str]) -> Parser:
    """The flags with their defaults."""
    made = Parser(
        prog="nvml-exporter",
        usage="nvml-exporter [flags]",
        description="GPU use per pod for Prometheus, read from NVML.",
        allow_abbrev=False,
    )
    version = f"nvml-exporter {__version__}"
    made.add_argument("--version", action="version", version=version, help="say which this is")
    holders = made.add_argument_group("who holds the GPUs")
    _add_holders(holders, environment)
    _add_kubelet(holders)
    _add_folders(holders)
    _add_sampling(made.add_argument_group("reading"))
    shown = made.add_argument_group("what is shown")
    _add_labels(shown)
    _add_exposition(shown)
    serving = made.add_argument_group("serving")
    _add_web(serving)
    _add_log(serving)
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
    for name, variable, what in (
        ("--node-name", "NODE_NAME", "name of the node, for labels"),
        ("--pod-name", "POD_NAME", "name of our own pod"),
        ("--pod-namespace", "POD_NAMESPACE", "its namespace"),
    ):
        text = f"{what} (default: ${variable})"
        add(name, default=environment.get(variable, ""), metavar="NAME", help=text)


def _add_kubelet(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
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
        metavar="DURATION",
        help="between two questions to the kubelet (default: 10s)",
    )


def _add_folders(group: argparse._ArgumentGroup) -> None:
    for name, folder, what in (
        ("--host-proc", "/proc", "the host's processes"),
        ("--pod-logs", "/var/log/pods", "names of pods by UID"),
        ("--container-logs", "/var/log/containers", "names of containers by id"),
    ):
        text = f"where to read {what} (default: %(default)s)"
        folder_ = Path(folder)
        group.add_argument(name, type=Path, default=folder_, metavar="FOLDER", help=text)


def _add_sampling(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--interval",
        type=flagtypes.interval,
        default=1.0,
        metavar="DURATION",
        help="between two readings of the GPUs (default: 1s)",
    )
    add(
        "--window",
        type=flagtypes.window,
        default=15.0,
        metavar="DURATION",
        help="over which utilisation is averaged, 1s to 5m (default: 15s)",
    )
    add(
        "--settle",
        type=flagtypes.seconds,
        default=2.0,
        metavar="DURATION",
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
        metavar="DURATION",
        help="end when no driver was found for so long; for runtimes that inject the library",
    )


def _add_labels(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--families",
        action=flagtypes.words(FAMILIES),
        default=frozenset(FAMILIES),
        metavar="FAMILIES",
        help=f"which families of metrics, with commas between them (default: {','.join(FAMILIES)})",
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
        help="label of DCGM_FI_* series that names the node (default: %(default)s)",
    )
    add(
        "--extra-label",
        type=flagtypes.pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a constant label on DCGM_* series; may be repeated",
    )


def _add_exposition(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
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
        metavar="DURATION",
        help="withhold gpu_pod_* of a new pod until it computes, at most so long (default: 0s)",
    )
    add(
        "--max-series",
        type=flagtypes.count,
        default=50_000,
        metavar="NUMBER",
        help="beyond it whole metrics are left out (default: %(default)s)",
    )


def _add_web(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--web.listen-address",
        dest="listen",
        type=flagtypes.address,
        action="append",
        default=None,
        metavar="HOST:PORT",
        help="where to listen; may be repeated (default: :9445)",
    )
    add(
        "--web.config.file",
        dest="web_config",
        type=Path,
        metavar="FILE",
        default=None,
        help="TLS and basic authentication, as Prometheus exporters have it",
    )
    add(
        "--web.telemetry-path",
        dest="telemetry_path",
        type=flagtypes.path,
        default="/metrics",
        metavar="PATH",
        help="of the page of metrics (default: %(default)s)",
    )


def _add_log(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--log.level",
        dest="log_level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="what is logged (default: %(default)s)",
    )
    add(
        "--log.format",
        dest="log_format",
        choices=("text", "json"),
        default="text",
        help="how it is logged (default: %(default)s)",
    )
