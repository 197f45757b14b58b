"""The wiring inside the test process; as a process of its own it is in test_process.py."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading

import pytest

from metrics_apiserver.exporter import runtime
from metrics_apiserver.exporter.attribution.settings import Attribution, AttributionSettings
from metrics_apiserver.exporter.attribution.source import (
    KubeletSource,
    NoAllocationSource,
    SidecarSource,
)
from metrics_apiserver.exporter.settings import ExporterSettings, Sampling
from tests.fakes.nvml.loaded import FakeNvml
from tests.fakes.nvml.rig import parse


@pytest.mark.parametrize(
    ("attribution", "kind"),
    [("daemonset", KubeletSource), ("sidecar", SidecarSource), ("none", NoAllocationSource)],
)
def test_sources(attribution: Attribution, kind: type) -> None:
    holders = AttributionSettings(attribution=attribution, pod="bert", namespace="ai")
    exporter = runtime.build(ExporterSettings(holders=holders), lambda: None)
    assert isinstance(exporter.attribution._source, kind)


def test_a_round_is_published(nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2)
    nvml.write()
    settings = ExporterSettings(
        sampling=Sampling(processes=True), holders=AttributionSettings(attribution="none")
    )
    exporter = runtime.build(settings, lambda: None)
    wait = exporter.sampling.run_once()
    assert 0 <= wait <= 1
    assert exporter.store.current is not None
    assert exporter.store.is_up
    assert parse(exporter.store.current.text).value("nvidia_gpu_num_devices") == 2
    value = exporter.telemetry.registry.get_sample_value
    assert value("gpu_exporter_sample_duration_seconds_count") == 1
    assert value("gpu_exporter_sample_interval_seconds") == 1
    exporter.sampling._sampler.close()


def test_a_fatal_failure_ends_the_thread_and_says_why(nvml: FakeNvml) -> None:
    nvml.scenario.set("*", "fail.nvmlInitWithFlags", 18)
    nvml.write()
    ended = threading.Event()
    settings = ExporterSettings(holders=AttributionSettings(attribution="none"))
    exporter = runtime.build(settings, ended.set)
    exporter.sampling.start()
    assert ended.wait(5)
    exporter.sampling.join(5)
    assert exporter.sampling.failure is not None
    assert "LIB_RM_VERSION_MISMATCH" in exporter.sampling.failure


def test_an_internal_error_ends_the_thread_too(
    nvml: FakeNvml, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()
    settings = ExporterSettings(holders=AttributionSettings(attribution="none"))
    exporter = runtime.build(settings, ended.set)

    class Broken:
        def compose(self, *_: object) -> None:
            raise RuntimeError("a bug")

    exporter.sampling._composer = Broken()  # type: ignore[assignment] # stands for a fault
    exporter.sampling.start()
    assert ended.wait(5)
    assert exporter.sampling.failure == "an internal error"
    assert "a bug" in caplog.text


def test_default_settings() -> None:
    assert {field.name for field in dataclasses.fields(ExporterSettings)} >= {"sampling", "web"}


HANGS = """
import asyncio, sys
from metrics_apiserver.exporter import runtime
from metrics_apiserver.exporter.exposition import ExpositionStore
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.watchdog import Heartbeat

now = [0.0]
heartbeat = Heartbeat(lambda: now[0])
heartbeat.beat("nvmlDeviceGetPowerUsage")
now[0] = float(sys.argv[1])
try:
    asyncio.run(asyncio.wait_for(runtime._watch(ExpositionStore(Sampling(), heartbeat)), 3))
except TimeoutError:
    sys.exit(7)
"""


@pytest.mark.parametrize(("age", "code"), [(119, 7), (121, 1)])
def test_a_thread_that_hangs_for_two_minutes_ends_the_process(age: float, code: int) -> None:
    """Nothing can end the thread, so the process exits."""
    done = subprocess.run(
        [sys.executable, "-c", HANGS, str(age)], capture_output=True, check=False, timeout=30
    )
    assert done.returncode == code, done.stderr
    assert (b"nvmlDeviceGetPowerUsage" in done.stderr or b"hangs" in done.stderr) == (code == 1)
