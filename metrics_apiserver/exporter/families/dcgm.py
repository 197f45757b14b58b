"""Family (b): the metrics of dcgm-exporter that NVML can supply, with its labels.

Names and types follow its default-counters.csv and DCGM's field table; profiling metrics (`PROF`)
need Hopper or later. NVLINK_BANDWIDTH_TOTAL is a rate that DCGM calls a counter: here it is a
gauge, unless strict types are enabled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from metrics_apiserver.exporter import device_history
from metrics_apiserver.exporter.families.dcgmtable import (
    CLOCK_EVENTS,
    COUNT,
    NVLINK,
    TABLE,
    XID_COUNT,
)
from metrics_apiserver.exporter.families.text import MAX_CACHED, MetricFamily, Table, labels
from metrics_apiserver.exporter.model import Device, DeviceAllocation, DeviceState
from metrics_apiserver.exporter.rows import Row
from metrics_apiserver.exporter.settings import Exposition

_WINDOW_MS = str(int(device_history.RECENT_SECONDS * 1000))


@dataclass(frozen=True, slots=True)
class _Names:
    """Label names of one label style."""

    uuid: str
    container: str
    namespace: str
    pod: str
    node: str = ""


_STYLES = {
    "dcgm": _Names("UUID", "container", "namespace", "pod"),
    "dcgm-old": _Names("uuid", "container_name", "pod_namespace", "pod_name"),
    "alibaba": _Names("UUID", "ContainerName", "NamespaceName", "PodName", "NodeName"),
}


class DcgmBuilder:
    """Builds the family.

    Args:
        settings: label style, groups and constant labels.
    """

    def __init__(self, settings: Exposition) -> None:
        self._settings = settings
        self._names = _STYLES[settings.label_style]
        self._labels = lru_cache(MAX_CACHED)(lambda *key: labels(self._pairs(*key)))
        self._table = tuple(
            replace(one, kind="counter")
            if one.name == NVLINK and settings.strict_dcgm_types
            else one
            for one in TABLE
            if not one.group or one.group in settings.groups
        )

    def build(
        self, rows: Sequence[Row], states: Iterable[DeviceState], driver: str, count: int | None
    ) -> list[MetricFamily]:
        """The metric families.

        Args:
            rows: of the round.
            states: for the counts of recent events.
            driver: version, a label of every series.
            count: number of GPUs according to NVML.
        """
        found = Table(self._table)
        for row in rows:
            found.add(self._labels(row.device, row.allocation, driver), row.values)
        devices = {row.device.uuid: row.device for row in rows if not row.device.parent}
        # One series for each GPU, whatever is allocated, so that counting the series is right too.
        device_count = MetricFamily(COUNT, "gauge", "GPUs on the node; once for each of them.")
        for device in devices.values():
            device_count.add(self._labels(device, None, driver), count)
        families = [*found.families, device_count]
        if "exp" in self._settings.groups:
            families += self._recent(devices, states, driver)
        return families

    def _recent(
        self, devices: Mapping[str, Device], states: Iterable[DeviceState], driver: str
    ) -> list[MetricFamily]:
        xids = MetricFamily(XID_COUNT, "gauge", "XIDs by number in the window.")
        reasons = MetricFamily(CLOCK_EVENTS, "gauge", "Samples by clock event in the window.")
        for state in states:
            device = devices.get(state.uuid)
            if device is None:
                continue
            pairs = self._pairs(device, None, driver)
            window = ("window_size_in_ms", _WINDOW_MS)
            for xid, count in sorted(state.recent_xids.items()):
                xids.add(labels([*pairs, window, ("xid", str(xid))]), count)
            for reason, count in sorted(state.recent_reasons.items()):
                reasons.add(labels([*pairs, ("clock_event", reason), window]), count)
        return [xids, reasons]

    def _pairs(
        self, device: Device, allocation: DeviceAllocation | None, driver: str
    ) -> list[tuple[str, str]]:
        names, settings = self._names, self._settings
        pairs = [
            ("gpu", str(device.index)),
            (names.uuid, device.parent or device.uuid),
            ("pci_bus_id", device.bus_id),
            ("device", f"nvidia{device.index}"),
            ("modelName", device.name),
        ]
        if device.gi is not None:
            pairs += [("GPU_I_PROFILE", device.profile), ("GPU_I_ID", str(device.gi))]
        if settings.hostname_label != "none":
            pairs.append((settings.hostname_label, settings.node))
        constant = {"DCGM_FI_DRIVER_VERSION": driver, **settings.extra_labels}
        if names.node:
            constant[names.node] = settings.node
        pairs += sorted(constant.items())
        if allocation is not None:
            pairs += sorted(
                (
                    (names.container, allocation.container),
                    (names.namespace, allocation.pod.namespace),
                    (names.pod, allocation.pod.name),
                )
            )
        return pairs
