"""The duty cycle of a GPU, by the samples of the driver."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metrics_apiserver.exporter.settings import Sampling
from tests.fakes.nvml.loaded import FakeNvml
from tests.fakes.nvml.rig import Rig

DUTY = "nvidia_gpu_duty_cycle"
MakeRig = Callable[..., Rig]


def test_the_duty_cycle_is_a_mean_over_the_window(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=0).set(0, "util", 100, at_ms=20_000)
    nvml.write()
    rig = make_rig()
    assert rig.sample().value(DUTY) is None, "the first result is from before sampling"
    assert rig.sample(19).value(DUTY) == 0
    assert rig.sample(5).value(DUTY) == pytest.approx(100 / 3, abs=3)
    assert rig.sample(11).value(DUTY) == 100


def test_without_samples_one_value_a_round(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=10).set(0, "util", 30, at_ms=2500)
    nvml.scenario.set(0, "fail.nvmlDeviceGetSamples", 3)
    nvml.write()
    rig = make_rig()
    assert rig.sample(2).value(DUTY) == 10
    assert rig.sample(2).value(DUTY) == 20


def test_a_window_without_new_values_expires(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=50)
    nvml.write()
    rig = make_rig()
    assert rig.sample(5).value(DUTY) == 50
    nvml.scenario.set(0, "fail.nvmlDeviceGetSamples", 6)
    nvml.scenario.set(0, "fail.nvmlDeviceGetUtilizationRates", 6)
    nvml.write()
    assert rig.sample(30).value(DUTY) == 50
    assert rig.sample(1).value(DUTY) is None


def test_utilisation_right_after_init_is_ignored(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=100).set(0, "util", 5, at_ms=2100)
    nvml.write()
    rig = make_rig(sampling=Sampling())
    assert rig.sample(2).value("DCGM_FI_DEV_GPU_UTIL") is None
    assert rig.sample(3).value(DUTY) == pytest.approx(5, abs=6)
    assert rig.sample().value("DCGM_FI_DEV_GPU_UTIL") == 5
