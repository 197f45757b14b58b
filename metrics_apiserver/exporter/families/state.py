"""Self-metrics of each device: its capabilities and events, which explain absent values.

They are part of the exposition, since only the sampling thread knows them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

from metrics_apiserver.exporter.families.text import MAX_CACHED, MetricFamily, labels
from metrics_apiserver.exporter.model import DeviceState

PREFIX = "gpu_exporter_"
HELP = {
    "devices": "GPUs by condition.",
    "device_lost": "1 while the GPU is lost or must be reset.",
    "mig_enabled": "1 while MIG is on.",
    "capability": "1 if GPU and driver answer the call, 0 if they do not.",
    "last_xid_timestamp_seconds": "When the last XID arrived, epoch seconds.",
}
XIDS = "xid_errors_total"
XIDS_HELP = 'XIDs since the start; xid="any" is their sum, from 0 on.'


@lru_cache(MAX_CACHED)
def _feature_labels(uuid: str, feature: str) -> str:
    return labels([("uuid", uuid), ("feature", feature)])


def build(states: Sequence[DeviceState], absent: Iterable[str]) -> list[MetricFamily]:
    """The metric families.

    Args:
        states: of the GPUs.
        absent: conditions of GPUs that could not be opened.
    """
    found = {name: MetricFamily(PREFIX + name, "gauge", text) for name, text in HELP.items()}
    xids = MetricFamily(PREFIX + XIDS, "counter", XIDS_HELP)
    conditions = Counter(absent)
    for state in states:
        conditions["lost" if state.is_lost else "ok"] += 1
        uuid = ("uuid", state.uuid)
        found["device_lost"].add(labels([uuid]), int(state.is_lost))
        found["mig_enabled"].add(labels([uuid]), int(state.is_mig))
        for name, is_there in sorted(state.capabilities.items()):
            found["capability"].add(_feature_labels(state.uuid, name), int(is_there))
        found["last_xid_timestamp_seconds"].add(labels([uuid]), state.last_xid_at)
        if state.xids is not None:
            xids.add(labels([uuid, ("xid", "any")]), sum(state.xids.values()))
            for xid, count in sorted(state.xids.items()):
                xids.add(labels([uuid, ("xid", str(xid))]), count)
    for condition in ("ok", "lost", "no_permission", "paused"):
        found["devices"].add(labels([("state", condition)]), conditions[condition])
    return [*found.values(), xids]
