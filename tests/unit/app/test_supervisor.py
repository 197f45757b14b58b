"""Row O9: no loop and no background work ends unseen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from metrics_apiserver.app.supervisor import Supervisor

Bad = Callable[[], Awaitable[None]]


async def forever() -> None:
    await asyncio.Event().wait()


async def returns() -> None:
    await asyncio.sleep(0)


async def raises() -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError


async def raises_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(raises())


async def cancels_itself() -> None:
    await asyncio.sleep(0)
    raise asyncio.CancelledError


async def test_loops_run_until_they_are_told_to_stop() -> None:
    until = asyncio.Event()
    ended: list[str] = []

    async def loop() -> None:
        try:
            await forever()
        finally:
            ended.append("loop")

    async with asyncio.TaskGroup() as group:
        running = group.create_task(Supervisor().run({"a": loop, "b": loop}, until))
        await asyncio.sleep(0.01)
        assert not running.done()
        until.set()
        assert await running is True
    assert ended == ["loop", "loop"]


@pytest.mark.parametrize("bad", [returns, raises, raises_group, cancels_itself])
async def test_a_loop_that_ends_ends_all(bad: Bad, caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []

    async def good() -> None:
        try:
            await forever()
        finally:
            ended.append("good")

    assert await Supervisor().run({"good": good, "bad": bad}, asyncio.Event()) is False
    assert ended == ["good"]
    (record,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert record.__dict__["loop"] == "bad"


@pytest.mark.parametrize("bad", [raises, raises_group, cancels_itself])
async def test_background_work_that_fails_ends_all(
    bad: Bad, caplog: pytest.LogCaptureFixture
) -> None:
    subject = Supervisor()

    async def work() -> None:
        await bad()

    async def loop() -> None:
        subject.spawn(work(), "refresh")
        await forever()

    assert await subject.run({"loop": loop}, asyncio.Event()) is False
    assert [record.__dict__["task"] for record in caplog.records] == ["refresh"]


async def test_background_work_may_end_and_is_ended_with_the_rest() -> None:
    subject = Supervisor()
    until = asyncio.Event()
    done: list[str] = []

    async def short() -> None:
        done.append("short")

    async def long() -> None:
        try:
            await forever()
        finally:
            done.append("long")

    async def loop() -> None:
        subject.spawn(short(), "short")
        subject.spawn(long(), "long")
        await asyncio.sleep(0.01)
        until.set()
        await forever()

    assert await subject.run({"loop": loop}, until) is True
    assert done == ["short", "long"]


async def test_work_that_comes_too_early_or_too_late_is_not_begun() -> None:
    subject = Supervisor()
    subject.spawn(forever(), "early")

    async def loop() -> None:
        try:
            await forever()
        finally:
            # Another loop has ended: the group takes nothing any more.
            subject.spawn(forever(), "while ending")

    assert await subject.run({"loop": loop, "bad": returns}, asyncio.Event()) is False
    subject.spawn(forever(), "late")
