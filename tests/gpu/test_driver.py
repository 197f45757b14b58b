"""The exporter on a real driver, beside NVML asked directly and nvidia-smi."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable

import pynvml
import pytest

from tests.fakes.nvml.launch import Exporter
from tests.fakes.nvml.rig import Text, parse
from tests.gpu.burn import MEMORY_BYTES, Burner

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
    "gpu_exporter_capability",
)


def text_of(exporter: Exporter) -> Text:
    return parse(exporter.get()[2])


def eventually(exporter: Exporter, accept: Callable[[Text], object], seconds: float = 30) -> Text:
    deadline = time.monotonic() + seconds
    while not accept(found := text_of(exporter)):
        assert time.monotonic() < deadline, exporter.log_text()
        time.sleep(0.5)
    return found


def uuid_of(index: int) -> str:
    return str(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(index)))


def is_mig(index: int) -> bool:
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(pynvml.nvmlDeviceGetHandleByIndex(index))
    except pynvml.NVMLError:
        return False
    return bool(current)


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
        shown = found.value("nvidia_gpu_memory_total_bytes", uuid=uuid_of(index))
        assert shown == total


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
            shown = found.value(name, UUID=uuid)
            if value is not None and shown is not None:
                assert shown == pytest.approx(value, abs=tolerance), (name, uuid)
        assert clock is None or found.value("DCGM_FI_DEV_SM_CLOCK", UUID=uuid) is not None


def test_a_process_that_burns_sms(exporter: Exporter, burner: Burner) -> None:
    if is_mig(0):
        pytest.skip("the first GPU is in MIG mode: NVML tells no utilisation")
    uuid = uuid_of(0)
    found = eventually(
        exporter, lambda text: (text.value("nvidia_gpu_duty_cycle", uuid=uuid) or 0) > 80
    )
    assert (found.value("DCGM_FI_DEV_GPU_UTIL", UUID=uuid) or 0) > 80
    assert (found.value("DCGM_FI_DEV_FB_USED", UUID=uuid) or 0) >= MEMORY_BYTES >> 20
    if "DCGM_FI_PROF_SM_ACTIVE" in found.types:
        assert (found.value("DCGM_FI_PROF_SM_ACTIVE", UUID=uuid) or 0) > 0.5


def test_a_burning_process_is_seen_by_its_pid(exporter: Exporter, burner: Burner) -> None:
    """The pods' families need pods; what they are made of is read here."""
    if is_mig(0):
        pytest.skip("the first GPU is in MIG mode: NVML tells no utilisation")
    from metrics_apiserver.exporter.nvml import processes
    from metrics_apiserver.exporter.nvml.library import Library

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
