"""Collects the configuration errors of a start, so that all of them are reported together.

Whoever deploys reads one list and corrects everything, instead of starting once for each error.
Errors of other kinds are not collected: they are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from metrics_apiserver.base import errors

T = TypeVar("T")


class ErrorCollector:
    """Collects errors.ConfigError.

    Attributes:
        errors: those collected so far.
    """

    def __init__(self) -> None:
        self.errors: list[errors.ConfigError] = []

    def of(self, make: Callable[[], T]) -> T | None:
        """What `make` returns; None when it raises, and the error is kept."""
        try:
            return make()
        except errors.ConfigError as error:
            # Several roles may name the same file; its error is reported once.
            if str(error) not in map(str, self.errors):
                self.errors.append(error)
            return None

    def settle(self, made: T | None) -> T:
        """`made`, if there was no error so far.

        Raises:
            ExceptionGroup: of all errors.
        """
        if self.errors:
            raise ExceptionGroup("start refused", self.errors)
        if made is None:
            raise AssertionError("nothing is missing without an error")
        return made
