"""TTLCache forgets by age and by room; SingleFlight shares work, errors and nothing else."""

from __future__ import annotations

import asyncio
import gc
from functools import partial

import pytest

from metrics_apiserver.base.caching import SingleFlight, TTLCache


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TestTTLCache:
    def test_an_entry_lives_for_its_ttl(self) -> None:
        clock = Clock()
        cache: TTLCache[str, int] = TTLCache(10, clock)
        cache.put("a", 1, 5)
        clock.now += 4.999
        assert cache.get("a") == 1
        clock.now += 0.001
        assert cache.get("a") is None
        assert len(cache) == 0

    def test_reading_does_not_prolong(self) -> None:
        clock = Clock()
        cache: TTLCache[str, int] = TTLCache(10, clock)
        cache.put("a", 1, 5)
        for _ in range(5):
            clock.now += 1
            cache.get("a")
        assert cache.get("a") is None

    def test_the_entry_not_read_for_longest_makes_room(self) -> None:
        cache: TTLCache[str, int] = TTLCache(2, Clock())
        cache.put("a", 1, 60)
        cache.put("b", 2, 60)
        assert cache.get("a") == 1
        cache.put("c", 3, 60)
        assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
        assert len(cache) == 2

    def test_putting_again_replaces_value_and_age(self) -> None:
        clock = Clock()
        cache: TTLCache[str, int] = TTLCache(2, clock)
        cache.put("a", 1, 5)
        clock.now += 4
        cache.put("a", 2, 5)
        clock.now += 4
        assert cache.get("a") == 2
        assert len(cache) == 1

    @pytest.mark.parametrize("ttl", [0, -1])
    def test_no_time_means_forget(self, ttl: float) -> None:
        cache: TTLCache[str, int] = TTLCache(2, Clock())
        cache.put("a", 1, 60)
        cache.put("a", 2, ttl)
        assert cache.get("a") is None

    def test_discard_and_clear(self) -> None:
        cache: TTLCache[str, int] = TTLCache(3, Clock())
        cache.put("a", 1, 60)
        cache.put("b", 2, 60)
        cache.discard("a")
        cache.discard("a")
        assert (cache.get("a"), cache.get("b")) == (None, 2)
        cache.clear()
        assert len(cache) == 0

    def test_many_keys_stay_bounded(self) -> None:
        cache: TTLCache[int, int] = TTLCache(100, Clock())
        for key in range(10_000):
            cache.put(key, key, 60)
        assert len(cache) == 100

    def test_it_needs_room(self) -> None:
        with pytest.raises(ValueError, match="room"):
            TTLCache(0)


class Work:
    """Counts its runs and ends when the test says so."""

    def __init__(self) -> None:
        self.runs = 0
        self.cancelled = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.runs += 1
        run = self.runs
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        return run


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class TestSingleFlight:
    async def test_concurrent_callers_share_one_run(self) -> None:
        flights: SingleFlight[str, int] = SingleFlight()
        work = Work()
        async with asyncio.TaskGroup() as group:
            callers = [group.create_task(flights.run("k", work)) for _ in range(100)]
            await turns()
            work.go.set()
        assert {caller.result() for caller in callers} == {1}
        assert work.runs == 1
        assert len(flights) == 0

    async def test_keys_do_not_mix(self) -> None:
        flights: SingleFlight[str, str] = SingleFlight()

        async def say(text: str) -> str:
            await asyncio.sleep(0)
            return text

        async with asyncio.TaskGroup() as group:
            callers = {key: group.create_task(flights.run(key, partial(say, key))) for key in "abc"}
        assert {key: caller.result() for key, caller in callers.items()} == {
            "a": "a",
            "b": "b",
            "c": "c",
        }

    async def test_nothing_is_kept(self) -> None:
        flights: SingleFlight[str, int] = SingleFlight()
        work = Work()
        work.go.set()
        assert await flights.run("k", work) == 1
        assert await flights.run("k", work) == 2

    async def test_errors_are_shared_and_not_kept(self) -> None:
        flights: SingleFlight[str, int] = SingleFlight()
        work = Work()
        work.error = LookupError("no")

        async def caller() -> str:
            with pytest.raises(LookupError) as seen:
                await flights.run("k", work)
            return str(seen.value)

        async with asyncio.TaskGroup() as group:
            callers = [group.create_task(caller()) for _ in range(3)]
            await turns()
            work.go.set()
        assert [caller.result() for caller in callers] == ["no"] * 3
        assert work.runs == 1
        work.error = None
        assert await flights.run("k", work) == 2

    async def test_a_cancelled_caller_does_not_take_the_others_down(self) -> None:
        flights: SingleFlight[str, int] = SingleFlight()
        work = Work()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(flights.run("k", work))
            await turns()
            second = group.create_task(flights.run("k", work))
            await turns()
            first.cancel()
            await turns()
            assert first.cancelled()
            work.go.set()
        assert second.result() == 1
        assert (work.runs, work.cancelled) == (1, 0)

    async def test_a_caller_may_run_out_of_time(self) -> None:
        flights: SingleFlight[str, int] = SingleFlight()
        work = Work()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await flights.run("k", work)
        await turns()
        assert work.cancelled == 1

    async def test_work_without_callers_is_cancelled_and_forgotten_at_once(self) -> None:
        flights: SingleFlight[str, int] = SingleFlight()
        work = Work()
        async with asyncio.TaskGroup() as group:
            callers = [group.create_task(flights.run("k", work)) for _ in range(2)]
            await turns()
            for caller in callers:
                caller.cancel()
            await asyncio.wait(callers)
            assert len(flights) == 0
            again = group.create_task(flights.run("k", work))
            await turns()
            work.go.set()
        assert again.result() == 2
        assert work.cancelled == 1

    async def test_work_that_ends_slowly_is_not_lost_and_its_late_error_is_silent(self) -> None:
        flights: SingleFlight[str, int] = SingleFlight()
        ended = asyncio.Event()

        async def stubborn() -> int:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                ended.set()
                raise LookupError("nobody reads this")

        async with asyncio.TaskGroup() as group:
            caller = group.create_task(flights.run("k", stubborn))
            await turns()
            caller.cancel()
            await turns()
            gc.collect()
            async with asyncio.timeout(5):
                await ended.wait()

    async def test_close_ends_work_and_its_callers(self) -> None:
        flights: SingleFlight[str, int] = SingleFlight()
        work = Work()
        async with asyncio.TaskGroup() as group:
            caller = group.create_task(flights.run("k", work))
            await turns()
            await flights.close()
            await turns()
        assert caller.cancelled()
        assert work.cancelled == 1
        await flights.close()
