"""GPU performance monitoring: activity of the parts of a GPU or MIG instance, on Hopper and later.

A measurement is the difference of two samples of the counters, so `GpmSampler` keeps the previous
sample: its two buffers are allocated once and swapped each time. Older GPUs have no such counters
in NVML, and no values are invented for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pynvml

from metrics_apiserver.exporter.nvml.library import Code, Handle, Library, NVMLError

# NVML's numbers of the metrics.
GRAPHICS, SM, SM_OCCUPANCY, TENSOR, DRAM = 1, 2, 3, 5, 10
FP64, FP32, FP16 = 11, 12, 13
PCIE_TX, PCIE_RX, NVLINK_RX, NVLINK_TX = 20, 21, 60, 61

_MIN_SECONDS = 0.1  # snapshots that are nearer to each other are refused
_MAX_SECONDS = 900.0  # the slowest rounds there can be; after a pause the mean is of another time


def is_supported(library: Library, handle: Handle) -> bool:
    """Whether the GPU has the counters; a driver without GPM fails instead."""
    return bool(library.call("nvmlGpmQueryDeviceSupport", handle).isSupportedDevice)


class GpmSampler:
    """Measures one GPU, or one GPU instance of it.

    Args:
        handle: of the GPU, also for an instance.
        gi: the GPU instance, or None for the whole.
        metrics: numbers to ask for.
    """

    def __init__(
        self, library: Library, handle: Handle, gi: int | None, metrics: Sequence[int]
    ) -> None:
        self._library = library
        self._handle = handle
        self._gi = gi
        self._metrics = tuple(metrics)
        self._before: Any = library.call("nvmlGpmSampleAlloc")
        try:
            self._after: Any = library.call("nvmlGpmSampleAlloc")
        except NVMLError:
            library.call("nvmlGpmSampleFree", self._before)
            raise
        self._taken_at: float | None = None

    def close(self) -> None:
        """Frees the samples; NVML must still be initialised."""
        for sample in (self._before, self._after):
            self._library.call("nvmlGpmSampleFree", sample)

    def measure(self, now: float) -> dict[int, float]:
        """Values since the last call: percent, or MiB a second for PCIe and NVLink.

        Empty at first and after a pause. Metrics that the board lacks are left out.

        Args:
            now: monotonic seconds.
        """
        if self._taken_at is not None and now - self._taken_at < _MIN_SECONDS:
            return {}
        self._take()
        earlier, self._taken_at = self._taken_at, now
        self._before, self._after = self._after, self._before
        if earlier is None or now - earlier > _MAX_SECONDS:
            return {}
        return self._difference()

    def _take(self) -> None:
        if self._gi is None:
            self._library.call("nvmlGpmSampleGet", self._handle, self._after)
        else:
            self._library.call("nvmlGpmMigSampleGet", self._handle, self._gi, self._after)

    def _difference(self) -> dict[int, float]:
        # The two have changed places: _after holds the earlier one now.
        request = pynvml.c_nvmlGpmMetricsGet_t()
        request.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        request.numMetrics = len(self._metrics)
        request.sample1, request.sample2 = self._after, self._before
        for index, metric in enumerate(self._metrics):
            request.metrics[index].metricId = metric
        self._library.call("nvmlGpmMetricsGet", request)
        return {
            int(one.metricId): float(one.value)
            for one in request.metrics[: len(self._metrics)]
            if one.nvmlReturn == Code.SUCCESS and one.value == one.value  # NaN
        }
