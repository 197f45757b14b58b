"""The mean of a value over a sliding window: smooth enough for an HPA, and short enough.

NVML stamps samples with its own clock, so ages within a window are measured by those timestamps
alone. The local clock only decides how long a window without new values may still be shown.
"""

from __future__ import annotations

from collections import deque

_CAPACITY = 4096  # bounds memory, whatever the sampling rate of the driver


class Window:
    """Values of the last `seconds`; without new values, their mean is shown for twice that time."""

    __slots__ = ("_arrival", "_seconds", "_times", "_values")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._times: deque[float] = deque(maxlen=_CAPACITY)
        self._values: deque[float] = deque(maxlen=_CAPACITY)
        self._arrival = float("-inf")

    def add(self, at: float, value: float, now: float) -> None:
        """Adds a value.

        Args:
            at: timestamp of the value, in seconds of the clock that stamps this window's values.
            value: the value.
            now: monotonic seconds.
        """
        times = self._times
        if times and at < times[-1]:
            self.clear()  # the driver's clock was set back
        times.append(at)
        self._values.append(value)
        while times[0] <= at - self._seconds:
            times.popleft()
            self._values.popleft()
        self._arrival = now

    def mean(self, now: float) -> float | None:
        """The mean; None before the first value, and after two windows without a new one."""
        if not self._values or now - self._arrival > 2 * self._seconds:
            return None
        return sum(self._values) / len(self._values)

    def clear(self) -> None:
        """Removes all values, because the device was reallocated."""
        self._times.clear()
        self._values.clear()
