"""NVML sessions: errors, pauses, closing. What the metrics show then is in test_failures.py."""

from __future__ import annotations

import time

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter.capability import Capabilities
from metrics_apiserver.exporter.device_caller import NVMLContext
from metrics_apiserver.exporter.nvml.library import Library
from metrics_apiserver.exporter.session import FatalError, NVMLSession
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from tests.fakes.nvml.loaded import FakeNvml
from tests.fakes.nvml.scenario import gpu_uuid


def session(nvml: FakeNvml, settings: Sampling | None = None) -> NVMLSession:
    nvml.write()
    telemetry = ExporterTelemetry(CollectorRegistry())
    context = NVMLContext(Library(), Capabilities(telemetry), telemetry, settings or Sampling())
    return NVMLSession(context, 0.0)


def test_open_and_close(nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2)
    made = session(nvml)
    assert made.open(0.0)
    assert made.open(1.0), "it is open"
    assert made.inventory is not None
    assert made.reporting == {gpu_uuid(0), gpu_uuid(1)}
    assert made.opened_at == 0.0
    made.close(2.0)
    assert made.open(2.0)
    assert made.opened_at == 2.0
    made.close(3.0)
    assert nvml.library.nvmlShutdown() == 1, "uninitialised"


def test_a_missing_driver_is_retried_with_growing_delays(nvml: FakeNvml) -> None:
    nvml.scenario.set("*", "fail.nvmlInitWithFlags", 9)
    made = session(nvml)
    tried = []
    errors = made.context.telemetry.nvml_errors.labels("nvmlInitWithFlags", "9")
    for now in range(900):
        before = errors._value.get()
        assert not made.open(float(now))
        if errors._value.get() > before:
            tried.append(now)
    assert tried == [0, 30, 90, 210, 450, 750]


def test_exit_without_a_driver(nvml: FakeNvml) -> None:
    nvml.scenario.set("*", "fail.nvmlInitWithFlags", 12)
    made = session(nvml, Sampling(exit_without_driver_seconds=60))
    assert not made.open(0.0)
    assert not made.open(30.0)
    with pytest.raises(FatalError, match="no driver for 60 s"):
        made.open(90.0)


@pytest.mark.parametrize("code", [17, 999])
def test_three_unknown_errors_are_enough(nvml: FakeNvml, code: int) -> None:
    nvml.scenario.set("*", "fail.nvmlInitWithFlags", code)
    made = session(nvml)
    assert not made.open(0.0)
    assert not made.open(5.0)
    with pytest.raises(FatalError, match="3 times"):
        made.open(10.0)


def test_the_error_count_resets_after_success(nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).set("*", "fail.nvmlInitWithFlags", "999 times=2")
    made = session(nvml)
    assert [made.open(float(now)) for now in (0, 5, 10)] == [False, False, True]
    made.close(11.0)
    nvml.scenario.set("*", "fail.nvmlInitWithFlags", "999 times=2")
    nvml.write()
    assert [made.open(float(now)) for now in (11, 16, 21)] == [False, False, True]
    made.close(22.0)


def test_a_driver_replaced_while_the_library_is_loaded(nvml: FakeNvml) -> None:
    nvml.scenario.set("*", "fail.nvmlInitWithFlags", 18)
    with pytest.raises(FatalError, match="replaced"):
        session(nvml).open(0.0)


def test_pauses(nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2)
    made = session(nvml)
    made.pause(1, 0.0)
    assert made.open(0.0)
    assert made.inventory is not None
    assert made.inventory.absent == {1: "paused"}
    assert not made.end_pauses(29.0)
    assert made.end_pauses(30.0)
    assert not made.end_pauses(31.0)
    made.close(31.0)
    assert made.open(31.0)
    assert len(made.inventory.gpus) == 2
    made.close(32.0)


def test_a_driver_without_events_is_usable(nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).set("*", "fail.nvmlEventSetCreate", 3)
    made = session(nvml)
    assert made.open(0.0)
    assert made.reporting == frozenset()
    made.close(1.0)


def test_an_enumeration_that_fails_leaves_nothing_open(nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).set("*", "fail.nvmlDeviceGetCount_v2", "1 times=1")
    made = session(nvml)
    assert not made.open(0.0)
    assert nvml.library.nvmlShutdown() == 1, "uninitialised"
    assert made.open(30.0)
    made.close(31.0)


def test_a_new_event_set(nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).set("*", "fail.nvmlEventSetWait_v2", "999 times=1")
    made = session(nvml)
    assert made.open(0.0)

    def is_failed() -> bool:
        return made.watcher.error is not None

    deadline = time.monotonic() + 5
    while not is_failed():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    made.restart_event_watcher()
    assert not is_failed()
    assert made.reporting == {gpu_uuid(0)}
    assert made.opened_at == 0.0, "NVML itself stays open"
    nvml.scenario.set("*", "hang.nvmlEventSetWait_v2", 1000)
    nvml.write()
    time.sleep(0.3)
    made.watcher._stop_timeout_seconds = 0.1
    with pytest.raises(FatalError, match="wait for events"):
        made.restart_event_watcher()
    nvml.scenario.unset("*", "hang.nvmlEventSetWait_v2")
    nvml.write()
    made.close(1.0)
