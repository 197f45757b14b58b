"""CPU-bound work that grows with a response: in place while small, in a thread when large.

A thread makes nothing faster; it keeps the event loop responsive while a list of a hundred thousand
objects is built. Only pure functions of values that do not change may be run here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

LARGE = 2000  # objects or samples: more than a few milliseconds of work

P = ParamSpec("P")
T = TypeVar("T")


async def run(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work`.

    Args:
        size: number of objects that it goes through.
        work: a pure function.
        args: its arguments.
        kwargs: its named arguments.
    """
    if size > LARGE:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)
