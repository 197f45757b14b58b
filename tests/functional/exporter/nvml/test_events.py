"""The wait for events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from metrics_apiserver.exporter.nvml import events
from metrics_apiserver.exporter.nvml.events import EventWatcher, NVMLEvent
from metrics_apiserver.exporter.nvml.library import Library, NVMLError
from tests.fakes.nvml.loaded import FakeNvml
from tests.fakes.nvml.scenario import MIG_EVENT, XID_EVENT


def poll(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def library(nvml: FakeNvml) -> Library:
    nvml.scenario.add_gpus(3)
    nvml.scenario.set(0, "event_types", XID_EVENT | MIG_EVENT).unset(2, "event_types")
    nvml.write()
    made = Library()
    made.init()
    return made


@pytest.fixture
def watcher() -> Iterator[EventWatcher]:
    made = EventWatcher(stop_timeout_seconds=1.0)
    yield made
    made.stop()


def start(watcher: EventWatcher, library: Library) -> frozenset[str]:
    handles = {str(n): library.call("nvmlDeviceGetHandleByIndex", n) for n in range(3)}
    return watcher.start(library, handles)


def test_events_arrive_under_their_key(
    watcher: EventWatcher, library: Library, nvml: FakeNvml
) -> None:
    nvml.scenario.set(1, "xid", 13)
    nvml.write()
    nvml.advance(1)
    assert start(watcher, library) == {"0", "1"}, "the third has none"
    assert watcher.drain() == [], "events before the registration are lost"
    nvml.scenario.unset(1, "xid").set(1, "xid", 31).set(0, "mig_event", 1)
    nvml.write()
    found: list[NVMLEvent] = []

    def both() -> bool:
        found.extend(watcher.drain())
        return len(found) == 2

    poll(both)
    assert set(found) == {NVMLEvent("1", events.XID, 31), NVMLEvent("0", events.MIG_CHANGE, 0)}
    assert watcher.stop()
    assert watcher.stop()


def test_no_gpu_that_can_report(watcher: EventWatcher, library: Library, nvml: FakeNvml) -> None:
    nvml.scenario.set("*", "fail.nvmlDeviceRegisterEvents", 3)
    nvml.write()
    assert start(watcher, library) == frozenset()
    assert watcher.stop()


def test_refused_event_types_are_left_out(
    watcher: EventWatcher, library: Library, nvml: FakeNvml
) -> None:
    nvml.scenario.set("*", "fail.nvmlDeviceRegisterEvents", "4 times=2")
    nvml.write()
    assert "0" in start(watcher, library)


def test_a_driver_without_events(watcher: EventWatcher, library: Library, nvml: FakeNvml) -> None:
    nvml.scenario.set("*", "fail.nvmlEventSetCreate", 3)
    nvml.write()
    with pytest.raises(NVMLError):
        start(watcher, library)


def test_a_failed_wait_is_reported(watcher: EventWatcher, library: Library, nvml: FakeNvml) -> None:
    start(watcher, library)
    nvml.scenario.set("*", "fail.nvmlEventSetWait_v2", 999)
    nvml.write()
    poll(lambda: watcher.error is not None)
    assert watcher.stop()


def test_a_thread_that_is_stuck(watcher: EventWatcher, library: Library, nvml: FakeNvml) -> None:
    start(watcher, library)
    nvml.scenario.set("*", "hang.nvmlEventSetWait_v2", 5000)
    nvml.write()
    time.sleep(0.3)
    assert not watcher.stop()
    nvml.scenario.unset("*", "hang.nvmlEventSetWait_v2")
    nvml.write()
