"""The fake's structures have the sizes that pynvml declares for those of the real library."""

from __future__ import annotations

import ctypes

import pynvml
import pytest

from tests.fakes.nvml import build
from tests.fakes.nvml.loaded import FakeNvml

STRUCTURES = {
    "PciInfo": pynvml.nvmlPciInfo_t,
    "Memory": pynvml.c_nvmlMemory_t,
    "MemoryV2": pynvml.c_nvmlMemory_v2_t,
    "Utilization": pynvml.c_nvmlUtilization_t,
    "Sample": pynvml.c_nvmlSample_t,
    "ProcessInfo": pynvml.c_nvmlProcessInfo_v3_t,
    "ProcessUtil": pynvml.c_nvmlProcessUtilizationSample_t,
    "FieldValue": pynvml.c_nvmlFieldValue_t,
    "Temperature": pynvml.c_nvmlTemperature_v1_t,
    "Attributes": pynvml.c_nvmlDeviceAttributes,
    "EventData": pynvml.c_nvmlEventData_t,
    "GpmSupport": pynvml.c_nvmlGpmSupport_t,
    "GpmMetric": pynvml.c_nvmlGpmMetric_t,
    "ProfileInfo": pynvml.c_nvmlGpuInstanceProfileInfo_v2_t,
    "InstanceInfo": pynvml.c_nvmlGpuInstanceInfo_t,
    "Features": pynvml.c_nvmlGridLicensableFeatures_v4_t,
    "UtilizationRow": pynvml.c_nvmlProcessUtilizationInfo_v1_t,
    "UtilizationList": pynvml.c_nvmlProcessesUtilizationInfo_v1_t,
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_structure_has_its_size(nvml: FakeNvml, name: str) -> None:
    function = getattr(nvml.library, f"fake_nvml_sizeof_{name}")
    assert function() == ctypes.sizeof(STRUCTURES[name])


def test_handles_of_an_earlier_initialisation_are_caught(nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).write()
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 0
    pynvml.nvmlShutdown()
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetUtilizationRates(handle)
    pynvml.nvmlInit()
    before = nvml.stale_uses
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetUtilizationRates(handle)
    assert nvml.stale_uses == before + 1


def test_a_scenario_changes_while_it_runs(nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).set(0, "util", 10).set(0, "util", 90, at_ms=5000).write()
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 10
    nvml.advance(5)
    assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 90
    nvml.scenario.unset(0, "util").set(0, "util", 55).write()
    assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 55
    nvml.scenario.set(0, "fail.nvmlDeviceGetUtilizationRates", "999 after=1 times=1").write()
    assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 55
    with pytest.raises(pynvml.NVMLError_Unknown):
        pynvml.nvmlDeviceGetUtilizationRates(handle)
    assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 55


VERSIONED = {
    "nvmlDeviceGetMemoryInfo_v2": pynvml.c_nvmlMemory_v2_t,
    "nvmlDeviceGetTemperatureV": pynvml.c_nvmlTemperature_v1_t,
    "nvmlGpmQueryDeviceSupport": pynvml.c_nvmlGpmSupport_t,
    "nvmlDeviceGetProcessesUtilizationInfo": pynvml.c_nvmlProcessesUtilizationInfo_v1_t,
}


@pytest.mark.parametrize("symbol", VERSIONED)
def test_a_version_that_the_driver_does_not_know(nvml: FakeNvml, symbol: str) -> None:
    nvml.scenario.add_gpus(1).write()
    pynvml.nvmlInit()
    structure = VERSIONED[symbol]()
    structure.version = 0x09000001
    function = getattr(nvml.library, symbol)
    code = function(pynvml.nvmlDeviceGetHandleByIndex(0), ctypes.byref(structure))
    assert code == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH


def test_use_of_processes_by_the_newer_call(nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).process(0, 7, sm=30, memu=4, enc=3, dec=2).write()
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    (row,) = pynvml.nvmlDeviceGetProcessesUtilizationInfo(handle, 0)
    assert (row.pid, row.smUtil, row.memUtil, row.encUtil, row.decUtil) == (7, 30, 4, 3, 2)


def test_it_stays_small_enough_to_be_read() -> None:
    assert len(build.SOURCE.read_text(encoding="utf-8").splitlines()) <= 800
