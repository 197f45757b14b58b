"""Family (c), `DCGM_CUSTOM_*`: use by process and by container, with Alibaba's labels.

Processes are added up by container and GPU unless single ones are asked for, so that the number of
series follows the pods. A process in a pod that was given no part of the GPU counts as illegal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from metrics_apiserver.exporter.families import granted
from metrics_apiserver.exporter.families.text import MAX_CACHED, Family, labels
from metrics_apiserver.exporter.model import Mode, Pod, Unit
from metrics_apiserver.exporter.rows import Row
from metrics_apiserver.exporter.settings import Exposition
from metrics_apiserver.exporter.usage import Part, Usage

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


class Builder:
    """Writes the family by the settings."""

    def __init__(self, settings: Exposition) -> None:
        self._settings = settings
        self._labels = lru_cache(MAX_CACHED)(self._make_labels)

    def build(self, rows: Sequence[Row], usage: Usage, driver: str) -> list[Family]:
        """The family's metrics.

        Args:
            rows: of the tick.
            usage: of the tick.
            driver: version, a label of the device's series.
        """
        return [
            *self._processes(rows, usage),
            *self._containers(rows),
            *self._devices(rows, driver),
        ]

    def _processes(self, rows: Sequence[Row], usage: Usage) -> list[Family]:
        units = {row.unit.uuid: row.unit for row in rows}
        modes = {row.unit.uuid: row.mode for row in rows}
        found = {
            prefix: [Family(prefix + name, "gauge", text) for name, text in PROCESS]
            for prefix in (LEGAL, ILLEGAL)
        }
        parts: Iterable[Part] = usage.containers.values()
        if self._settings.per_process:
            parts = usage.processes
        for part in parts:
            text = self._part_labels(part, units[part.unit], modes[part.unit])
            values: tuple[float | None, ...] = (None,) * 4
            if part.use is not None:
                use = part.use
                values = (use.sm, use.memory, use.encoder, use.decoder)
            memory = None if part.memory is None else part.memory // _MIB
            families = found[LEGAL if part.is_legal else ILLEGAL]
            for family, value in zip(families, (*values, memory), strict=True):
                family.add(text, value)
        return [*found[LEGAL], *found[ILLEGAL]]

    def _containers(self, rows: Sequence[Row]) -> list[Family]:
        size = Family(MEM_ALLOCATED, "gauge", "Memory granted to the container, MiB.")
        share = Family(
            CP_ALLOCATED,
            "gauge",
            "Share of the computing time granted; 0 where none is set apart.",
        )
        for row in rows:
            if row.holding is None:
                continue
            holding = row.holding
            text = self._labels(row.unit, row.mode, holding.pod, holding.container, None)
            bytes_ = granted.memory(row)
            size.add(text, None if bytes_ is None else bytes_ // _MIB)
            share.add(text, 0)
        return [size, share]

    def _devices(self, rows: Sequence[Row], driver: str) -> list[Family]:
        total = Family(FB_TOTAL, "gauge", "Memory of the GPU, MiB.")
        allocated = Family(FB_ALLOCATED, "gauge", "Share of the GPU's memory granted to pods, 0-1.")
        mode = Family(
            ALLOCATE_MODE, "gauge", "How the node gives GPUs out: 0 none, 1 exclusive, 2 share."
        )
        shares = granted.shares(rows)
        modes = [row.mode for row in rows]
        seen = set()
        for row in rows:
            bytes_ = row.values.get("memory_total")
            if row.unit.parent or bytes_ is None or row.unit.uuid in seen:
                continue
            seen.add(row.unit.uuid)
            text = self._device_labels(row.unit, driver)
            total.add(text, int(bytes_) // _MIB)
            allocated.add(text, shares.get(row.unit.uuid))
        if modes and None not in modes:
            node = labels((("NodeName", self._settings.node),))
            mode.add(node, max(_MODES[one] for one in modes if one is not None))
        return [total, allocated, mode]

    def _part_labels(self, part: Part, unit: Unit, mode: Mode | None) -> str:
        process = (part.pid, part.name, part.kinds) if part.pid else None
        return self._labels(unit, mode, part.pod, part.container, process)

    def _make_labels(
        self,
        unit: Unit,
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
            **_unit_labels(unit),
            **self._settings.extra_labels,
        }
        if process is not None:
            pid, name, kinds = process
            pairs |= {"ProcessId": str(pid), "ProcessName": name, "ProcessType": kinds}
        return labels(sorted(pairs.items()))

    def _device_labels(self, unit: Unit, driver: str) -> str:
        pairs = {
            "DriverVersion": driver,
            "NodeName": self._settings.node,
            **_unit_labels(unit),
            **self._settings.extra_labels,
        }
        return labels(sorted(pairs.items()))


def _unit_labels(unit: Unit) -> dict[str, str]:
    return {
        "UUID": unit.uuid,
        "device": f"nvidia{unit.index}",
        "gpu": str(unit.index),
        "modelName": unit.name,
    }
