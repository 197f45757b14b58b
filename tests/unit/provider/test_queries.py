from __future__ import annotations

import logging

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core.model import Sample
from metrics_apiserver.provider import queries
from metrics_apiserver.provider.queries import ToldBackend
from tests.fakes.evaluation import FakeBackend, FakeClock


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.backend = FakeBackend(lambda _text: [Sample({}, 1.0, 0.0)])
        self.told = ToldBackend(self.backend, self.clock)


async def test_answers_and_errors_pass() -> None:
    world = World()
    assert len((await world.told.query("q", timeout=3.0)).samples) == 1
    assert (world.backend.asked, world.backend.timeouts) == (["q"], [3.0])
    world.backend.answer = errors.UpstreamTimeout("slow")
    with pytest.raises(errors.UpstreamTimeout, match="slow"):
        await world.told.query("q", timeout=3.0)


async def test_each_query_is_told_at_debug_and_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, queries.__name__)
    await World().told.query("q" * 5000, timeout=3.0)
    [record] = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.__dict__["query"] == "q" * queries.QUERY_CHARACTERS
    assert (record.__dict__["samples"], record.__dict__["seconds"]) == (1, "0.000")


async def test_nothing_is_told_below(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, queries.__name__)
    await World().told.query("q", timeout=3.0)
    assert not caplog.records


async def test_a_warning_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.backend.warnings = ("store is down", "x" * 5000)
    for _ in range(3):
        await world.told.query("q", timeout=3.0)
    world.clock.now += queries.SILENT_SECONDS - 0.1
    await world.told.query("q", timeout=3.0)
    assert [record.__dict__["warning"] for record in caplog.records] == [
        "store is down",
        "x" * queries.WARNING_CHARACTERS,
    ]
    world.clock.now += 0.1
    await world.told.query("q", timeout=3.0)
    assert len(caplog.records) == 4


async def test_warnings_that_differ_each_time_are_not_remembered_without_end() -> None:
    world = World()
    for number in range(200):
        world.backend.warnings = (f"warning {number}",)
        await world.told.query("q", timeout=3.0)
    assert len(world.told._told) <= 64
