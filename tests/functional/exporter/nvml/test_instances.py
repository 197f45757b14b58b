"""MIG instances and their names."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from metrics_apiserver.exporter.nvml import instances
from metrics_apiserver.exporter.nvml.instances import MigMode
from metrics_apiserver.exporter.nvml.library import Handle, Library, NVMLError
from tests.fakes.nvml.loaded import FakeNvml


def test_modes(library: Library, handle: Handle, nvml: FakeNvml) -> None:
    assert instances.mode(library, handle) == MigMode(current=False, pending=False)
    nvml.scenario.set(0, "mig", 1).set(0, "mig_pending", 0)
    nvml.write()
    assert instances.mode(library, handle) == MigMode(current=True, pending=False)
    nvml.scenario.set(0, "fail.nvmlDeviceGetMigMode", 999)
    nvml.write()
    with pytest.raises(NVMLError):
        instances.mode(library, handle)


def test_gaps_are_normal(library: Library, handle: Handle, nvml: FakeNvml) -> None:
    first = nvml.scenario.add_instance(0, 1, gi=5, profile="1g.10gb")
    second = nvml.scenario.add_instance(0, 6, gi=2, profile="3g.40gb")
    nvml.write()
    found = instances.enumerate_instances(library, handle)
    assert [(one.uuid, one.gi, one.ci, one.profile) for one in found] == [
        (first, 5, 0, "1g.10gb"),
        (second, 2, 0, "3g.40gb"),
    ]
    nvml.scenario.set(0, "fail.nvmlDeviceGetMigDeviceHandleByIndex", 999)
    nvml.write()
    with pytest.raises(NVMLError):
        instances.enumerate_instances(library, handle)


@pytest.mark.parametrize(
    ("spoiled", "profile"),
    [
        ((), "2g.20gb"),
        (("nvmlDeviceGetGpuInstanceById",), "2g.20gb"),
        (("nvmlDeviceGetGpuInstanceById", "name"), "1g.10gb"),
        (("nvmlDeviceGetGpuInstanceById", "name", "nvmlDeviceGetAttributes_v2"), ""),
        (("nvmlDeviceGetGpuInstanceProfileInfoV",), "2g.20gb"),
    ],
)
def test_sources_of_a_profile(
    library: Library, handle: Handle, nvml: FakeNvml, spoiled: tuple[str, ...], profile: str
) -> None:
    uuid = nvml.scenario.add_instance(0, 0, gi=1, profile="2g.20gb")
    for one in spoiled:
        if one == "name":
            nvml.scenario.set(uuid, "name", "NVIDIA A100")
        else:
            nvml.scenario.set("*", f"fail.{one}", 4).set(uuid, f"fail.{one}", 4)
    nvml.write()
    (found,) = instances.enumerate_instances(library, handle)
    assert found.profile == profile


def test_a_profile_that_is_not_in_the_list(
    library: Library, handle: Handle, nvml: FakeNvml
) -> None:
    nvml.scenario.add_instance(0, 0, gi=1, profile="2g.20gb")
    nvml.scenario.set(0, "profile_of.1", 9)
    nvml.write()
    (found,) = instances.enumerate_instances(library, handle)
    assert found.profile == "2g.20gb", "by its name"


def test_a_layout_differs_by_place_and_size() -> None:
    one = instances.MigDevice(None, "MIG-a", 1, 0, "1g.10gb")
    layout = instances.layout([one])
    assert layout == instances.layout([dataclasses.replace(one, handle=object())])
    changes: list[dict[str, Any]] = [
        {"uuid": "MIG-b"},
        {"gi": 2},
        {"ci": 1},
        {"profile": "2g.20gb"},
    ]
    for change in changes:
        assert instances.layout([dataclasses.replace(one, **change)]) != layout
    assert instances.layout([]) != layout
