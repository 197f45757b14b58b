from __future__ import annotations

import logging

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core.model import Sample
from metrics_apiserver.provider import queries
from metrics_apiserver.provider.queries import ToldBackend
from tests.fakes.evaluation import FakeBackend, FakeClock


class Environment:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.backend = FakeBackend(lambda _text: [Sample({}, 1.0, 0.0)])
        self.told = ToldBackend(self.backend, self.clock)


async def test_answers_and_errors_pass() -> None:
    environment = Environment()
    assert len((await environment.told.query("q", timeout=3.0)).samples) == 1
    assert (environment.backend.asked, environment.backend.timeouts) == (["q"], [3.0])
    environment.backend.answer = errors.UpstreamTimeout("slow")
    with pytest.raises(errors.UpstreamTimeout, match="slow"):
        await environment.told.query("q", timeout=3.0)


async def test_each_query_is_told_at_debug_and_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, queries.__name__)
    await Environment().told.query("q" * 5000, timeout=3.0)
    [record] = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.__dict__["query"] == "q" * queries.QUERY_CHARACTERS
    assert (record.__dict__["samples"], record.__dict__["seconds"]) == (1, "0.000")


async def test_nothing_is_told_below(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, queries.__name__)
    await Environment().told.query("q", timeout=3.0)
    assert not caplog.records


async def test_a_warning_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    environment = Environment()
    environment.backend.warnings = ("store is down", "x" * 5000)
    for _ in range(3):
        await environment.told.query("q", timeout=3.0)
    environment.clock.now += queries.SILENT_SECONDS - 0.1
    await environment.told.query("q", timeout=3.0)
    assert [record.__dict__["warning"] for record in caplog.records] == [
        "store is down",
        "x" * queries.WARNING_CHARACTERS,
    ]
    environment.clock.now += 0.1
    await environment.told.query("q", timeout=3.0)
    assert len(caplog.records) == 4


async def test_warnings_that_differ_each_time_are_not_remembered_without_end() -> None:
    environment = Environment()
    for number in range(200):
        environment.backend.warnings = (f"warning {number}",)
        await environment.told.query("q", timeout=3.0)
    assert len(environment.told._told) <= 64
