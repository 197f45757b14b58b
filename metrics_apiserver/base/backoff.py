"""How long to wait before a failed call is repeated: exponential with jitter, and capped.

The cap is low where a server that comes back must be seen within two seconds. It knows no
errors and no retry rules: callers decide what may be repeated.
"""

from __future__ import annotations

import random
from collections.abc import Callable


def no_jitter() -> float:
    """For a single client, whose retries need no spreading: delays are exact."""
    return 1.0


class Backoff:
    """Delays in seconds, from `first` doubling up to `last`, each shortened by up to a half."""

    def __init__(
        self,
        *,
        first: float = 0.2,
        last: float = 5.0,
        factor: float = 2.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._first = first
        self._last = last
        self._factor = factor
        self._jitter = jitter
        self._next = first

    def next(self) -> float:
        """The delay for one more failure."""
        delay = self._next
        self._next = min(self._last, delay * self._factor)
        return max(self._first / 2, delay * (0.5 + self._jitter() / 2))

    def reset(self) -> None:
        """After a success."""
        self._next = self._first
