"""A coroutine beside a test: in a thread with an event loop of its own, until it is stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any


class Background:
    """Runs from `start` to `stop`.

    Args:
        work: runs until it is cancelled.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._started.wait(10)

    def stop(self) -> None:
        """Cancels the coroutine; what it raised before that is raised here."""
        if self._loop is not None and self._task is not None and not self._task.done():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(30)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._whole())
        except Exception as error:  # noqa: BLE001 - raised again where it is stopped
            self._failure = error

    async def _whole(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._work())
        self._started.set()
        await asyncio.wait([self._task])
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others)
        await asyncio.sleep(0.1)  # aborted connections learn of it in a later turn of the loop
        if not self._task.cancelled():
            self._task.result()
