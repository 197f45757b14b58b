"""Places are counted and given back, the queue is bounded, a pause is kept and ends."""

from __future__ import annotations

import asyncio
import time

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.prometheus.admission import Admission


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TestPlaces:
    async def test_places_are_given_back_whatever_happens(self) -> None:
        admission = Admission(1, 0, time.monotonic)
        for _ in range(3):
            with pytest.raises(LookupError):
                async with admission.place():
                    raise LookupError

    async def test_the_queue_is_served_in_order(self) -> None:
        admission = Admission(1, 10, time.monotonic)
        order: list[int] = []

        async def call(number: int) -> None:
            async with admission.place():
                await asyncio.sleep(0)
                order.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(call(number))
        assert order == [0, 1, 2, 3, 4]

    async def test_a_full_queue_refuses_and_one_that_left_makes_room(self) -> None:
        admission = Admission(1, 1, time.monotonic)

        async def wait() -> None:
            async with admission.place():
                pass

        async with asyncio.TaskGroup() as group:
            async with admission.place():
                waiting = group.create_task(wait())
                await asyncio.sleep(0)
                with pytest.raises(errors.UpstreamError) as refused:
                    await wait()
                assert refused.value.kind == "overload"
                waiting.cancel()
                await asyncio.wait([waiting])
                second = group.create_task(wait())
                await asyncio.sleep(0)
            await second
        await wait()

    async def test_no_queue_at_all(self) -> None:
        admission = Admission(2, 0, time.monotonic)
        async with admission.place(), admission.place():
            with pytest.raises(errors.UpstreamError):
                async with admission.place():
                    pass


class TestPauses:
    def test_none_at_first(self) -> None:
        Admission(1, 1, Clock()).check_pause()

    @pytest.mark.parametrize("status", [429, 503])
    def test_a_pause_is_kept_and_ends(self, status: int) -> None:
        clock = Clock()
        admission = Admission(1, 1, clock)
        admission.observe(status, "7")
        clock.now += 6
        with pytest.raises(errors.UpstreamError, match="1 s are left") as refused:
            admission.check_pause()
        assert (refused.value.kind, refused.value.status) == ("overload", 429)
        clock.now += 1
        admission.check_pause()

    def test_a_shorter_one_does_not_end_a_longer_one(self) -> None:
        clock = Clock()
        admission = Admission(1, 1, clock)
        admission.observe(429, "9")
        admission.observe(429, "1")
        clock.now += 8
        with pytest.raises(errors.UpstreamError):
            admission.check_pause()

    def test_half_a_minute_at_most(self) -> None:
        clock = Clock()
        admission = Admission(1, 1, clock)
        admission.observe(429, "9" * 30)
        clock.now += 30
        admission.check_pause()

    @pytest.mark.parametrize(
        ("status", "value"),
        [
            *((429, value) for value in ("", "soon", "-1", "1.5", "\u0661", "0")),
            *((status, "7") for status in (200, 400, 502)),
        ],
    )
    def test_other_answers_are_not_heeded(self, status: int, value: str) -> None:
        admission = Admission(1, 1, Clock())
        admission.observe(status, value)
        admission.check_pause()
