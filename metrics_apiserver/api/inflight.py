"""How many requests are worked on at once, with places that ordinary callers cannot take.

Above the limit a request is refused with 429 at once instead of queueing, as kube-apiserver's
max-in-flight filter does. Discovery, health and `system:masters` may go into a reserve, so that an
APIService stays available while its metrics are in too much demand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from metrics_apiserver.base import errors


class InFlight:
    """Counts requests.

    Args:
        limit: places for everybody.
        reserve: further places for those who may use them.

    Attributes:
        current: places taken now.
        refused: requests turned away so far.
    """

    def __init__(self, limit: int, reserve: int = 100) -> None:
        self._limit = limit
        self._reserve = reserve
        self.current = 0
        self.refused = 0

    @contextmanager
    def place(self, *, reserved: bool = False) -> Iterator[None]:
        """Holds one place.

        Args:
            reserved: the request may use the reserve.

        Raises:
            errors.TooManyRequests: none is free.
        """
        if self.current >= self._limit + (self._reserve if reserved else 0):
            self.refused += 1
            raise errors.TooManyRequests
        self.current += 1
        try:
            yield
        finally:
            self.current -= 1
