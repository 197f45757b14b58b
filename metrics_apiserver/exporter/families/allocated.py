"""How much of each GPU is granted to pods: known only where every holder's part is."""

from __future__ import annotations

from collections.abc import Iterable

from metrics_apiserver.exporter.rows import Row


def memory(row: Row) -> int | None:
    """Bytes granted to the row's holder; None without one, or where its part is not known."""
    total = row.values.get("memory_total")
    share = row.allocation.share if row.allocation else None
    return None if share is None or total is None else round(total * share)


def shares(rows: Iterable[Row]) -> dict[str, float | None]:
    """UUID of each GPU -> the granted part of its memory, 0-1; None where it is not known."""
    rows = list(rows)
    totals: dict[str, float | None] = {}
    for row in rows:
        if not row.device.parent:
            totals[row.device.uuid] = row.values.get("memory_total") or totals.get(row.device.uuid)
    granted: dict[str, float | None] = dict.fromkeys(totals, 0.0)
    seen: set[tuple[str, object]] = set()
    for row in rows:
        gpu = row.device.parent or row.device.uuid
        before = granted.get(gpu)
        if before is None:
            continue
        if row.mode is None:
            granted[gpu] = None
        elif row.allocation is not None:
            # Containers of one pod on one whole device hold it together.
            key = (row.device.uuid, row.allocation if row.mode == "share" else row.allocation.pod)
            if key in seen:
                continue
            seen.add(key)
            size, total = memory(row), totals[gpu]
            granted[gpu] = None if size is None or not total else min(1.0, before + size / total)
    return granted
