"""The exporter without threads and HTTP, on a node with a kubelet and with processes of pods."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter.attribution.owners import ProcessOwners
from metrics_apiserver.exporter.attribution.podlogs import PodLogs
from metrics_apiserver.exporter.attribution.settings import AttributionSettings
from metrics_apiserver.exporter.attribution.source import KubeletSource
from metrics_apiserver.exporter.settings import Exposition, Sampling
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from tests.fakes.hostproc import Host
from tests.fakes.kubelet import ContainerAllocation, Kubelet
from tests.fakes.nvml.loaded import EPOCH_SECONDS, FakeNvml
from tests.fakes.nvml.rig import Rig, Text, build_rig
from tests.fakes.nvml.scenario import MIB, gpu_uuid


@dataclass
class Node:
    """A node with GPUs, a kubelet, processes and the exporter."""

    rig: Rig
    kubelet: Kubelet
    host: Host
    source: KubeletSource
    telemetry: ExporterTelemetry

    def sample(self, times: int = 1) -> Text:
        """Fetches allocations from the kubelet, then samples."""
        self.source.refresh()
        return self.rig.sample(times)

    def errors(self, reason: str) -> float:
        """How many attribution errors had this reason."""
        name = "gpu_exporter_attribution_errors_total"
        return self.telemetry.registry.get_sample_value(name, {"reason": reason}) or 0.0


def build_node(
    nvml: FakeNvml,
    kubelet: Kubelet,
    *,
    processes: bool = False,
    exposition: Exposition | None = None,
    holders: AttributionSettings | None = None,
) -> Node:
    """A node around a running kubelet; its /proc is empty.

    Args:
        processes: whether pids are attributed.
    """
    host = Host(nvml.clock.parent / "host")

    def clock() -> float:
        return nvml.now

    telemetry = ExporterTelemetry(CollectorRegistry())
    settings = holders or AttributionSettings(socket=kubelet.socket)
    source = KubeletSource(settings, telemetry, clock, lambda: EPOCH_SECONDS + nvml.now)
    owners = ProcessOwners(host.proc, PodLogs(host.pods, host.containers, clock), clock)
    rig = build_rig(
        nvml,
        sampling=Sampling(settle_seconds=0, processes=processes),
        exposition=exposition,
        owner_of=owners.find if processes else None,
        alive=owners.is_alive if processes else None,
        source=source,
    )
    return Node(rig, kubelet, host, source, telemetry)


def slots(uuid: str, count: int) -> list[str]:
    """The IDs that the plugin advertises for a shared device."""
    return [f"{uuid}::{n}" for n in range(count)]


def share(node: Node, nvml: FakeNvml) -> None:
    """Two pods on a GPU of four slots: one slot, two slots."""
    nvml.scenario.add_gpus(1, util=70, mem_used=6000 * MIB)
    nvml.scenario.process(0, 100, mem=4000 * MIB, sm=15, memu=4)
    nvml.scenario.process(0, 200, mem=2000 * MIB, sm=40, memu=8)
    nvml.write()
    ids = slots(gpu_uuid(0), 4)
    node.kubelet.allocatable = {"nvidia.com/gpu": ids}
    node.kubelet.allocate(
        ContainerAllocation("small", (ids[0],)), ContainerAllocation("large", (ids[1], ids[3]))
    )
    node.host.run(100, "small")
    node.host.run(200, "large")


def share_in_one_pod(node: Node, nvml: FakeNvml) -> None:
    """As `share`, but two containers of one pod have a slot each."""
    share(node, nvml)
    ids = slots(gpu_uuid(0), 4)
    node.kubelet.allocate(
        ContainerAllocation("large", (ids[0],), container="one"),
        ContainerAllocation("large", (ids[1],), container="two"),
    )
    node.host.run(100, "large", "one")
    node.host.run(200, "large", "two")
