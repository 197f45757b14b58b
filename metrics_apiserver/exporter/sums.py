"""Adding up what processes use: None is not known and makes a sum that is not known either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple

from metrics_apiserver.exporter.model import ProcessUtilization

ZERO = ProcessUtilization(0, 0, 0, 0)


def add(
    one: ProcessUtilization | None, other: ProcessUtilization | None
) -> ProcessUtilization | None:
    """Both together."""
    if one is None or other is None:
        return None
    return ProcessUtilization(
        one.sm + other.sm,
        one.memory + other.memory,
        one.encoder + other.encoder,
        one.decoder + other.decoder,
    )


def normalized(
    uses: Mapping[int, ProcessUtilization | None],
) -> Mapping[int, ProcessUtilization | None]:
    """The same, by pid, with no more in sum than the whole device.

    The driver's samples of processes are of different moments, and under MPS kernels run side by
    side, so that sums can pass 100; shares of one device cannot.
    """
    known = [astuple(one) for one in uses.values() if one is not None]
    totals = [sum(column) for column in zip(*known, strict=True)]
    if all(total <= 100 for total in totals):
        return uses
    sm, memory, encoder, decoder = (100 / total if total > 100 else 1.0 for total in totals)
    return {
        pid: one
        and ProcessUtilization(
            one.sm * sm, one.memory * memory, one.encoder * encoder, one.decoder * decoder
        )
        for pid, one in uses.items()
    }
