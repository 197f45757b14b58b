"""Tests against a real driver: `python -m pytest tests/gpu` on a machine with an NVIDIA GPU.

Elsewhere every one is skipped. They read the GPU and run a small kernel on it for some seconds;
they change no setting.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

from tests.fakes.nvml.launch import Exporter
from tests.gpu.burn import Burner, cuda_is_there


@pytest.fixture(scope="session", autouse=True)
def nvml() -> Iterator[None]:
    """NVML of this machine, initialised beside the exporter's own."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        pytest.skip(f"no NVIDIA driver on this machine: {error}")
    if pynvml.nvmlDeviceGetCount() == 0:
        pytest.skip("no NVIDIA GPU on this machine")
    yield
    pynvml.nvmlShutdown()


@pytest.fixture
def exporter(tmp_path: Path, nvml: None) -> Iterator[Exporter]:
    """The exporter on the real library, with everything it can collect."""
    groups = "clocks,ecc,exp,memory,nvlink,power,profiling,retired,violations"
    flags = ["--attribution=none", "--window=5s", f"--collect={groups}"]
    made = Exporter(tmp_path, {"NODE_NAME": "gpu-machine"}, flags, with_library=False)
    made.start()
    try:
        made.wait_ready(seconds=60)
        yield made
    finally:
        made.stop()


@pytest.fixture
def burner(nvml: None) -> Iterator[Burner]:
    """A process that keeps the first GPU's SMs busy."""
    if not cuda_is_there():
        pytest.skip("libcuda.so.1 cannot be loaded: nothing can be run on the GPU")
    with Burner() as made:
        yield made
