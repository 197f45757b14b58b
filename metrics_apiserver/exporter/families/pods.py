"""Family (d): one series for each pod, in units that an HPA can divide by its target.

An average target of 60 means 60 percent of what each pod was allocated, whatever its number of
GPUs. The labels never name the GPU: an adapter that takes one of several series of a pod would show
an arbitrary GPU. A pod with an unknown part has no series: a partial sum is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metrics_apiserver.exporter.families.text import MetricFamily, labels
from metrics_apiserver.exporter.model import (
    DeviceAllocation,
    NodeAllocations,
    NodeUsage,
    Pod,
    Reading,
    UsageRecord,
)

UTILIZATION = "gpu_pod_utilization_percent"
SM = "gpu_pod_sm_utilization_percent"
MEMORY_USED = "gpu_pod_memory_used_bytes"
MEMORY_LIMIT = "gpu_pod_memory_limit_bytes"
MEMORY = "gpu_pod_memory_utilization_percent"
DEVICES = "gpu_pod_devices"
SOURCE = "gpu_pod_source"

HELP = {
    UTILIZATION: "Percent of the GPU time allocated to the pod, mean over the window.",
    SM: "Percent of SM time of whole GPUs, mean over the pod's devices.",
    MEMORY_USED: "GPU memory the pod uses.",
    MEMORY_LIMIT: "GPU memory allocated to the pod.",
    MEMORY: "Used GPU memory in percent of the allocated memory.",
    DEVICES: "GPUs allocated to the pod; shared ones by their share.",
    SOURCE: "1; how the pod's utilisation was found: device, process, gpm or none.",
}


@dataclass(frozen=True, slots=True)
class PodGPUMetrics:
    """A pod's values by metric name; unknown ones are left out."""

    values: Mapping[str, float]
    source: str


@dataclass(slots=True)
class _PodDevice:
    """What a pod uses of one device; None if unknown."""

    share: float | None
    utilization: float | None
    sm: float | None
    used: float | None
    total: float | None
    source: str


class PodMetricsCalculator:
    """Computes pod metrics from readings.

    Args:
        fall_back: give pods on a shared device the values of the device if their own are unknown.
        warmup_seconds: see `settings.Exposition`.
    """

    def __init__(self, fall_back: bool, warmup_seconds: float) -> None:
        self._fall_back = fall_back
        self._warmup_seconds = warmup_seconds
        self._cold_since: dict[Pod, float] = {}
        self._warm: set[Pod] = set()

    def calculate(
        self,
        readings: Iterable[Reading],
        allocations: NodeAllocations,
        usage: NodeUsage,
        now: float,
    ) -> dict[Pod, PodGPUMetrics]:
        """The metrics of every pod with a device.

        Args:
            readings: of the round.
            allocations: of the node.
            usage: of the pods.
            now: monotonic seconds.
        """
        by_uuid = {reading.device.uuid: reading for reading in readings}
        of_pods: dict[Pod, list[DeviceAllocation]] = defaultdict(list)
        for allocation in allocations.devices:
            of_pods[allocation.pod].append(allocation)
        records: dict[tuple[str, Pod], list[UsageRecord]] = defaultdict(list)
        for record in usage.containers.values():
            records[record.device, record.pod].append(record)
        found = {}
        for pod, own in of_pods.items():
            devices = [
                self._of_device(by_uuid.get(uuid), of_device, records[uuid, pod])
                for uuid, of_device in _by_device(own).items()
            ]
            found[pod] = _numbers(devices)
        self._cold_since = {pod: at for pod, at in self._cold_since.items() if pod in found}
        self._warm &= found.keys()
        return {pod: one for pod, one in found.items() if self._is_warm(pod, one, now)}

    def _is_warm(self, pod: Pod, pod_metrics: PodGPUMetrics, now: float) -> bool:
        if self._warmup_seconds <= 0 or pod in self._warm:
            return True
        since = self._cold_since.setdefault(pod, now)
        if pod_metrics.values.get(UTILIZATION, 0) > 0 or now - since >= self._warmup_seconds:
            self._warm.add(pod)
            return True
        return False

    def _of_device(
        self,
        reading: Reading | None,
        allocations: list[DeviceAllocation],
        records: list[UsageRecord],
    ) -> _PodDevice:
        shares = [allocation.share for allocation in allocations]
        is_shared = any(allocation.is_shared for allocation in allocations)
        share: float | None = 1.0
        if is_shared:
            share = None if None in shares else sum(one for one in shares if one is not None)
        if reading is None:
            return _PodDevice(share, None, None, None, None, "none")
        values = reading.values
        total = values.get("memory_total")
        sm, memory = _processes(records)
        if reading.device.parent:
            # NVML reports no process utilisation on MIG instances.
            activity = None if is_shared and not self._fall_back else values.get("sm_util")
            used = None if is_shared and not self._fall_back else values.get("memory_used")
            source = "none" if activity is None else "gpm"
            return _PodDevice(share, activity, activity, used, total, source)
        if not is_shared:
            duty = values.get("duty_cycle")
            source = "none" if duty is None else "device"
            return _PodDevice(share, duty, sm, values.get("memory_used"), total, source)
        if sm is not None and share:
            return _PodDevice(share, min(100.0, sm / share), sm, memory, total, "process")
        if self._fall_back and "duty_cycle" in values:
            return _PodDevice(share, values["duty_cycle"], sm, memory, total, "device")
        return _PodDevice(share, None, sm, memory, total, "none")


