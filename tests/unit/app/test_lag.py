"""The longest delay of a window is reported, and the loop's turns are seen."""

from __future__ import annotations

import asyncio

import pytest

from metrics_apiserver.app import lag
from metrics_apiserver.app.lag import LagMeter


@pytest.mark.looptime
async def test_the_longest_delay_of_each_window() -> None:
    loop = asyncio.get_running_loop()
    late = 0.0

    def clock() -> float:
        return loop.time() + late

    reported: list[float] = []
    subject = LagMeter(reported.append, clock=clock)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(subject.run())
        await asyncio.sleep(lag.WINDOW_SECONDS / 2)
        assert reported == []
        late += 2.0  # as if something had held the loop for that long
        await asyncio.sleep(lag.WINDOW_SECONDS)
        assert reported == [pytest.approx(2.0, abs=0.01)]
        assert subject.ticked == pytest.approx(clock(), abs=2 * lag.INTERVAL_SECONDS)
        await asyncio.sleep(lag.WINDOW_SECONDS)
        assert reported[1:] == [pytest.approx(0.0, abs=0.01)]
        running.cancel()


def test_before_the_first_turn_it_counts_from_the_start() -> None:
    assert LagMeter(lambda _seconds: None, clock=lambda: 7.0).ticked == 7.0
