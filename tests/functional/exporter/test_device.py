"""One GPU: read intervals, kept values, and errors that are raised."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter import inventory
from metrics_apiserver.exporter.capability import Capabilities
from metrics_apiserver.exporter.device import Gpu
from metrics_apiserver.exporter.device_caller import NVMLContext
from metrics_apiserver.exporter.nvml.library import Code, Library, NVMLError
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from tests.fakes.nvml.loaded import FakeNvml
from tests.fakes.nvml.scenario import gpu_uuid


@pytest.fixture
def context(nvml: FakeNvml) -> NVMLContext:
    nvml.scenario.add_gpus(1)
    nvml.write()
    telemetry = ExporterTelemetry(CollectorRegistry())
    made = NVMLContext(Library(), Capabilities(telemetry), telemetry, Sampling(settle_seconds=0))
    made.library.init()
    return made


def gpu(context: NVMLContext, nvml: FakeNvml) -> Gpu:
    return inventory.enumerate_gpus(context, nvml.now, frozenset[int]().__contains__).gpus[
        gpu_uuid(0)
    ]


def test_read_intervals(context: NVMLContext, nvml: FakeNvml) -> None:
    one = gpu(context, nvml)
    calls: list[str] = []
    context.library._beat = calls.append
    one.read(nvml.advance(1))
    first = set(calls)
    assert {"nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage"} <= first
    assert "nvmlDeviceGetPcieReplayCounter" in first
    calls.clear()
    one.read(nvml.advance(1))
    assert "nvmlDeviceGetUtilizationRates" in calls
    assert "nvmlDeviceGetPowerUsage" not in calls
    calls.clear()
    one.read(nvml.advance(4))
    assert "nvmlDeviceGetPowerUsage" in calls
    assert "nvmlDeviceGetPcieReplayCounter" not in calls
    calls.clear()
    one.read(nvml.advance(26))
    assert "nvmlDeviceGetPcieReplayCounter" in calls


def test_slow_values_are_kept_between_their_readings(context: NVMLContext, nvml: FakeNvml) -> None:
    one = gpu(context, nvml)
    for _ in range(3):
        (reading,) = one.read(nvml.advance(1))
        assert reading.values["pcie_replay"] == 0


def test_a_restart_clears_the_window(context: NVMLContext, nvml: FakeNvml) -> None:
    one = gpu(context, nvml)
    nvml.scenario.set(0, "util", 80)
    nvml.write()
    duties = [one.read(nvml.advance(1))[0].values.get("duty_cycle") for _ in range(5)]
    assert duties[-1] == 80
    one.restart("another")
    one.restart(gpu_uuid(0))
    nvml.scenario.set(0, "util", 20)
    nvml.write()
    (reading,) = one.read(nvml.advance(1))
    assert reading.values["duty_cycle"] == pytest.approx(20, abs=11)


def test_a_restart_reads_slow_values_again(context: NVMLContext, nvml: FakeNvml) -> None:
    one = gpu(context, nvml)
    nvml.scenario.set(0, "enc", 80).process(0, 7, mem=5)
    nvml.write()
    (reading,) = one.read(nvml.advance(1))
    assert (reading.values["enc_util"], len(reading.memory or ())) == (80, 1)
    nvml.scenario.set(0, "enc", 0).unset(0, "proc.7")
    nvml.write()
    one.restart("another")
    (reading,) = one.read(nvml.advance(1))
    assert (reading.values["enc_util"], len(reading.memory or ())) == (80, 1)
    one.restart(gpu_uuid(0))
    (reading,) = one.read(nvml.advance(1))
    assert (reading.values["enc_util"], reading.memory) == (0, {})


@pytest.mark.parametrize("code", [1, 15, 16, 18])
def test_device_errors_are_raised(context: NVMLContext, nvml: FakeNvml, code: int) -> None:
    one = gpu(context, nvml)
    one.read(nvml.advance(1))
    nvml.scenario.set(0, "fail.nvmlDeviceGetUtilizationRates", code)
    nvml.write()
    with pytest.raises(NVMLError) as raised:
        one.read(nvml.advance(1))
    assert raised.value.code == code


def test_a_mig_handle_that_is_stale_is_raised(context: NVMLContext, nvml: FakeNvml) -> None:
    uuid = nvml.scenario.add_instance(0, 0, gi=1)
    nvml.write()
    one = gpu(context, nvml)
    assert len(one.read(nvml.advance(1))) == 2
    nvml.scenario.set(0, "mig.0", "-")
    nvml.write()
    with pytest.raises(NVMLError) as raised:
        one.read(nvml.advance(1))
    assert raised.value.code == Code.INVALID_ARGUMENT
    nvml.scenario.set(0, "mig.0", uuid).set(uuid, "mem_used", "err=999")
    nvml.write()
    _, instance = one.read(nvml.advance(1))
    assert "memory_used" not in instance.values


def test_two_compute_instances_of_one_gpu_instance(context: NVMLContext, nvml: FakeNvml) -> None:
    """Values of the GPU instance belong to neither of them."""
    nvml.scenario.set(0, "gpm_supported", 1).set(0, "gpm.gi4.2", 33).set(0, "gpm.gi5.2", 44)
    for n, gi in enumerate((4, 4, 5)):
        nvml.scenario.add_instance(0, n, gi=gi)
    nvml.write()
    one = gpu(context, nvml)
    one.read(nvml.advance(1))
    _, first, second, third = one.read(nvml.advance(1))
    assert first.values == second.values == {}
    assert third.values["sm_util"] == 44
    one.close()
