"""The pace of ticks, and threads that end."""

from __future__ import annotations

import threading
import time

from metrics_apiserver.exporter.model import Allocation
from metrics_apiserver.exporter.threads import LookingThread, Pace


def test_slow_ticks_come_less_often() -> None:
    pace = Pace(1.0)
    assert pace.after(0.2) == 1.0
    assert pace.after(0.6) == 2.0
    assert pace.after(0.9) == 2.0
    assert pace.after(1.1) == 4.0
    for _ in range(9):
        assert pace.after(60.0) <= 10.0
    assert pace.after(60.0) == 10.0
    for _ in range(9):
        pace.after(0.01)
    assert pace.after(0.01) == 1.0


class Looks:
    """A source that counts."""

    def __init__(self) -> None:
        self.count = 0
        self.looked = threading.Event()

    def refresh(self) -> None:
        self.count += 1
        self.looked.set()

    def allocation(self, readings: object, working: object, now: float) -> Allocation:
        raise AssertionError("the sampling thread asks that")


def test_a_look_can_be_asked_for() -> None:
    looks = Looks()
    thread = LookingThread(looks, poll_seconds=60)
    thread.start()
    assert looks.looked.wait(5)
    looks.looked.clear()
    thread.wake()
    started = time.monotonic()
    assert looks.looked.wait(5)
    assert time.monotonic() - started < 4
    thread.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert looks.count == 2
