"""Family (a), `nvidia_gpu_*`: the names of the well-known exporter with Alibaba Cloud's labels.

This is the default for an HPA: no label collides with target labels, so none is renamed to
`exported_*`. duty_cycle is the share of time with a kernel resident, not how busy the GPU was.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from metrics_apiserver.exporter.families import allocated
from metrics_apiserver.exporter.families.text import MAX_CACHED, Metric, MetricFamily, Table, labels
from metrics_apiserver.exporter.model import Device, DeviceAllocation, Mode
from metrics_apiserver.exporter.rows import Row

TABLE = (
    Metric(
        "nvidia_gpu_duty_cycle",
        "gauge",
        "Percent of time with any kernel resident, mean over the window.",
        "duty_cycle",
    ),
    Metric(
        "nvidia_gpu_memory_used_bytes",
        "gauge",
        "Memory used, with what the driver reserves; of a shared GPU the pod's own.",
        "memory_used_v1",
    ),
    Metric("nvidia_gpu_memory_total_bytes", "gauge", "Memory of the device.", "memory_total"),
    Metric(
        "nvidia_gpu_power_usage_milliwatts", "gauge", "Power draw of the board.", "power_milliwatts"
    ),
    Metric("nvidia_gpu_temperature_celsius", "gauge", "Temperature of the chip.", "temperature"),
    Metric(
        "nvidia_gpu_fanspeed_percent",
        "gauge",
        "Intended fan speed in percent of the most; may exceed 100.",
        "fan_percent",
    ),
)
NUM_DEVICES = "nvidia_gpu_num_devices"
ALLOCATED_BYTES = "nvidia_gpu_memory_allocated_bytes"
SHARING_MEMORY = "nvidia_gpu_sharing_memory"
ALLOCATED_DEVICES = "nvidia_gpu_allocated_num_devices"


def build(rows: Sequence[Row], count: int | None, node: str) -> list[MetricFamily]:
    """The metric families.

    Args:
        rows: of the round.
        count: number of GPUs according to NVML; None while it is not initialised.
        node: name of the node.
    """
    found = Table(TABLE)
    allocated_bytes = MetricFamily(
        ALLOCATED_BYTES, "gauge", "Memory allocated to the container on this device."
    )
    sharing = MetricFamily(SHARING_MEMORY, "gauge", "The same, of shared devices only.")
    node_labels = labels((("node_name", node),))
    device_count = MetricFamily(NUM_DEVICES, "gauge", "GPUs on the node.")
    device_count.add(node_labels, count)
    for row in rows:
        text = _labels(row.device, row.allocation, row.mode, node)
        found.add(text, row.values)
        size = allocated.memory(row)
        allocated_bytes.add(text, size)
        if row.mode == "share":
            sharing.add(text, size)
    sums = MetricFamily(
        ALLOCATED_DEVICES, "gauge", "GPUs allocated to pods, shared ones by their share."
    )
    shares = allocated.shares(rows)
    if count is not None and None not in shares.values():
        sums.add(node_labels, float(sum(share for share in shares.values() if share)))
    return [device_count, *found.families, allocated_bytes, sharing, sums]


@lru_cache(MAX_CACHED)
def _labels(
    device: Device, allocation: DeviceAllocation | None, mode: Mode | None, node: str
) -> str:
    pairs = [
        ("minor_number", "" if device.minor is None else str(device.minor)),
        ("uuid", device.uuid),
        ("name", device.name),
        ("allocate_mode", mode or ""),
        ("container_name", allocation.container if allocation else ""),
        ("namespace_name", allocation.pod.namespace if allocation else ""),
        ("node_name", node),
        ("pod_name", allocation.pod.name if allocation else ""),
    ]
    if device.gi is not None:
        pairs.append(("GPU_I_ID", str(device.gi)))
    return labels(pairs)
