"""What counts as a refusal, and for how long it is remembered."""

from __future__ import annotations

import logging

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.prometheus.refusals import CapabilityRefused, Refusals, is_refusal
from tests.fakes.evaluation import FakeClock

ABSENT = errors.UpstreamError("unable to fetch metrics: no such path", kind="http", status=404)


class Case:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.reports: list[tuple[str, bool]] = []
        self.calls = 0
        self.fails: errors.MetricsError | None = ABSENT
        self.subject = Refusals(lambda *report: self.reports.append(report), self.clock)

    async def call(self) -> str:
        self.calls += 1
        if self.fails is not None:
            raise self.fails
        return "answer"

    async def ask(self) -> str:
        return await self.subject.ask("label_values", self.call)

    async def refused(self) -> CapabilityRefused:
        with pytest.raises(CapabilityRefused) as caught:
            await self.ask()
        self.subject.remember(caught.value)
        return caught.value


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 405, 501])
@pytest.mark.parametrize("kind", ["http", "api"])
def test_refusals(status: int, kind: str) -> None:
    assert is_refusal(errors.UpstreamError("no", kind=kind, status=status))


def test_a_page_of_html_is_a_refusal() -> None:
    assert is_refusal(errors.UpstreamError("the answer is not JSON", kind="protocol"))


@pytest.mark.parametrize(
    ("kind", "status"),
    [("http", 408), ("http", 429), ("http", 500), ("http", 503), ("unreachable", 0)],
)
def test_trouble_is_no_refusal(kind: str, status: int) -> None:
    assert not is_refusal(errors.UpstreamError("no", kind=kind, status=status))


async def test_a_refusal_is_said_once_and_tried_again_after_pauses_that_grow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    case = Case()
    caplog.set_level(logging.INFO)
    assert (await case.refused()).error is ABSENT
    assert (await case.refused()).error is None
    assert case.calls == 1
    for attempt, pause in enumerate((300, 600, 1200, 2400, 3600, 3600), 2):
        case.clock.now += pause - 1
        await case.refused()
        assert case.calls == attempt - 1
        case.clock.now += 1
        await case.refused()
        assert case.calls == attempt
    case.clock.now += 3600
    case.fails = None
    assert await case.ask() == "answer"
    assert await case.ask() == "answer"
    assert case.reports == [("label_values", True), ("label_values", False)]
    assert [record.getMessage() for record in caplog.records] == [
        "Prometheus refuses the values of labels: series are requested instead",
        "Prometheus answers again",
    ]


@pytest.mark.parametrize(
    "error",
    [errors.UpstreamTimeout("late"), errors.UpstreamError("no", kind="http", status=503)],
)
async def test_trouble_at_a_new_attempt_leaves_the_other_way(error: errors.MetricsError) -> None:
    case = Case()
    with pytest.raises(CapabilityRefused):
        await case.ask()
    case.fails = error  # nothing was remembered, so it is trouble
    with pytest.raises(type(error)):
        await case.ask()
    case.fails = ABSENT
    await case.refused()
    case.fails = error
    case.clock.now += 300
    await case.refused()
    assert case.subject.is_known("label_values")


@pytest.mark.parametrize("status", [413, 414, 431])
async def test_what_is_too_long_says_nothing_of_the_endpoint(status: int) -> None:
    case = Case()
    case.fails = errors.UpstreamError("too long", kind="http", status=status)
    await case.refused()
    assert not case.subject.is_known("label_values")
