"""Activity of a GPU or its MIG instances by GPM; nothing on boards before Hopper."""

from __future__ import annotations

import contextlib
from functools import partial

from metrics_apiserver.exporter import probes
from metrics_apiserver.exporter.asking import Asker
from metrics_apiserver.exporter.nvml import gpm
from metrics_apiserver.exporter.nvml.library import Code, Failure, Handle
from metrics_apiserver.exporter.values import Values

_CALL = "nvmlGpmMetricsGet"


class Activity:
    """The measurements of one GPU, whole (`gi` None) or by GPU instance."""

    def __init__(self, asker: Asker, handle: Handle) -> None:
        self._asker = asker
        self._handle = handle
        self._samplers: dict[int | None, gpm.Sampler] = {}

    def measure(self, gi: int | None) -> dict[int, float]:
        """By GPM's number; see `gpm.Sampler.measure`. Call it once a tick for each."""
        asker = self._asker
        if not asker.allows(_CALL):
            return {}
        sampler = self._samplers.get(gi)
        if sampler is None:
            sampler = asker.ask(_CALL, partial(self._make, gi))
            if sampler is None:
                return {}
            self._samplers[gi] = sampler
        return asker.ask(_CALL, partial(sampler.measure, asker.now)) or {}

    def _make(self, gi: int | None) -> gpm.Sampler:
        asker = self._asker
        if not gpm.is_supported(asker.library, self._handle):
            raise Failure("nvmlGpmQueryDeviceSupport", Code.NOT_SUPPORTED)
        groups = asker.context.settings.groups
        metrics = [one.number for one in probes.ACTIVITIES if not one.group or one.group in groups]
        return gpm.Sampler(asker.library, self._handle, gi, metrics)

    def close(self) -> None:
        """Frees what was allocated in NVML; its errors do not matter any more."""
        for sampler in self._samplers.values():
            with contextlib.suppress(Failure):
                sampler.close()
        self._samplers.clear()


def keep(values: Values, measured: dict[int, float]) -> None:
    """Stores a measurement in the units of the keys."""
    for one in probes.ACTIVITIES:
        value = measured.get(one.number)
        values.keep(one.key, None if value is None else value * one.factor)