def _by_device(allocations: Iterable[DeviceAllocation]) -> dict[str, list[DeviceAllocation]]:
    found: dict[str, list[DeviceAllocation]] = defaultdict(list)
    for allocation in allocations:
        found[allocation.device].append(allocation)
    return found


def _processes(records: list[UsageRecord]) -> tuple[float | None, float | None]:
    """SM time and memory of the pod's processes on one device.

    Includes all its containers, even those without an allocation or with an unknown name.
    """
    sm: float | None = 0.0 if records else None
    memory: float | None = 0 if records else None
    for record in records:
        sm = None if sm is None or record.use is None else sm + record.use.sm
        memory = None if memory is None or record.memory is None else memory + record.memory
    return None if sm is None else min(100.0, sm), memory


def _numbers(devices: list[_PodDevice]) -> PodGPUMetrics:
    values: dict[str, float] = {}
    allocated = _sum(device.share for device in devices)
    if allocated:
        values[DEVICES] = allocated
        weighted = _sum(
            None if device.utilization is None else device.utilization * (device.share or 0)
            for device in devices
        )
        if weighted is not None:
            values[UTILIZATION] = weighted / allocated
    sm = _sum(device.sm for device in devices)
    if sm is not None:
        values[SM] = sm / len(devices)
    used = _sum(device.used for device in devices)
    limit = _sum(
        None if device.total is None or device.share is None else device.total * device.share
        for device in devices
    )
    if used is not None:
        values[MEMORY_USED] = int(used)
    if limit:
        values[MEMORY_LIMIT] = round(limit)
        if used is not None:
            values[MEMORY] = used / limit * 100
    sources = {device.source for device in devices}
    return PodGPUMetrics(values, sources.pop() if len(sources) == 1 else _mixed(sources))


def _mixed(sources: set[str]) -> str:
    return "none" if "none" in sources else "process" if "process" in sources else "gpm"


def _sum(records: Iterable[float | None]) -> float | None:
    total = 0.0
    for record in records:
        if record is None:
            return None
        total += record
    return total


def build(pod_metrics: Mapping[Pod, PodGPUMetrics], node: str) -> list[MetricFamily]:
    """The metric families."""
    found = {name: MetricFamily(name, "gauge", text) for name, text in HELP.items()}
    for pod, one in pod_metrics.items():
        pairs = [("namespace_name", pod.namespace), ("pod_name", pod.name), ("node_name", node)]
        text = labels(pairs)
        for name, value in one.values.items():
            found[name].add(text, value)
        found[SOURCE].add(labels([*pairs, ("source", one.source)]), 1)
    return list(found.values())
