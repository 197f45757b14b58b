"""Sums of what processes use; a sum with an unknown part is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple

from metrics_apiserver.exporter.model import ProcessUtilization

ZERO = ProcessUtilization(0, 0, 0, 0)


def add(
    one: ProcessUtilization | None, other: ProcessUtilization | None
) -> ProcessUtilization | None:
    """The sum of two utilisations; None if either is unknown."""
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
    """The utilisations by pid, scaled down so that they add up to at most 100 percent.

    The driver samples processes at different moments, and kernels run concurrently under MPS, so
    the raw sum can exceed 100. Shares of one device cannot.
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
