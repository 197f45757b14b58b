"""Process lists, with the quirks of drivers."""

from __future__ import annotations

import pytest

from metrics_apiserver.exporter.nvml import processes
from metrics_apiserver.exporter.nvml.library import Code, Handle, Library, NVMLError
from metrics_apiserver.exporter.nvml.processes import RunningProcess, UtilizationSample
from tests.fakes.nvml.loaded import EPOCH_SECONDS, FakeNvml


def test_lists(library: Library, handle: Handle, nvml: FakeNvml) -> None:
    assert processes.running(library, handle, "C") == []
    nvml.scenario.process(0, 10, mem=100).process(0, 11, mem=-1, gi=3).process(0, 12, kind="G")
    nvml.write()
    assert processes.running(library, handle, "C") == [
        RunningProcess(10, "C", 100, None),
        RunningProcess(11, "C", None, 3),
    ]
    assert [one.pid for one in processes.running(library, handle, "G")] == [12]
    assert processes.running(library, handle, "M") == []


def test_the_second_version_is_a_fallback(library: Library, handle: Handle, nvml: FakeNvml) -> None:
    nvml.scenario.process(0, 10, mem=100)
    nvml.scenario.set(0, "fail.nvmlDeviceGetComputeRunningProcesses_v3", 13)
    nvml.write()
    assert processes.running(library, handle, "C") == [RunningProcess(10, "C", 100, None)]
    nvml.scenario.set(0, "fail.nvmlDeviceGetComputeRunningProcesses_v2", 13)
    nvml.write()
    with pytest.raises(NVMLError) as refused:
        processes.running(library, handle, "C")
    assert refused.value.code == Code.FUNCTION_NOT_FOUND


def test_a_list_that_is_refused(library: Library, handle: Handle, nvml: FakeNvml) -> None:
    nvml.scenario.set(0, "fail.nvmlDeviceGetComputeRunningProcesses_v3", 999)
    nvml.write()
    with pytest.raises(NVMLError):
        processes.running(library, handle, "C")


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("checked", [True, False])
def test_wide_rows(
    library: Library, handle: Handle, nvml: FakeNvml, count: int, checked: bool
) -> None:
    pids = range(100, 100 + count)
    for pid in pids:
        nvml.scenario.process(0, pid, mem=pid)
    nvml.scenario.set(0, "stride535", 1)
    nvml.write()
    alive = pids.__contains__ if checked else None
    found = processes.running(library, handle, "C", alive)
    assert [(one.pid, one.memory) for one in found] == [(pid, pid) for pid in pids]


def test_pids_that_do_not_exist_are_kept(library: Library, handle: Handle, nvml: FakeNvml) -> None:
    nvml.scenario.process(0, 10, mem=1).process(0, 11, mem=2)
    nvml.write()
    found = processes.running(library, handle, "C", frozenset[int]().__contains__)
    assert [one.pid for one in found] == [10, 11]
    assert [one.pid for one in processes.running(library, handle, "C", {10}.__contains__)] == [
        10,
        11,
    ]


def test_use(library: Library, handle: Handle, nvml: FakeNvml) -> None:
    assert processes.utilization(library, handle, 0) == []
    nvml.scenario.process(0, 10, sm=30, memu=4, enc=2, dec=1).process(0, 11, mem=5)
    nvml.write()
    (found,) = processes.utilization(library, handle, 0)
    assert found == UtilizationSample(10, found.time, 30, 4, 2, 1)
    assert abs(found.time / 1e6 - EPOCH_SECONDS - nvml.now) < 1
    assert processes.utilization(library, handle, found.time) == []


def test_more_processes_than_the_driver_said(
    library: Library, handle: Handle, nvml: FakeNvml
) -> None:
    for pid in range(1000, 1300):
        nvml.scenario.process(0, pid, mem=1, sm=1)
    nvml.write()
    assert len(processes.utilization(library, handle, 0)) == 300
    assert len(processes.running(library, handle, "C")) == 300


def test_a_list_that_never_fits(library: Library, handle: Handle, nvml: FakeNvml) -> None:
    nvml.scenario.process(0, 10, mem=1, sm=1)
    for name in ("ComputeRunningProcesses_v3", "ProcessUtilization"):
        nvml.scenario.set(0, f"fail.nvmlDeviceGet{name}", 7)
    nvml.write()
    with pytest.raises(NVMLError):
        processes.running(library, handle, "C")
    with pytest.raises(NVMLError):
        processes.utilization(library, handle, 0)


def test_not_under_mig(library: Library, handle: Handle, nvml: FakeNvml) -> None:
    nvml.scenario.set(0, "mig", 1)
    nvml.write()
    with pytest.raises(NVMLError) as refused:
        processes.utilization(library, handle, 0)
    assert refused.value.code == Code.NOT_SUPPORTED
