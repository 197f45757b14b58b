"""Activity of a GPU or its MIG instances, measured with GPM; not available before Hopper."""

from __future__ import annotations

import contextlib
from functools import partial

from metrics_apiserver.exporter import probes
from metrics_apiserver.exporter.device_caller import DeviceCaller
from metrics_apiserver.exporter.nvml import gpm
from metrics_apiserver.exporter.nvml.library import Code, Handle, NVMLError
from metrics_apiserver.exporter.values import Values

_CALL = "nvmlGpmMetricsGet"


class ActivityReader:
    """GPM measurements of one GPU, as a whole (`gi` None) or by GPU instance."""

    def __init__(self, caller: DeviceCaller, handle: Handle) -> None:
        self._caller = caller
        self._handle = handle
        self._samplers: dict[int | None, gpm.GpmSampler] = {}

    def measure(self, gi: int | None) -> dict[int, float]:
        """By GPM metric ID; see `gpm.GpmSampler.measure`. Call it once a round for each `gi`."""
        caller = self._caller
        if not caller.allows(_CALL):
            return {}
        sampler = self._samplers.get(gi)
        if sampler is None:
            sampler = caller.attempt(_CALL, partial(self._make, gi))
            if sampler is None:
                return {}
            self._samplers[gi] = sampler
        return caller.attempt(_CALL, partial(sampler.measure, caller.now)) or {}

    def _make(self, gi: int | None) -> gpm.GpmSampler:
        caller = self._caller
        if not gpm.is_supported(caller.library, self._handle):
            raise NVMLError("nvmlGpmQueryDeviceSupport", Code.NOT_SUPPORTED)
        groups = caller.context.settings.groups
        metrics = [one.number for one in probes.GPM_METRICS if not one.group or one.group in groups]
        return gpm.GpmSampler(caller.library, self._handle, gi, metrics)

    def close(self) -> None:
        """Frees what was allocated in NVML; errors are ignored."""
        for sampler in self._samplers.values():
            with contextlib.suppress(NVMLError):
                sampler.close()
        self._samplers.clear()


def keep(values: Values, measured: dict[int, float]) -> None:
    """Stores a measurement, converted to the units of the keys."""
    for one in probes.GPM_METRICS:
        value = measured.get(one.number)
        values.keep(one.key, None if value is None else value * one.factor)
