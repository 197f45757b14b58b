"""The fake's structures have the sizes that pynvml declares for those of the real library."""

from __future__ import annotations

import ctypes

import pynvml
import pytest

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


def test_a_scenario_changes_while_it_plays(nvml: FakeNvml) -> None:
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
