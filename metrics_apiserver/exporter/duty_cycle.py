"""The duty cycle of one GPU: its utilisation, averaged over a window.

The driver samples utilisation several times a second into a buffer. Samples from before sampling
started or from right after initialisation are ignored, invalid ones are dropped. A GPU without a
buffer, or whose buffer has nothing new for some seconds, gets one value a round instead.
"""

from __future__ import annotations

from collections.abc import Iterable

from metrics_apiserver.exporter.device_caller import DeviceCaller
from metrics_apiserver.exporter.nvml.library import Code, Handle
from metrics_apiserver.exporter.window import Window

_SAMPLES = "nvmlDeviceGetSamples"
_GPU_UTILIZATION_SAMPLES = 1
_SILENCE_SECONDS = 5.0  # without a new sample; drivers take several per second


class DutyCycle:
    """Reads the samples and keeps the window.

    Args:
        caller: makes the calls about the GPU.
        handle: of the GPU.
        window_seconds: over which utilisation is averaged.
    """

    def __init__(self, caller: DeviceCaller, handle: Handle, window_seconds: float) -> None:
        self._caller = caller
        self._handle = handle
        self._window = Window(window_seconds)
        self._seen_sample = 0
        self._sampled_at = self._rewound_at = caller.now
        self._was_settled = False

    def update(self, utilization: float | None) -> float | None:
        """The mean as of this round; None if unknown.

        Args:
            utilization: percent, of this round; None if unknown.
        """
        caller = self._caller
        samples = caller.attempt(_SAMPLES, self._fetch_samples, quiet=(Code.NOT_FOUND,))
        has_buffer = samples is not None or self._seen_sample > 0
        if self._add_samples(samples or ()):
            self._sampled_at = caller.now
        elif not has_buffer or caller.now - self._sampled_at >= _SILENCE_SECONDS:
            if utilization is not None:
                self._window.add(caller.now, utilization, caller.now)
            if caller.now - self._rewound_at >= _SILENCE_SECONDS:
                # The driver's clock may have been set back: read the buffer from its start.
                self._rewound_at, self._seen_sample = caller.now, 0
        return self._window.mean(caller.now)

    def clear(self) -> None:
        """Forgets the window, because the device was reallocated."""
        self._window.clear()

    def _fetch_samples(self) -> list[tuple[int, int]]:
        _, found = self._caller.library.call(
            _SAMPLES, self._handle, _GPU_UTILIZATION_SAMPLES, self._seen_sample
        )
        return [(int(one.timeStamp), int(one.sampleValue.uiVal)) for one in found]

    def _add_samples(self, samples: Iterable[tuple[int, int]]) -> bool:
        """Whether at least one sample is usable."""
        # The first result is the whole buffer of the driver, from before sampling started.
        caller, seen = self._caller, self._seen_sample
        is_usable = self._was_settled and seen > 0
        self._was_settled = caller.is_settled
        is_any = False
        for stamp, value in sorted(samples):
            if stamp <= seen:
                continue
            self._seen_sample = stamp
            if not 0 <= value <= 100:
                caller.count_dropped("duty_cycle")
            elif is_usable:
                self._window.add(stamp / 1e6, value, caller.now)
                is_any = True
        return is_any
