"""Waiting for something instead of sleeping, and loops that run beside a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Returns as soon as the condition holds; fails when it does not in time."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - conditions have no event to wait for
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"did not come true within {seconds} s") from None


@asynccontextmanager
async def running(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs loops beside the block and cancels them at its end; what they raise is raised."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop) for loop in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


@asynccontextmanager
async def spawning() -> AsyncIterator[Callable[[Coroutine[Any, Any, None], str], None]]:
    """A `spawn` as the application gives it; its tasks end with the block."""
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []

        def spawn(coroutine: Coroutine[Any, Any, None], name: str) -> None:
            tasks.append(group.create_task(coroutine, name=name))

        try:
            yield spawn
        finally:
            for task in tasks:
                task.cancel()
