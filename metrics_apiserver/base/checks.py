"""Checks that flags declare: each takes a value and yields what is wrong with it, or nothing.

A message completes the flag's name into a sentence: `--max-connections: must be greater than 0`.
Checks of one flag alone are here; which flags contradict each other is the settings' `validate`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from metrics_apiserver.base.errors import ConfigError

Check = Callable[[Any], Iterator[str]]


def positive(value: float) -> Iterator[str]:
    """A number or a length of time that cannot be nothing."""
    if value <= 0:
        yield "must be greater than 0"


def not_negative(value: float) -> Iterator[str]:
    """A number or a length of time that may be nothing."""
    if value < 0:
        yield "must not be negative"


def not_empty(message: str) -> Check:
    """Something must be given."""

    def check(value: Any) -> Iterator[str]:
        if not value:
            yield message

    return check


def between(least: float, most: float, message: str) -> Check:
    """A number in a range, its ends included."""

    def check(value: float) -> Iterator[str]:
        if not least <= value <= most:
            yield message

    return check


def matches(form: re.Pattern[str], message: str) -> Check:
    """A text of a form, or an empty one."""

    def check(value: str) -> Iterator[str]:
        if value and form.fullmatch(value) is None:
            yield message

    return check


def accepted_by(read: Callable[[Any], object]) -> Check:
    """What a reader accepts that raises ConfigError."""

    def check(value: Any) -> Iterator[str]:
        try:
            read(value)
        except ConfigError as error:
            yield from (one.message for one in error.diagnostics)

    return check
