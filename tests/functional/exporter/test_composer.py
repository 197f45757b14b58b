"""State that outlasts a round: allocations and known processes."""

from __future__ import annotations

from collections.abc import Callable

from metrics_apiserver.exporter.model import DeviceAllocation, Pod
from tests.fakes.nvml.loaded import FakeNvml
from tests.fakes.nvml.rig import Rig
from tests.fakes.nvml.scenario import gpu_uuid

ONE, TWO = Pod("ai", "one"), Pod("ai", "two")


def test_a_reallocation_drops_the_mean_once(make_rig: Callable[..., Rig], nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2, util=50)
    nvml.write()
    rig = make_rig()
    rig.source.set(DeviceAllocation(gpu_uuid(0), ONE, "c"))
    rig.sample(5)
    rig.source.set(DeviceAllocation(gpu_uuid(0), TWO, "c"))
    found = rig.sample()
    assert found.values("nvidia_gpu_duty_cycle", uuid=gpu_uuid(0)) == []
    assert found.values("nvidia_gpu_duty_cycle", uuid=gpu_uuid(1)) == [50]
    assert rig.sample().values("nvidia_gpu_duty_cycle", uuid=gpu_uuid(0)) == [50]


def test_unknown_allocations_are_no_change(make_rig: Callable[..., Rig], nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=50)
    nvml.write()
    rig = make_rig()
    rig.source.set(DeviceAllocation(gpu_uuid(0), ONE, "c"))
    rig.sample(5)
    known, rig.source.known = rig.source.known, type(rig.source.known)()
    assert rig.sample().values("nvidia_gpu_duty_cycle") == [50]
    rig.source.known = known
    assert rig.sample().values("nvidia_gpu_duty_cycle") == [50]


def test_new_devices_and_processes_trigger_a_refresh(
    make_rig: Callable[..., Rig], nvml: FakeNvml
) -> None:
    nvml.scenario.add_gpus(1)
    nvml.write()
    rig = make_rig()
    rig.sample(3)
    assert len(rig.wakes) == 1, "the GPU"
    nvml.scenario.process(0, 7, mem=1, sm=5)
    nvml.write()
    rig.sample(8)
    assert len(rig.wakes) == 2, "the process"


def test_an_exposition_without_nvml_is_empty(make_rig: Callable[..., Rig], nvml: FakeNvml) -> None:
    nvml.scenario.set("*", "fail.nvmlInitWithFlags", 9)
    nvml.write()
    rig = make_rig()
    rig.source.set(DeviceAllocation(gpu_uuid(0), ONE, "c"))
    rig.sample()
    assert rig.exposition is not None
    assert rig.exposition.text == rig.exposition.state == b""
    assert not rig.exposition.is_up
