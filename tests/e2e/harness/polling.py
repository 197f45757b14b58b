"""Waiting for a fact with a deadline, never for a length of time.

Every wait of the end-to-end tests goes through `until`: it returns as soon as the probe has an
answer, and fails with what was last seen. `hold` is for the one thing that cannot be polled: that
something does not happen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NotReached(AssertionError):
    """A deadline passed; the message says what was waited for and what was seen last."""


def until(
    what: str,
    probe: Callable[[], T | None],
    *,
    timeout: float = 30.0,
    interval: float = 0.1,
    seen: Callable[[], object] | None = None,
) -> T:
    """Calls the probe until it returns something true.

    A probe may raise OSError while its server is still away.

    Args:
        what: the awaited fact, for the message.
        probe: gives the awaited thing, or something false.
        timeout: seconds until NotReached.
        interval: seconds between two probes.
        seen: what to show when the deadline passed; the last answer or error by default.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            answer = probe()
        except OSError as error:
            answer, last = None, repr(error)
        else:
            if answer:
                return answer
            last = answer
        if time.monotonic() >= deadline:
            shown = seen() if seen else last
            raise NotReached(f"{what}: not within {timeout:g} s; last seen: {shown}")
        time.sleep(interval)


def hold(seconds: float) -> None:
    """Lets the environment run on, to see that something does not happen."""
    time.sleep(seconds)
