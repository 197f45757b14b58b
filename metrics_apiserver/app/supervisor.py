"""Every long-lived task of the process, by name.

A loop that raises *or returns* ends the process with its name in the log: a server whose watch or
relist has silently died would go on answering with what it knew then. Background work that others
ask for (`spawn`) runs in the same group, so nothing outlives the process unseen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

log = logging.getLogger(__name__)

Loop = Callable[[], Awaitable[None]]


class LoopEnded(Exception):
    """A loop that must not end has ended."""


class Supervisor:
    """Runs named loops until it is told to stop or one of them ends."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Starts background work; an exception in it ends the process as a loop's does."""
        if self._group is None:
            work.close()
            return
        guarded = self._background(work, name)
        try:
            task = self._group.create_task(guarded, name=name)
        except RuntimeError:
            # The group is ending, because one of its loops has.
            guarded.close()
            work.close()
            return
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self, loops: Mapping[str, Loop], until: asyncio.Event) -> bool:
        """Runs the loops until `until` is set; False when one of them ended before."""
        good = True
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for name, loop in loops.items():
                    self._tasks.add(group.create_task(_guarded(name, loop), name=name))
                await until.wait()
                self._group = None
                for task in self._tasks:
                    task.cancel()
        except* LoopEnded:
            good = False
        finally:
            self._group = None
        return good

    async def _background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except (Exception, asyncio.CancelledError) as error:
            _reraise_if_asked_to_end(error)
            log.critical("background work failed", extra={"task": name}, exc_info=error)
            raise LoopEnded(name) from error


async def _guarded(name: str, loop: Loop) -> None:
    try:
        await loop()
    except (Exception, asyncio.CancelledError) as error:
        _reraise_if_asked_to_end(error)
        log.critical("loop failed; the process ends", extra={"loop": name}, exc_info=error)
        raise LoopEnded(name) from error
    log.critical("loop ended unexpectedly; the process ends", extra={"loop": name})
    raise LoopEnded(name)


def _reraise_if_asked_to_end(error: BaseException) -> None:
    """A task group takes a cancelled task for one that ended well, whoever cancelled it."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
