"""The exporter's command line: words in, `Settings` out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence

from metrics_apiserver.exporter.commandline import WrongFlags, read
from metrics_apiserver.exporter.options import parser
from metrics_apiserver.exporter.settings import Exposition, Holders, Sampling, Settings, Web


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
        SystemExit: 0 after --help and --version.
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
