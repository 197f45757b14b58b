"""Activity measured with GPM."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter import activity, settings
from metrics_apiserver.exporter.activity import ActivityReader
from metrics_apiserver.exporter.capability import Capabilities
from metrics_apiserver.exporter.device_caller import DeviceCaller, NVMLContext
from metrics_apiserver.exporter.nvml import gpm
from metrics_apiserver.exporter.nvml.library import Library
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from metrics_apiserver.exporter.values import Values
from tests.fakes.nvml.loaded import FakeNvml


def caller(nvml: FakeNvml, **scenario: float) -> DeviceCaller:
    nvml.scenario.add_gpus(1, **scenario)
    for number in range(1, 14):
        nvml.scenario.set(0, f"gpm.{number}", number)
    nvml.write()
    telemetry = ExporterTelemetry(CollectorRegistry())
    library = Library()
    library.init()
    sampling = Sampling(groups=frozenset(settings.GROUPS))
    return DeviceCaller(
        NVMLContext(library, Capabilities(telemetry), telemetry, sampling), "GPU", nvml.now
    )


def test_two_samples_make_a_measurement(nvml: FakeNvml) -> None:
    one = caller(nvml, gpm_supported=1)
    found = ActivityReader(one, one.library.call("nvmlDeviceGetHandleByIndex", 0))
    measured = []
    for seconds in (1, 1, 0.05, 1, 1000):
        one.begin_round(nvml.advance(seconds))
        measured.append(found.measure(None).get(gpm.SM))
    assert measured == [None, 2.0, None, 2.0, None], "too close, and after a pause"
    found.close()


def test_gpus_without_the_counters(nvml: FakeNvml) -> None:
    one = caller(nvml)
    found = ActivityReader(one, one.library.call("nvmlDeviceGetHandleByIndex", 0))
    assert found.measure(None) == {}
    assert one.context.capabilities.of("GPU") == {"GpmMetricsGet": False}


def test_no_permission_is_a_capability_that_is_off(nvml: FakeNvml) -> None:
    one = caller(nvml, gpm_supported=1)
    nvml.scenario.set(0, "fail.nvmlGpmSampleGet", 4)
    nvml.write()
    found = ActivityReader(one, one.library.call("nvmlDeviceGetHandleByIndex", 0))
    assert found.measure(None) == {}
    assert one.context.capabilities.of("GPU") == {"GpmMetricsGet": False}


def test_units_of_the_keys() -> None:
    values = Values(list[str]().append)
    values["prof_fp16"] = 0.5
    activity.keep(values, {gpm.SM: 50.0, gpm.PCIE_TX: 2.0})
    assert values == {"prof_sm": 0.5, "prof_pcie_tx": 2.0 * (1 << 20)}
