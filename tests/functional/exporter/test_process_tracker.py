"""Processes of one GPU from round to round."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter.capability import Capabilities
from metrics_apiserver.exporter.device_caller import DeviceCaller, NVMLContext
from metrics_apiserver.exporter.model import ProcessMemory, ProcessUtilization
from metrics_apiserver.exporter.nvml.library import Library
from metrics_apiserver.exporter.nvml.processes import UtilizationSample
from metrics_apiserver.exporter.process_tracker import ProcessTracker
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from tests.fakes.nvml.loaded import FakeNvml


@dataclass
class Tracked:
    nvml: FakeNvml
    caller: DeviceCaller
    processes: ProcessTracker

    def uses(
        self, *, busy: bool, seconds: float = 1.0
    ) -> dict[int, ProcessUtilization | None] | None:
        self.caller.begin_round(self.nvml.advance(seconds))
        self.processes.read_uses(busy)
        return self.processes.uses


@pytest.fixture
def tracked(nvml: FakeNvml) -> Tracked:
    nvml.scenario.add_gpus(1)
    nvml.write()
    telemetry = ExporterTelemetry(CollectorRegistry())
    library = Library()
    library.init()
    context = NVMLContext(library, Capabilities(telemetry), telemetry, Sampling())
    caller = DeviceCaller(context, "GPU", nvml.now)
    handle = library.call("nvmlDeviceGetHandleByIndex", 0)
    return Tracked(nvml, caller, ProcessTracker(caller, handle))


def test_the_first_result_is_ignored(tracked: Tracked) -> None:
    tracked.nvml.scenario.process(0, 7, sm=30, memu=5, enc=1, dec=2)
    tracked.nvml.write()
    assert tracked.uses(busy=True) is None
    assert tracked.uses(busy=True) == {7: ProcessUtilization(30, 5, 1, 2)}


def test_an_idle_gpu_has_none(tracked: Tracked) -> None:
    assert tracked.uses(busy=False) == {}


def test_one_empty_round_of_a_busy_gpu_proves_nothing(tracked: Tracked) -> None:
    tracked.nvml.scenario.process(0, 7, sm=30)
    tracked.nvml.write()
    tracked.uses(busy=True)
    tracked.uses(busy=True)
    assert tracked.uses(busy=True, seconds=0.01) is None, "shorter than the driver's period"
    tracked.nvml.scenario.process(0, 7, sm=0)
    tracked.nvml.write()
    assert tracked.uses(busy=True) == {}, "the second in a row"


def test_a_busy_gpu_without_any_process(tracked: Tracked) -> None:
    assert [tracked.uses(busy=True) for _ in range(5)] == [None] * 5


def test_not_supported(tracked: Tracked) -> None:
    tracked.nvml.scenario.set(0, "mig", 1)
    tracked.nvml.write()
    assert tracked.uses(busy=False) is None
    assert not tracked.caller.allows("nvmlDeviceGetProcessUtilization")


def test_memory_needs_every_supported_list(tracked: Tracked) -> None:
    def used(key: str = "", code: int = 0) -> dict[int, int | None] | None:
        if key:
            name = f"fail.nvmlDeviceGet{key}RunningProcesses_v3"
            tracked.nvml.scenario.set(0, name, code)
        tracked.nvml.write()
        tracked.processes.read_memory(None)
        memory = tracked.processes.memory
        return None if memory is None else {pid: one.used for pid, (_, one) in memory.items()}

    tracked.nvml.scenario.process(0, 7, mem=100, kind="C").process(0, 8, mem=50, kind="G")
    assert used() == {7: 100, 8: 50}
    assert used("Graphics", 999) is None, "a sum without the graphics list would look complete"
    assert used("Graphics", 3) == {7: 100}, "this GPU has no such list"
    assert used("Compute", 3) is None


def test_lists_that_miss_much_of_the_memory_are_discarded(tracked: Tracked) -> None:
    gib = 1 << 30

    def is_known(used: float) -> bool:
        tracked.processes.read_memory(used)
        return tracked.processes.memory is not None

    assert [is_known(used) for used in (0, gib, 1.1 * gib)] == [True, True, False]
    tracked.nvml.scenario.process(0, 7, mem=4 * gib)
    tracked.nvml.write()
    assert [is_known(used) for used in (4 * gib, 8 * gib, 8.1 * gib)] == [True, True, False]
    tracked.nvml.scenario.process(0, 8, mem=-1)
    tracked.nvml.write()
    assert is_known(20 * gib), "a process with unknown memory may use the rest"


def test_a_busy_gpu_with_old_samples_only(tracked: Tracked) -> None:
    """The samples are not new, but they show that processes exist."""
    tracked.nvml.scenario.process(0, 7, sm=30)
    tracked.nvml.write()
    tracked.uses(busy=True)
    tracked.uses(busy=True)
    assert [tracked.uses(busy=True, seconds=0.01) for _ in range(4)] == [None] * 4


def test_a_clock_set_back(tracked: Tracked) -> None:
    tracked.nvml.scenario.process(0, 7, sm=30)
    tracked.nvml.write()
    tracked.uses(busy=True)
    tracked.uses(busy=True)
    tracked.nvml.skew = -1000
    assert tracked.uses(busy=True) is None
    assert tracked.uses(busy=True) == {7: ProcessUtilization(30, 0, 0, 0)}


def test_invalid_samples_are_unknown(tracked: Tracked) -> None:
    tracked.nvml.scenario.process(0, 7, sm=30, enc=4294967295).process(0, 8, sm=5)
    tracked.nvml.write()
    tracked.uses(busy=True)
    assert tracked.uses(busy=True) == {7: None, 8: ProcessUtilization(5, 0, 0, 0)}
    both = [
        UtilizationSample(7, 1, 30, 0, 0, 0),
        UtilizationSample(7, 2, 300, 0, 0, 0),
        UtilizationSample(7, 3, 10, 0, 0, 0),
    ]
    assert tracked.processes._average(both) == {7: ProcessUtilization(20, 0, 0, 0)}


def test_memory_that_one_of_two_lists_reports(tracked: Tracked) -> None:
    tracked.nvml.scenario.process(0, 7, mem=100, kind="CG", gi=2, ci=1)
    tracked.nvml.write()
    tracked.processes.read_memory(None)
    assert tracked.processes.memory == {7: ((2, 1), ProcessMemory("CG", 100))}
    tracked.processes.forget_memory()
    assert tracked.processes.memory is None
