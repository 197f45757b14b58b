"""GPU performance monitoring (GPM): activity of the units of a GPU or MIG instance.

A measurement is the difference of two samples of the counters, so `GpmSampler` keeps the previous
sample: its two buffers are allocated once and swapped each time. GPUs before Hopper have no such
counters in NVML, and no values are invented for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pynvml

from metrics_apiserver.exporter.nvml.library import Code, Handle, Library, NVMLError

# NVML's GPM metric IDs.
GRAPHICS, SM, SM_OCCUPANCY, TENSOR, DRAM = 1, 2, 3, 5, 10
FP64, FP32, FP16 = 11, 12, 13
PCIE_TX, PCIE_RX, NVLINK_RX, NVLINK_TX = 20, 21, 60, 61

_MIN_SECONDS = 0.1  # NVML refuses samples that are closer together
_MAX_SECONDS = 900.0  # the longest possible interval; after a pause the mean would be outdated


def is_supported(library: Library, handle: Handle) -> bool:
    """Whether the GPU has the counters; raises if the driver has no GPM."""
    return bool(library.call("nvmlGpmQueryDeviceSupport", handle).isSupportedDevice)


class GpmSampler:
    """Measures a GPU or one of its GPU instances.

    Args:
        handle: of the GPU, also for an instance.
        gi: ID of the GPU instance; None for the whole GPU.
        metrics: GPM metric IDs.
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
        """Values since the previous call: percent, or MiB/s for PCIe and NVLink.

        Empty at first and after a pause. Metrics that the GPU does not support are left out.

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
        # The buffers were swapped: _after holds the earlier sample now.
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
