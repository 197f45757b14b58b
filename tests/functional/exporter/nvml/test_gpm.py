"""GPM: two samples make a measurement."""

from __future__ import annotations

import pytest

from metrics_apiserver.exporter.nvml import gpm
from metrics_apiserver.exporter.nvml.library import Handle, Library, NVMLError
from tests.fakes.nvml.loaded import FakeNvml


@pytest.fixture
def library(nvml: FakeNvml) -> Library:
    nvml.scenario.add_gpus(1, gpm_supported=1).set(0, "gpm.2", 40).set(0, "gpm.5", "nan")
    nvml.write()
    made = Library()
    made.init()
    return made


def test_support(library: Library, handle: Handle, nvml: FakeNvml) -> None:
    assert gpm.is_supported(library, handle)
    nvml.scenario.set(0, "gpm_supported", 0)
    nvml.write()
    assert not gpm.is_supported(library, handle)


def test_a_measurement_covers_the_time_between_samples(
    library: Library, handle: Handle, nvml: FakeNvml
) -> None:
    sampler = gpm.GpmSampler(library, handle, None, (gpm.SM, gpm.TENSOR, gpm.DRAM))
    assert sampler.measure(nvml.advance(1)) == {}
    assert sampler.measure(nvml.advance(1)) == {gpm.SM: 40}, "without NaN and unsupported metrics"
    nvml.scenario.set(0, "gpm.2", 70)
    nvml.write()
    assert sampler.measure(nvml.advance(1)) == {gpm.SM: 70}
    sampler.close()


def test_slow_rounds_are_measured_too(library: Library, handle: Handle, nvml: FakeNvml) -> None:
    sampler = gpm.GpmSampler(library, handle, None, (gpm.SM,))
    sampler.measure(nvml.advance(1))
    assert sampler.measure(nvml.advance(600)) == {gpm.SM: 40}
    assert sampler.measure(nvml.advance(1000)) == {}, "no measurement after a pause"
    assert sampler.measure(nvml.advance(1)) == {gpm.SM: 40}
    sampler.close()


def test_instances_have_their_own(library: Library, handle: Handle, nvml: FakeNvml) -> None:
    nvml.scenario.add_instance(0, 0, gi=4)
    nvml.scenario.set(0, "gpm.gi4.2", 11)
    nvml.write()
    sampler = gpm.GpmSampler(library, handle, 4, (gpm.SM,))
    sampler.measure(nvml.advance(1))
    assert sampler.measure(nvml.advance(1)) == {gpm.SM: 11}
    sampler.close()


def test_refusals(library: Library, handle: Handle, nvml: FakeNvml) -> None:
    nvml.scenario.set("*", "fail.nvmlGpmSampleAlloc", "999 after=1")
    nvml.write()
    with pytest.raises(NVMLError):
        gpm.GpmSampler(library, handle, None, (gpm.SM,))
    nvml.scenario.unset("*", "fail.nvmlGpmSampleAlloc")
    nvml.scenario.set(0, "fail.nvmlGpmSampleGet", 4)
    nvml.write()
    sampler = gpm.GpmSampler(library, handle, None, (gpm.SM,))
    with pytest.raises(NVMLError):
        sampler.measure(nvml.advance(1))
