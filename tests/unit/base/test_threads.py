"""Where pure work runs: in the caller's thread while small, in another once large."""

from __future__ import annotations

import threading

import pytest

from metrics_apiserver.base import threads


def where(offset: int, *, scale: int = 1) -> tuple[int, int]:
    return threading.get_ident(), offset * scale


async def test_small_work_stays_in_place() -> None:
    assert await threads.run(threads.LARGE, where, 3, scale=2) == (threading.get_ident(), 6)


async def test_large_work_leaves_the_event_loop() -> None:
    ident, value = await threads.run(threads.LARGE + 1, where, 3, scale=2)
    assert ident != threading.get_ident()
    assert value == 6


@pytest.mark.parametrize("size", [1, threads.LARGE + 1])
async def test_errors_of_the_work_are_the_callers(size: int) -> None:
    with pytest.raises(ZeroDivisionError):
        await threads.run(size, divmod, 1, 0)
