"""Which snapshot is shown, and whether the exporter is up."""

from __future__ import annotations

from metrics_apiserver.exporter.board import Board
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.snapshot import Snapshot
from metrics_apiserver.exporter.watchdog import Pulse


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_freshness() -> None:
    clock = Clock()
    board = Board(Sampling(), Pulse(clock), clock)
    assert not board.is_fresh
    assert not board.is_up
    board.publish(Snapshot(clock.now, 0.0, is_up=True))
    seen = []
    for passed in (0, 21, 10):
        clock.now += passed
        seen.append((board.is_fresh, board.is_up))
    assert seen == [(True, True), (True, False), (False, False)], "first silent, then too old"


def test_slow_ticks_may_be_older() -> None:
    clock = Clock()
    board = Board(Sampling(interval_seconds=20), Pulse(clock), clock)
    board.publish(Snapshot(clock.now, 0.0, is_up=False))
    clock.now += 99
    assert board.is_fresh
    assert not board.is_up


def test_gzip_is_made_while_it_is_read() -> None:
    clock = Clock()
    board = Board(Sampling(), Pulse(clock), clock)
    assert not board.wants_gzip()
    board.ask_for_gzip()
    assert board.wants_gzip()
    clock.now += 301
    assert not board.wants_gzip()


def test_ticks_that_became_slow_may_be_older_too() -> None:
    clock = Clock()
    board = Board(Sampling(), Pulse(clock), clock)
    board.publish(Snapshot(clock.now, 0.0, is_up=True))
    board.expect(10)
    clock.now += 45
    assert board.is_fresh
    board.expect(1)
    assert not board.is_fresh
