"""One row for each unit and each container that holds it: which values may be shown for whom.

A whole unit's values are its holder's. Of a shared unit, facts (temperature, clocks, totals) are
repeated for every holder, while what a pod uses is its own number or absent; the device's own is
then shown once, without a pod, so that sums come out right. MIG shows its instances for the pods
and the GPU once, without one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metrics_apiserver.exporter import probes
from metrics_apiserver.exporter.model import Allocation, Holding, Mode, Reading, Unit
from metrics_apiserver.exporter.usage import Part, Usage

# What tells how much is used; on a shared unit it is nobody's alone.
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
        *(one.key for one in probes.ACTIVITIES),
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """Values under one set of labels.

    Attributes:
        holding: None where no pod is to be named.
        mode: how the unit is given out; None while that is not known.
    """

    unit: Unit
    values: Mapping[str, float]
    holding: Holding | None = None
    mode: Mode | None = None


def build(
    readings: Iterable[Reading], allocation: Allocation, usage: Usage, fall_back: bool
) -> list[Row]:
    """All rows of a tick.

    Args:
        readings: of the tick.
        allocation: who holds what.
        usage: what processes used.
        fall_back: show a shared unit's own numbers for pods whose own are not known.
    """
    holders: dict[str, list[Holding]] = defaultdict(list)
    for holding in allocation.holdings:
        holders[holding.unit].append(holding)
    found = []
    for reading in readings:
        found += _of_unit(reading, holders.get(reading.unit.uuid, []), allocation, usage, fall_back)
    return found


def _of_unit(
    reading: Reading,
    holders: list[Holding],
    allocation: Allocation,
    usage: Usage,
    fall_back: bool,
) -> list[Row]:
    unit, values = reading.unit, reading.values
    if not holders:
        return [Row(unit, values, None, "none" if allocation.is_known else None)]
    if not any(holding.is_shared for holding in holders):
        return [Row(unit, values, holding, "exclusive") for holding in holders]
    facts = {key: value for key, value in values.items() if key not in USE_KEYS}
    found = []
    told: set[str] = set()
    for holding in holders:
        own = _own(usage.containers.get((unit.uuid, holding.pod, holding.container)))
        told |= own.keys()
        found.append(Row(unit, {**(values if fall_back else facts), **own}, holding, "share"))
    if not fall_back:
        rest = {key: v for key, v in values.items() if key in USE_KEYS and key not in told}
        found.append(Row(unit, rest, None, "share"))
    return found


def _own(part: Part | None) -> dict[str, float]:
    if part is None:
        return {}
    own: dict[str, float] = {}
    if part.use is not None:
        own |= {
            "duty_cycle": part.use.sm,
            "gpu_util": part.use.sm,
            "mem_copy_util": part.use.memory,
            "enc_util": part.use.encoder,
            "dec_util": part.use.decoder,
        }
    if part.memory is not None:
        own |= {"memory_used": part.memory, "memory_used_v1": part.memory}
    return own
