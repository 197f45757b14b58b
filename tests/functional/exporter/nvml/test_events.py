"""The wait for events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from metrics_apiserver.exporter.nvml import events
from metrics_apiserver.exporter.nvml.events import Event, Watch
from metrics_apiserver.exporter.nvml.library import Failure, Library
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
def watch() -> Iterator[Watch]:
    made = Watch(patience_seconds=1.0)
    yield made
    made.stop()


def start(watch: Watch, library: Library) -> frozenset[str]:
    handles = {str(n): library.call("nvmlDeviceGetHandleByIndex", n) for n in range(3)}
    return watch.start(library, handles)


def test_events_arrive_under_their_key(watch: Watch, library: Library, nvml: FakeNvml) -> None:
    nvml.scenario.set(1, "xid", 13)
    nvml.write()
    nvml.advance(1)
    assert start(watch, library) == {"0", "1"}, "the third has none"
    assert watch.take() == [], "what was before the registration is lost"
    nvml.scenario.unset(1, "xid").set(1, "xid", 31).set(0, "mig_event", 1)
    nvml.write()
    found: list[Event] = []

    def both() -> bool:
        found.extend(watch.take())
        return len(found) == 2

    poll(both)
    assert set(found) == {Event("1", events.XID, 31), Event("0", events.MIG_CHANGE, 0)}
    assert watch.stop()
    assert watch.stop()


def test_no_gpu_that_can_report(watch: Watch, library: Library, nvml: FakeNvml) -> None:
    nvml.scenario.set("*", "fail.nvmlDeviceRegisterEvents", 3)
    nvml.write()
    assert start(watch, library) == frozenset()
    assert watch.stop()


def test_types_that_are_refused_are_asked_for_one_by_one(
    watch: Watch, library: Library, nvml: FakeNvml
) -> None:
    nvml.scenario.set("*", "fail.nvmlDeviceRegisterEvents", "4 times=2")
    nvml.write()
    assert "0" in start(watch, library)


def test_a_driver_without_events(watch: Watch, library: Library, nvml: FakeNvml) -> None:
    nvml.scenario.set("*", "fail.nvmlEventSetCreate", 3)
    nvml.write()
    with pytest.raises(Failure):
        start(watch, library)


def test_a_wait_that_fails_says_so(watch: Watch, library: Library, nvml: FakeNvml) -> None:
    start(watch, library)
    nvml.scenario.set("*", "fail.nvmlEventSetWait_v2", 999)
    nvml.write()
    poll(lambda: watch.failure is not None)
    assert watch.stop()


def test_a_thread_that_is_stuck(watch: Watch, library: Library, nvml: FakeNvml) -> None:
    start(watch, library)
    nvml.scenario.set("*", "hang.nvmlEventSetWait_v2", 5000)
    nvml.write()
    time.sleep(0.3)
    assert not watch.stop()
    nvml.scenario.unset("*", "hang.nvmlEventSetWait_v2")
    nvml.write()
