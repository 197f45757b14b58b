"""Family (c), `DCGM_CUSTOM_*`: usage by process and by container, with Alibaba Cloud's labels.

Processes are summed by container and GPU unless `--per-process` is set, so that the number of
series follows the number of pods. A process of a pod that the GPU is not allocated to counts as
illegal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from metrics_apiserver.exporter.families import allocated
from metrics_apiserver.exporter.families.text import MAX_CACHED, MetricFamily, labels
from metrics_apiserver.exporter.model import Device, Mode, NodeUsage, Pod, UsageRecord
from metrics_apiserver.exporter.rows import Row
from metrics_apiserver.exporter.settings import Exposition

_MIB = 1 << 20

PROCESS = (
    ("SM_UTIL", "Percent of the GPU's SM time."),
    ("MEM_COPY_UTIL", "Percent of the GPU's memory time."),
    ("ENCODE_UTIL", "Percent of the encoder's time."),
    ("DECODE_UTIL", "Percent of the decoder's time."),
    ("MEM_USED", "Memory held, MiB."),
)
LEGAL, ILLEGAL = "DCGM_CUSTOM_PROCESS_", "DCGM_CUSTOM_ILLEGAL_PROCESS_"
MEM_ALLOCATED = "DCGM_CUSTOM_CONTAINER_MEM_ALLOCATED"
CP_ALLOCATED = "DCGM_CUSTOM_CONTAINER_CP_ALLOCATED"
FB_TOTAL = "DCGM_CUSTOM_DEV_FB_TOTAL"
FB_ALLOCATED = "DCGM_CUSTOM_DEV_FB_ALLOCATED"
ALLOCATE_MODE = "DCGM_CUSTOM_ALLOCATE_MODE"
_MODES = {"none": 0, "exclusive": 1, "share": 2}


class CustomBuilder:
    """Builds the family."""

    def __init__(self, settings: Exposition) -> None:
        self._settings = settings
        self._labels = lru_cache(MAX_CACHED)(self._make_labels)

    def build(self, rows: Sequence[Row], usage: NodeUsage, driver: str) -> list[MetricFamily]:
        """The metric families.

        Args:
            rows: of the round.
            usage: of the round.
            driver: version, a label of the device series.
        """
        return [
            *self._processes(rows, usage),
            *self._containers(rows),
            *self._devices(rows, driver),
        ]

    def _processes(self, rows: Sequence[Row], usage: NodeUsage) -> list[MetricFamily]:
        devices = {row.device.uuid: row.device for row in rows}
        modes = {row.device.uuid: row.mode for row in rows}
        found = {
            prefix: [MetricFamily(prefix + name, "gauge", text) for name, text in PROCESS]
            for prefix in (LEGAL, ILLEGAL)
        }
        records: Iterable[UsageRecord] = usage.containers.values()
        if self._settings.per_process:
            records = usage.processes
        for record in records:
            text = self._record_labels(record, devices[record.device], modes[record.device])
            values: tuple[float | None, ...] = (None,) * 4
            if record.use is not None:
                use = record.use
                values = (use.sm, use.memory, use.encoder, use.decoder)
            memory = None if record.memory is None else record.memory // _MIB
            families = found[LEGAL if record.is_legal else ILLEGAL]
            for family, value in zip(families, (*values, memory), strict=True):
                family.add(text, value)
        return [*found[LEGAL], *found[ILLEGAL]]

    def _containers(self, rows: Sequence[Row]) -> list[MetricFamily]:
        size = MetricFamily(MEM_ALLOCATED, "gauge", "Memory allocated to the container, MiB.")
        share = MetricFamily(
            CP_ALLOCATED,
            "gauge",
            "Share of the computing time allocated; 0 if none is reserved.",
        )
        for row in rows:
            if row.allocation is None:
                continue
            allocation = row.allocation
            text = self._labels(row.device, row.mode, allocation.pod, allocation.container, None)
            bytes_ = allocated.memory(row)
            size.add(text, None if bytes_ is None else bytes_ // _MIB)
            share.add(text, 0)
        return [size, share]

    def _devices(self, rows: Sequence[Row], driver: str) -> list[MetricFamily]:
        total = MetricFamily(FB_TOTAL, "gauge", "Memory of the GPU, MiB.")
        allocated_share = MetricFamily(
            FB_ALLOCATED, "gauge", "Share of the GPU's memory allocated to pods, 0-1."
        )
        mode = MetricFamily(
            ALLOCATE_MODE, "gauge", "How the node gives GPUs out: 0 none, 1 exclusive, 2 share."
        )
        shares = allocated.shares(rows)
        modes = [row.mode for row in rows]
        seen = set()
        for row in rows:
            bytes_ = row.values.get("memory_total")
            if row.device.parent or bytes_ is None or row.device.uuid in seen:
                continue
            seen.add(row.device.uuid)
            text = self._device_labels(row.device, driver)
            total.add(text, int(bytes_) // _MIB)
            allocated_share.add(text, shares.get(row.device.uuid))
        if modes and None not in modes:
            node = labels((("NodeName", self._settings.node),))
            mode.add(node, max(_MODES[one] for one in modes if one is not None))
        return [total, allocated_share, mode]

    def _record_labels(self, record: UsageRecord, device: Device, mode: Mode | None) -> str:
        process = (record.pid, record.name, record.kinds) if record.pid else None
        return self._labels(device, mode, record.pod, record.container, process)

    def _make_labels(
        self,
        device: Device,
        mode: Mode | None,
        pod: Pod,
        container: str,
        process: tuple[int, str, str] | None,
    ) -> str:
        pairs = {
            "AllocateMode": mode or "",
            "ContainerName": container,
            "NamespaceName": pod.namespace,
            "NodeName": self._settings.node,
            "PodName": pod.name,
            **_gpu_labels(device),
            **self._settings.extra_labels,
        }
        if process is not None:
            pid, name, kinds = process
            pairs |= {"ProcessId": str(pid), "ProcessName": name, "ProcessType": kinds}
        return labels(sorted(pairs.items()))

    def _device_labels(self, device: Device, driver: str) -> str:
        pairs = {
            "DriverVersion": driver,
            "NodeName": self._settings.node,
            **_gpu_labels(device),
            **self._settings.extra_labels,
        }
        return labels(sorted(pairs.items()))


def _gpu_labels(device: Device) -> dict[str, str]:
    return {
        "UUID": device.uuid,
        "device": f"nvidia{device.index}",
        "gpu": str(device.index),
        "modelName": device.name,
    }
