"""Calls, errors and values of the binding."""

from __future__ import annotations

import pynvml
import pytest

from metrics_apiserver.exporter.nvml.library import Code, DriverVersions, Library, NVMLError
from tests.fakes.nvml import build
from tests.fakes.nvml.loaded import FakeNvml
from tests.fakes.nvml.scenario import MIB, gpu_uuid


@pytest.fixture
def library(nvml: FakeNvml) -> Library:
    nvml.scenario.add_gpus(1, mem_used=100 * MIB, mem_reserved=50 * MIB)
    nvml.write()
    made = Library()
    made.init()
    return made


def test_errors_have_names() -> None:
    assert str(NVMLError("nvmlX", 15)) == "nvmlX: GPU_IS_LOST"
    assert str(NVMLError("nvmlX", 4711)) == "nvmlX: code 4711"


def test_calls(library: Library) -> None:
    handle = library.call("nvmlDeviceGetHandleByIndex", 0)
    assert library.text("nvmlDeviceGetUUID", handle) == gpu_uuid(0)
    with pytest.raises(NVMLError) as refused:
        library.call("nvmlDeviceGetHandleByIndex", 9)
    assert refused.value.code == Code.INVALID_ARGUMENT
    with pytest.raises(NVMLError) as refused:
        library.call("nvmlNotInThisPynvml")
    assert refused.value.code == Code.FUNCTION_NOT_FOUND
    assert library.raw("nvmlNotInThisDriver") == Code.FUNCTION_NOT_FOUND


def test_every_call_is_reported(nvml: FakeNvml) -> None:
    beats: list[str] = []
    library = Library(beats.append)
    library.init()
    library.versions()
    library.shutdown()
    assert beats[0] == "nvmlInitWithFlags"
    assert beats[-1] == "nvmlShutdown"
    assert "nvmlSystemGetDriverVersion" in beats


def test_versions(library: Library, nvml: FakeNvml) -> None:
    assert library.versions() == DriverVersions("550.54.15", "12.550.54.15", "12.4")
    nvml.scenario.set("*", "driver", "err=999").set(
        "*", "fail.nvmlSystemGetCudaDriverVersion_v2", 3
    )
    nvml.write()
    assert library.versions() == DriverVersions("", "12.550.54.15", "")


def test_memory_falls_back_to_the_first_version(library: Library, nvml: FakeNvml) -> None:
    handle = library.call("nvmlDeviceGetHandleByIndex", 0)
    found = library.memory(handle)
    assert (found.used, found.reserved) == (100 * MIB, 50 * MIB)
    assert library.memory_v1(handle).used == 150 * MIB
    nvml.scenario.set(0, "fail.nvmlDeviceGetMemoryInfo_v2", "25 times=1")
    nvml.write()
    assert library.memory(handle).reserved is None
    assert library.memory(handle).reserved is None, "remembered until the next initialisation"
    library.shutdown()
    library.init()
    handle = library.call("nvmlDeviceGetHandleByIndex", 0)
    assert library.memory(handle).reserved == 50 * MIB
    nvml.scenario.set(0, "fail.nvmlDeviceGetMemoryInfo_v2", 999)
    nvml.write()
    with pytest.raises(NVMLError):
        library.memory(handle)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        (83, "12345678901234", 12345678901234),
        (83, "1.5 type=0", 1.5),
        (83, "7 type=1", 7),
        (83, "7 type=99", 7),
        (82, "58 type=3", 58),
        (82, "58 type=0", None),
    ],
)
def test_field_values(
    library: Library, nvml: FakeNvml, field: int, text: str, value: float | None
) -> None:
    nvml.scenario.set(0, f"field.{field}", text)
    nvml.write()
    handle = library.call("nvmlDeviceGetHandleByIndex", 0)
    found = library.field_values(handle, [field, 94])
    if value is not None:
        assert found[field] == value
    refused = found[94]
    assert isinstance(refused, NVMLError)
    assert (refused.code, refused.call) == (3, "nvmlDeviceGetFieldValues.94")


def test_a_library_by_its_path(nvml: FakeNvml) -> None:
    handed, pynvml.nvmlLib = pynvml.nvmlLib, None
    try:
        with pytest.raises(NVMLError) as refused:
            Library(path="/nowhere/libnvidia-ml.so.1").init()
        assert refused.value.code == Code.LIBRARY_NOT_FOUND
        Library(path=str(build.library())).init()
    finally:
        pynvml.nvmlLib = handed
