"""One row for each device and each container that it is allocated to: which values go to whom.

The values of a device that is allocated as a whole are those of its pod. On a shared device, facts
(temperature, clocks, totals) are repeated for every container, while what a pod uses is measured
for it or absent; the use of the whole device is then shown once, without a pod, so that sums are
right. With MIG on, pods get the values of their instances, and the GPU is shown once without one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metrics_apiserver.exporter import probes
from metrics_apiserver.exporter.model import (
    Device,
    DeviceAllocation,
    Mode,
    NodeAllocations,
    NodeUsage,
    Reading,
    UsageRecord,
)

# Usage of a device; on a shared device it belongs to no single pod.
USE_KEYS = frozenset(
    {
        "duty_cycle",
        "gpu_util",
        "sm_util",
        "mem_copy_util",
        "enc_util",
        "dec_util",
        "memory_used",
        "memory_used_v1",
        "memory_free",
        "memory_used_share",
        "nvlink_bandwidth",
        *(one.key for one in probes.GPM_METRICS),
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """Values under one set of labels.

    Attributes:
        allocation: None for values without a pod.
        mode: how the device is allocated; None while that is unknown.
    """

    device: Device
    values: Mapping[str, float]
    allocation: DeviceAllocation | None = None
    mode: Mode | None = None


def build(
    readings: Iterable[Reading], allocations: NodeAllocations, usage: NodeUsage, fall_back: bool
) -> list[Row]:
    """All rows of a round.

    Args:
        readings: of the round.
        allocations: of the node.
        usage: of the pods.
        fall_back: give pods on a shared device the values of the device if their own are unknown.
    """
    by_device: dict[str, list[DeviceAllocation]] = defaultdict(list)
    for allocation in allocations.devices:
        by_device[allocation.device].append(allocation)
    found = []
    for reading in readings:
        found += _of_device(
            reading, by_device.get(reading.device.uuid, []), allocations, usage, fall_back
        )
    return found


def _of_device(
    reading: Reading,
    allocated: list[DeviceAllocation],
    allocations: NodeAllocations,
    usage: NodeUsage,
    fall_back: bool,
) -> list[Row]:
    device, values = reading.device, reading.values
    if not allocated:
        return [Row(device, values, None, "none" if allocations.is_known else None)]
    if not any(allocation.is_shared for allocation in allocated):
        return [Row(device, values, allocation, "exclusive") for allocation in allocated]
    facts = {key: value for key, value in values.items() if key not in USE_KEYS}
    found = []
    shown: set[str] = set()
    for allocation in allocated:
        own = _own(usage.containers.get((device.uuid, allocation.pod, allocation.container)))
        shown |= own.keys()
        found.append(Row(device, {**(values if fall_back else facts), **own}, allocation, "share"))
    if not fall_back:
        rest = {key: v for key, v in values.items() if key in USE_KEYS and key not in shown}
        found.append(Row(device, rest, None, "share"))
    return found


def _own(record: UsageRecord | None) -> dict[str, float]:
    if record is None:
        return {}
    own: dict[str, float] = {}
    if record.use is not None:
        own |= {
            "duty_cycle": record.use.sm,
            "gpu_util": record.use.sm,
            "mem_copy_util": record.use.memory,
            "enc_util": record.use.encoder,
            "dec_util": record.use.decoder,
        }
    if record.memory is not None:
        own |= {"memory_used": record.memory, "memory_used_v1": record.memory}
    return own
