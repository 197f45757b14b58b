"""Tests against a real driver: `make test-gpu` on a machine with an NVIDIA GPU.

Elsewhere every one fails, and what had to be skipped makes the run fail too: a proof that was not
made must not look like one. They read the GPU and run a small kernel on it for some seconds; they
change no setting. Without a pid namespace of its own (in a container: --pid=host) all of them run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

from tests.fakes.nvml.launch import Exporter
from tests.gpu.burn import Burner, cuda_is_there
from tests.gpu.machine import is_mig, uuid_of


@pytest.fixture(scope="session", autouse=True)
def nvml() -> Iterator[None]:
    """NVML of this machine, initialised beside the exporter's own."""
    refusal = ""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        refusal = str(error)
    if refusal:
        pytest.fail(f"no NVIDIA driver on this machine: {refusal}", pytrace=False)
    if pynvml.nvmlDeviceGetCount() == 0:
        pytest.fail("no NVIDIA GPU on this machine", pytrace=False)
    yield
    pynvml.nvmlShutdown()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A skipped test has not passed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == pytest.ExitCode.OK and reporter is not None and skipped(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says so."""
    if number := skipped(terminalreporter):
        terminalreporter.write_line(f"{number} skipped: what they hold is not proved here")


def skipped(reporter: pytest.TerminalReporter) -> int:
    """How many of the tests of this folder."""
    reports = reporter.stats.get("skipped", [])
    return sum(one.nodeid.startswith("tests/gpu/") for one in reports)


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
    if is_mig(0):
        pytest.skip("the first GPU is in MIG mode: NVML tells no utilisation of processes")
    with Burner(uuid_of(0)) as made:
        yield made
