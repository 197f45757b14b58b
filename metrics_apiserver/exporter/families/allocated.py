"""The part of each GPU that is allocated to pods; unknown if the share of any container is."""

from __future__ import annotations

from collections.abc import Iterable

from metrics_apiserver.exporter.rows import Row


def memory(row: Row) -> int | None:
    """Bytes allocated to the row's container; None without one, or if its share is unknown."""
    total = row.values.get("memory_total")
    share = row.allocation.share if row.allocation else None
    return None if share is None or total is None else round(total * share)


def shares(rows: Iterable[Row]) -> dict[str, float | None]:
    """GPU UUID -> allocated share of its memory, 0-1; None if unknown."""
    rows = list(rows)
    totals: dict[str, float | None] = {}
    for row in rows:
        if not row.device.parent:
            totals[row.device.uuid] = row.values.get("memory_total") or totals.get(row.device.uuid)
    allocated: dict[str, float | None] = dict.fromkeys(totals, 0.0)
    seen: set[tuple[str, object]] = set()
    for row in rows:
        gpu = row.device.parent or row.device.uuid
        before = allocated.get(gpu)
        if before is None:
            continue
        if row.mode is None:
            allocated[gpu] = None
        elif row.allocation is not None:
            # Containers of one pod count once for a whole device that they use together.
            key = (row.device.uuid, row.allocation if row.mode == "share" else row.allocation.pod)
            if key in seen:
                continue
            seen.add(key)
            size, total = memory(row), totals[gpu]
            allocated[gpu] = None if size is None or not total else min(1.0, before + size / total)
    return allocated
