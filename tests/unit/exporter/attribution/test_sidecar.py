"""The GPUs of the exporter's own pod."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from metrics_apiserver.exporter.attribution.deviceids import DeviceIndex
from metrics_apiserver.exporter.attribution.sidecar import Sidecar
from metrics_apiserver.exporter.model import Device, Pod

DEVICES = DeviceIndex(Device(f"GPU-{n}", n, "T4", f"0:{n}", minor=n) for n in range(4))
POD = Pod("ai", "bert")


class PodEnvironment:
    """The pod's environment under a directory."""

    def __init__(self, directory: Path) -> None:
        self.proc, self.dev = directory / "proc", directory / "dev"
        self.proc.mkdir()
        self.dev.mkdir()

    def process(self, pid: int, visible: str | None) -> None:
        (self.proc / str(pid)).mkdir()
        text = "PATH=/bin\0" + ("" if visible is None else f"NVIDIA_VISIBLE_DEVICES={visible}\0")
        (self.proc / str(pid) / "environ").write_text(text)

    def node(self, name: str) -> None:
        (self.dev / name).touch()

    def devices(self, *given: str, environment: Mapping[str, str] | None = None) -> list[str]:
        sidecar = Sidecar(POD, given, self.proc, self.dev, environment or {})
        sidecar.refresh()
        found = sidecar.allocations(DEVICES, frozenset())
        assert found.is_known == bool(found.devices)
        assert all(allocation.pod == POD for allocation in found.devices)
        return sorted(allocation.device for allocation in found.devices)


@pytest.fixture
def around(tmp_path: Path) -> PodEnvironment:
    return PodEnvironment(tmp_path)


def test_the_flag_counts_first(around: PodEnvironment) -> None:
    around.process(1, "GPU-1")
    assert around.devices("GPU-3") == ["GPU-3"]


def test_the_environment_of_the_pods_processes(around: PodEnvironment) -> None:
    around.process(1, "GPU-1, GPU-2")
    around.process(7, "3")
    around.process(8, None)
    (around.proc / "9").mkdir()
    (around.proc / "meminfo").touch()
    assert around.devices(environment={"NVIDIA_VISIBLE_DEVICES": "all"}) == [
        "GPU-1",
        "GPU-2",
        "GPU-3",
    ]


@pytest.mark.parametrize("text", ["all", "none", "void", "", "/var/run/nvidia-container-devices"])
def test_ignored_values(around: PodEnvironment, text: str) -> None:
    around.process(1, text)
    assert around.devices(environment={"NVIDIA_VISIBLE_DEVICES": "all"}) == []


def test_own_environment_and_device_nodes(around: PodEnvironment) -> None:
    assert around.devices(environment={"NVIDIA_VISIBLE_DEVICES": "GPU-0"}) == ["GPU-0"]
    for name in ("nvidia2", "nvidiactl", "nvidia-uvm", "null"):
        around.node(name)
    assert around.devices() == ["GPU-2"]
    assert around.devices(environment={"NVIDIA_VISIBLE_DEVICES": "all"}) == [], "every GPU is there"


def test_slots_and_foreign_processes_make_a_device_shared(around: PodEnvironment) -> None:
    sidecar = Sidecar(POD, ("GPU-0::1", "GPU-1", "GPU-2"), around.proc, around.dev, {})
    sidecar.refresh()
    found = sidecar.allocations(DEVICES, frozenset({"GPU-1"}))
    assert {one.device: (one.share, one.is_shared) for one in found.devices} == {
        "GPU-0": (None, True),
        "GPU-1": (None, True),
        "GPU-2": (1.0, False),
    }


def test_foreign_processes(around: PodEnvironment) -> None:
    around.process(1, None)
    around.process(2, None)
    sidecar = Sidecar(POD, (), around.proc, around.dev, {})
    sidecar.refresh()
    assert not sidecar.is_foreign([1, 2])
    assert sidecar.is_foreign([1, 99])
    assert not sidecar.is_foreign([98, 99]), "NVML uses another pid namespace"
    assert not sidecar.is_foreign([])


def test_missing_directories(tmp_path: Path) -> None:
    sidecar = Sidecar(POD, (), tmp_path / "x", tmp_path / "y", {})
    sidecar.refresh()
    assert not sidecar.allocations(DEVICES, frozenset()).is_known


def test_a_gpu_that_cannot_be_read_still_counts(around: PodEnvironment) -> None:
    assert around.devices("GPU-0", "GPU-gone") == ["GPU-0", "GPU-gone"]
    assert around.devices("GPU-gone") == [], "none of them is on this node, so nothing is known"
