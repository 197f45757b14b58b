"""XIDs and clock event reasons of each GPU since the process started.

The history outlasts re-initialisations of NVML. XIDs are counted from 0 for each GPU that can
report them, so that `rate()` works from the first one on; the last XID is kept for ever, as DCGM
does.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from metrics_apiserver.exporter.model import DeviceState, Reading
from metrics_apiserver.exporter.nvml import events
from metrics_apiserver.exporter.nvml.events import NVMLEvent

RECENT_SECONDS = 300.0
_MAX_XIDS = 64  # distinct XIDs of one GPU
_MAX_RECENT = 4096

# Bit of NVML's clocks event reasons -> value of dcgm-exporter's label `clock_event`.
REASONS = {
    0x1: "gpu_idle",
    0x2: "clocks_setting",
    0x4: "power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal",
    0x40: "hw_thermal",
    0x80: "hw_power_brake",
    0x100: "display_clocks",
}


class _Recent:
    """Counts by name over the last minutes, from one entry per round."""

    def __init__(self) -> None:
        self._items: deque[tuple[float, tuple[str, ...]]] = deque(maxlen=_MAX_RECENT)

    def add(self, now: float, names: Iterable[str]) -> None:
        self._items.append((now, tuple(names)))

    def counts(self, now: float) -> dict[str, int]:
        while self._items and self._items[0][0] <= now - RECENT_SECONDS:
            self._items.popleft()
        return dict(Counter(name for _, names in self._items for name in names))


@dataclass(slots=True)
class _DeviceRecord:
    can_report: bool = False
    xids: Counter[int] = field(default_factory=Counter)
    last_xid: int = 0
    last_xid_at: float | None = None
    recent_xids: _Recent = field(default_factory=_Recent)
    recent_reasons: _Recent = field(default_factory=_Recent)


class DeviceHistory:
    """Records by UUID; records of removed GPUs stay, so that counters do not reset."""

    def __init__(self) -> None:
        self._records: dict[str, _DeviceRecord] = {}

    def begin(self, uuids: Iterable[str], able: frozenset[str]) -> None:
        """NVML was initialised.

        Args:
            uuids: the GPUs there are.
            able: those that report events.
        """
        for uuid in uuids:
            self._records.setdefault(uuid, _DeviceRecord()).can_report = uuid in able

    def add(self, event: NVMLEvent, now: float, wall: float) -> None:
        """Records an event; events of unknown devices are ignored.

        Args:
            event: as it arrived.
            now: monotonic seconds.
            wall: epoch seconds.
        """
        record = self._records.get(event.key)
        if record is None or event.kind != events.XID:
            return
        if event.data in record.xids or len(record.xids) < _MAX_XIDS:
            record.xids[event.data] += 1
            record.recent_xids.add(now, (str(event.data),))
        record.last_xid = event.data
        record.last_xid_at = wall

    def observe(self, uuid: str, values: Mapping[str, float], now: float) -> None:
        """Counts the clock event reasons of one round."""
        record = self._records.get(uuid)
        if record is not None and "clocks_event_reasons" in values:
            record.recent_reasons.add(now, _names(int(values["clocks_event_reasons"])))

    def complete(self, reading: Reading) -> Reading:
        """The reading with the last XID added (0 for none), if the GPU reports XIDs."""
        record = self._records.get(reading.device.uuid)
        if record is None or not record.can_report:
            return reading
        return replace(reading, values={**reading.values, "xid": record.last_xid})

    def state(self, uuid: str, now: float) -> DeviceState:
        """The part of a GPU's state that is known here."""
        record = self._records.get(uuid, _DeviceRecord())
        recent = record.recent_xids.counts(now)
        return DeviceState(
            uuid,
            xids=dict(record.xids) if record.can_report else None,
            last_xid_at=record.last_xid_at,
            recent_xids={int(xid): count for xid, count in recent.items()},
            recent_reasons=record.recent_reasons.counts(now),
        )


def _names(reasons: int) -> Iterator[str]:
    return (name for bit, name in REASONS.items() if reasons & bit)
