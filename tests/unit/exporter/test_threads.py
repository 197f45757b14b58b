"""The sampling interval, and how the threads end."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter.exposition import ExpositionStore, RenderedExposition
from metrics_apiserver.exporter.model import NodeAllocations
from metrics_apiserver.exporter.sampler import SamplingRound
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from metrics_apiserver.exporter.threads import AdaptiveInterval, AttributionThread, SamplingThread
from metrics_apiserver.exporter.watchdog import Heartbeat


def test_slow_rounds_come_less_often() -> None:
    interval = AdaptiveInterval(1.0)
    assert interval.after(0.2) == 1.0
    assert interval.after(0.6) == 2.0
    assert interval.after(0.9) == 2.0
    assert interval.after(1.1) == 4.0
    for _ in range(9):
        assert interval.after(60.0) <= 10.0
    assert interval.after(60.0) == 10.0
    for _ in range(9):
        interval.after(0.01)
    assert interval.after(0.01) == 1.0


class CountingSource:
    """A source that counts its refreshes."""

    def __init__(self) -> None:
        self.count = 0
        self.refreshed = threading.Event()

    def refresh(self) -> None:
        self.count += 1
        self.refreshed.set()

    def allocations(self, readings: object, working: object, now: float) -> NodeAllocations:
        raise AssertionError("the sampling thread asks that")


def test_a_refresh_can_be_requested() -> None:
    source = CountingSource()
    thread = AttributionThread(source, poll_seconds=60)
    thread.start()
    assert source.refreshed.wait(5)
    source.refreshed.clear()
    thread.wake()
    started = time.monotonic()
    assert source.refreshed.wait(5)
    assert time.monotonic() - started < 4
    thread.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert source.count == 2


def test_a_failed_refresh_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    class FailingOnce(CountingSource):
        def refresh(self) -> None:
            super().refresh()
            if self.count == 1:
                raise RuntimeError("not foreseen")

    source = FailingOnce()
    with caplog.at_level(logging.ERROR):
        thread = AttributionThread(source, poll_seconds=1)
        thread.start()
        deadline = time.monotonic() + 10
        while source.count < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert "not foreseen" in caplog.text
    thread.stop()
    thread.join(5)
    assert not thread.is_alive()


class Idle:
    """Samples and composes nothing, at once."""

    def sample(self, now: float) -> SamplingRound:
        return SamplingRound(is_up=True)

    def compose(self, sampled: SamplingRound, now: float) -> RenderedExposition:
        return RenderedExposition(now, 0.0, is_up=True)

    def close(self, now: float) -> None:
        return


def test_a_long_interval_is_not_a_hang() -> None:
    settings = Sampling(interval_seconds=60)
    heartbeat = Heartbeat()
    store = ExpositionStore(settings, heartbeat)
    idle = Idle()
    thread = SamplingThread(
        idle,  # type: ignore[arg-type] # stands for a sampler
        idle,  # type: ignore[arg-type] # and for a composer
        store,
        ExporterTelemetry(CollectorRegistry()),
        interval_seconds=60,
        ended=lambda: None,
        clock=time.monotonic,
    )
    thread.start()
    oldest = 0.0
    until = time.monotonic() + 3
    while time.monotonic() < until:
        oldest = max(oldest, heartbeat.age)
        time.sleep(0.05)
    assert store.current is not None
    assert heartbeat.doing == "sleep"
    assert oldest < 2.5, "the heartbeat goes on while it sleeps"
    thread.stop()
    thread.join(2)
    assert not thread.is_alive()
