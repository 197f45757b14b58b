"""The mean of a value over the last seconds: smooth enough for an HPA, short beside its delays.

NVML stamps samples with a clock of its own, so ages within a window are measured by the stamps
alone; our clock only says for how long a window that gets nothing new may still be shown.
"""

from __future__ import annotations

from collections import deque

_CAPACITY = 4096  # bounds the memory whatever rate a driver samples at


class Window:
    """Values of the last `seconds`; what is no longer renewed is held for twice as long."""

    __slots__ = ("_arrival", "_items", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._items: deque[tuple[float, float]] = deque(maxlen=_CAPACITY)
        self._arrival = float("-inf")

    def add(self, at: float, value: float, now: float) -> None:
        """Takes a value up.

        Args:
            at: when it was true, in seconds of the clock that stamps this window's values.
            value: the value.
            now: monotonic seconds.
        """
        items = self._items
        if items and at < items[-1][0]:
            items.clear()  # the stamping clock was set back
        items.append((at, value))
        while items[0][0] <= at - self._seconds:
            items.popleft()
        self._arrival = now

    def mean(self, now: float) -> float | None:
        """None before the first value, and after two windows without a new one."""
        if not self._items or now - self._arrival > 2 * self._seconds:
            return None
        return sum(value for _, value in self._items) / len(self._items)

    def clear(self) -> None:
        """Begins anew: the values before were another holder's."""
        self._items.clear()
