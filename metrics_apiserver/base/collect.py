"""What cannot be used at start, gathered so that all of it is said at once.

Whoever deploys reads one list and mends everything, instead of starting once for each fault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from metrics_apiserver.base import errors

T = TypeVar("T")


class ErrorCollector:
    """Gathers errors.ConfigError.

    Attributes:
        errors: those gathered so far.
    """

    def __init__(self) -> None:
        self.errors: list[errors.ConfigError] = []

    def of(self, make: Callable[[], T]) -> T | None:
        """What `make` gives; None when it cannot be used, which is kept."""
        try:
            return make()
        except errors.ConfigError as error:
            # Several roles may name the same file; its fault is one.
            if str(error) not in map(str, self.errors):
                self.errors.append(error)
            return None

    def settle(self, made: T | None) -> T:
        """`made`, if nothing was wrong so far.

        Raises:
            ExceptionGroup: everything that was.
        """
        if self.errors:
            raise ExceptionGroup("start refused", self.errors)
        if made is None:
            raise AssertionError("nothing is missing without a fault")
        return made
