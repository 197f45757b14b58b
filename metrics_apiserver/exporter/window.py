"""The mean of a value over the last seconds: smooth enough for an HPA, short beside its delays.

NVML stamps samples with a clock of its own, so ages within a window are measured by the stamps
alone; our clock only says for how long a window that gets nothing new may still be shown.
"""

from __future__ import annotations

from collections import deque

_CAPACITY = 4096  # bounds the memory whatever rate a driver samples at


class Window:
    """Values of the last `seconds`; what is no longer renewed is held for twice as long."""

    __slots__ = ("_arrival", "_seconds", "_times", "_values")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._times: deque[float] = deque(maxlen=_CAPACITY)
        self._values: deque[float] = deque(maxlen=_CAPACITY)
        self._arrival = float("-inf")

    def add(self, at: float, value: float, now: float) -> None:
        """Takes a value up.

        Args:
            at: when it was true, in seconds of the clock that stamps this window's values.
            value: the value.
            now: monotonic seconds.
        """
        times = self._times
        if times and at < times[-1]:
            self.clear()  # the stamping clock was set back
        times.append(at)
        self._values.append(value)
        while times[0] <= at - self._seconds:
            times.popleft()
            self._values.popleft()
        self._arrival = now

    def mean(self, now: float) -> float | None:
        """None before the first value, and after two windows without a new one."""
        if not self._values or now - self._arrival > 2 * self._seconds:
            return None
        return sum(self._values) / len(self._values)

    def clear(self) -> None:
        """Begins anew: the values before were another holder's."""
        self._times.clear()
        self._values.clear()
