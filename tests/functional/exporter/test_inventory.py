"""Which GPUs there are; changes are in test_failures.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter import inventory
from metrics_apiserver.exporter.capability import Capabilities
from metrics_apiserver.exporter.device_caller import NVMLContext
from metrics_apiserver.exporter.nvml.library import Library, NVMLError
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from tests.fakes.nvml.loaded import FakeNvml
from tests.fakes.nvml.scenario import gpu_uuid

nobody = frozenset[int]().__contains__


def context(nvml: FakeNvml) -> NVMLContext:
    nvml.write()
    telemetry = ExporterTelemetry(CollectorRegistry())
    library = Library()
    library.init()
    settings = Sampling(driver_proc=Path("/nowhere"))
    return NVMLContext(library, Capabilities(telemetry), telemetry, settings)


def test_conditions(nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(5).set(1, "lost", 1).set(2, "no_permission", 1)
    nvml.scenario.set(3, "fail.nvmlDeviceGetUUID", 999)
    made = context(nvml)
    found = inventory.enumerate_gpus(made, 0.0, lambda index: index == 4)
    assert found.count == 5
    assert found.gpus.keys() == {gpu_uuid(0)}
    assert found.absent == {1: "lost", 2: "no_permission", 3: "lost", 4: "paused"}
    found.close()
    assert found.gpus == {}


def test_a_gpu_with_few_values(nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).unset(0, "name").unset(0, "bus_id").unset(0, "minor")
    found = inventory.enumerate_gpus(context(nvml), 0.0, nobody)
    device = found.gpus[gpu_uuid(0)].device
    assert (device.name, device.bus_id, device.minor) == ("", "", None)


@pytest.mark.parametrize("code", [1, 18])
def test_library_errors_are_raised(nvml: FakeNvml, code: int) -> None:
    nvml.scenario.add_gpus(1).set("*", "fail.nvmlDeviceGetHandleByIndex_v2", code)
    with pytest.raises(NVMLError):
        inventory.enumerate_gpus(context(nvml), 0.0, nobody)


def test_changes_of_mig(nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, mig=0)
    made = context(nvml)
    (gpu,) = inventory.enumerate_gpus(made, 0.0, nobody).gpus.values()
    seen = [inventory.mig_changed(made.library, gpu)]
    nvml.scenario.set(0, "mig_pending", 1)
    nvml.write()
    seen.append(inventory.mig_changed(made.library, gpu))
    nvml.scenario.set(0, "mig", 1)
    nvml.write()
    seen.append(inventory.mig_changed(made.library, gpu))
    assert seen == ["", "pending", "changed"]
    nvml.scenario.add_instance(0, 0, gi=1)
    nvml.write()
    (gpu,) = inventory.enumerate_gpus(made, 0.0, nobody).gpus.values()
    assert inventory.mig_changed(made.library, gpu) == ""
    nvml.scenario.add_instance(0, 1, gi=2)
    nvml.write()
    assert inventory.mig_changed(made.library, gpu) == "changed"


def test_the_list_of_the_kernel_driver(tmp_path: Path) -> None:
    (tmp_path / "0000:01:00.0").mkdir()
    assert inventory.list_pci_addresses(tmp_path) == {"0000:01:00.0"}
    assert inventory.list_pci_addresses(tmp_path / "missing") == frozenset()
