"""The exporter on a real driver, beside NVML asked directly and nvidia-smi."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable

import pynvml
import pytest

from metrics_apiserver.exporter.nvml import processes
from metrics_apiserver.exporter.nvml.library import Library
from tests.fakes.nvml.launch import Exporter
from tests.fakes.nvml.rig import Text, parse
from tests.gpu.burn import MEMORY_BYTES, Burner
from tests.gpu.machine import uuid_of

HOPPER = 9
ALWAYS = (
    "nvidia_gpu_num_devices",
    "nvidia_gpu_memory_total_bytes",
    "nvidia_gpu_memory_used_bytes",
    "nvidia_gpu_temperature_celsius",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_FB_FREE",
    "DCGM_FI_DEV_SM_CLOCK",
    "DCGM_CUSTOM_DEV_FB_TOTAL",
    "DCGM_FI_DEV_COUNT",
    "gpu_exporter_capability",
)
# What is read off of a GPU that burns.
BUSY = (
    "nvidia_gpu_duty_cycle",
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_MEM_COPY_UTIL",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_SM_CLOCK",
    "DCGM_FI_DEV_GPU_TEMP",
)


def text_of(exporter: Exporter) -> Text:
    return parse(exporter.get()[2])


def eventually(exporter: Exporter, accept: Callable[[Text], object], seconds: float = 30) -> Text:
    deadline = time.monotonic() + seconds
    while not accept(found := text_of(exporter)):
        assert time.monotonic() < deadline, exporter.log_text()
        time.sleep(0.5)
    return found


def of_gpu(found: Text, name: str, uuid: str) -> float | None:
    """The value of the GPU itself, not of its MIG instances."""
    label = "uuid" if name.startswith("nvidia_gpu_") else "UUID"
    values = [
        value
        for labels, value in found.samples.get(name, [])
        if labels[label] == uuid and "GPU_I_ID" not in labels
    ]
    assert len(values) < 2, f"{len(values)} series of {name}"
    return values[0] if values else None


def test_every_gpu_is_there(exporter: Exporter) -> None:
    found = eventually(exporter, lambda text: "gpu_exporter_capability" in text.types)
    assert found.value("gpu_exporter_up") == 1
    count = pynvml.nvmlDeviceGetCount()
    assert found.value("nvidia_gpu_num_devices") == count
    for name in ALWAYS:
        assert name in found.types, name
    for index in range(count):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        total = pynvml.nvmlDeviceGetMemoryInfo(handle).total
        assert of_gpu(found, "nvidia_gpu_memory_total_bytes", uuid_of(index)) == total
        assert of_gpu(found, "DCGM_FI_DEV_COUNT", uuid_of(index)) == count


def test_nothing_is_out_of_range(exporter: Exporter) -> None:
    time.sleep(8)
    found = text_of(exporter)
    for name, samples in found.samples.items():
        for labels, value in samples:
            if name.endswith(("_UTIL", "duty_cycle")):
                assert 0 <= value <= 100, (name, labels, value)
            if name.startswith("DCGM_FI_PROF_") and name.endswith(("ACTIVE", "OCCUPANCY")):
                assert 0 <= value <= 1, (name, labels, value)
            if name.endswith("_TEMP"):
                assert 0 < value < 150, (name, labels, value)


def test_as_nvidia_smi_says(exporter: Exporter) -> None:
    program = shutil.which("nvidia-smi")
    if program is None:
        pytest.skip("nvidia-smi is not on PATH")
    fields = "uuid,temperature.gpu,memory.used,memory.total,power.draw,clocks.sm"
    command = [program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    time.sleep(6)
    found = text_of(exporter)
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    for line in done.stdout.splitlines():
        uuid, *cells = (cell.strip() for cell in line.split(","))
        temperature, used, total, power, clock = (
            float(cell) if cell.replace(".", "").isdecimal() else None for cell in cells
        )
        for name, value, tolerance in (
            ("DCGM_FI_DEV_GPU_TEMP", temperature, 5),
            ("DCGM_FI_DEV_FB_USED", used, 300),
            ("DCGM_FI_DEV_FB_TOTAL", total, 1),
            ("DCGM_FI_DEV_POWER_USAGE", power, 60),
        ):
            shown = of_gpu(found, name, uuid)
            print(f"\n{uuid} {name}: {shown}, nvidia-smi {value}", end="")
            assert (shown is None) == (value is None), (name, uuid)
            if value is not None:
                assert shown == pytest.approx(value, abs=tolerance), (name, uuid)
        # A clock moves within a second: only its presence can be compared.
        assert (clock is None) == (of_gpu(found, "DCGM_FI_DEV_SM_CLOCK", uuid) is None)
    print()


def test_a_process_that_burns_sms(exporter: Exporter, burner: Burner) -> None:
    uuid = uuid_of(0)

    def of(found: Text, name: str) -> float:
        return of_gpu(found, name, uuid) or 0.0

    found = eventually(exporter, lambda text: of(text, "nvidia_gpu_duty_cycle") > 80)
    shown = {name: of_gpu(found, name, uuid) for name in BUSY}
    print(f"\nwhile it burns: {shown}")
    assert of(found, "DCGM_FI_DEV_GPU_UTIL") > 80
    assert of(found, "DCGM_FI_DEV_FB_USED") >= MEMORY_BYTES >> 20


def test_activity_is_told_from_hopper_on(exporter: Exporter, burner: Burner) -> None:
    uuid = uuid_of(0)
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    if major < HOPPER:
        found = eventually(exporter, lambda text: text.value("nvidia_gpu_duty_cycle", uuid=uuid))
        assert not [name for name in found.types if name.endswith("_ACTIVE")], (major, minor)
        return
    found = eventually(
        exporter, lambda text: (of_gpu(text, "DCGM_FI_PROF_SM_ACTIVE", uuid) or 0) > 0.5
    )
    shown = {name: of_gpu(found, name, uuid) for name in found.types if "_PROF_" in name}
    print(f"\ncompute capability {major}.{minor}, as uid {os.geteuid()}: {shown}")
    # The kernel multiplies and adds in FP32, and touches neither tensor cores nor memory.
    assert (shown.get("DCGM_FI_PROF_PIPE_FP32_ACTIVE") or 0) > 0.1
    assert (shown.get("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE") or 0) < 0.1


def test_a_burning_process_is_seen_by_its_pid(burner: Burner) -> None:
    """The pods' families need pods; what they are made of is read here."""
    library = Library()
    library.init()
    handle = library.call("nvmlDeviceGetHandleByIndex", 0)
    seen = 0
    best: dict[int, int] = {}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and max(best.values(), default=0) < 50:
        for use in processes.utilization(library, handle, seen):
            seen = max(seen, use.time)
            best[use.pid] = max(best.get(use.pid, 0), use.sm)
        time.sleep(1)
    listed = processes.running(library, handle, "C")
    library.shutdown()
    print(f"\nthe burner is {burner.pid} here; used: {best}; listed: {listed}")
    assert max(best.values(), default=0) >= 50
    held = [one.memory for one in listed if one.memory is not None]
    assert not listed or not held or max(held) >= MEMORY_BYTES
