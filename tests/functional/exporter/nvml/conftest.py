"""An initialised library with one GPU."""

from __future__ import annotations

import pytest

from metrics_apiserver.exporter.nvml.library import Handle, Library
from tests.fakes.nvml.loaded import FakeNvml


@pytest.fixture
def library(nvml: FakeNvml) -> Library:
    nvml.scenario.add_gpus(1)
    nvml.write()
    made = Library()
    made.init()
    return made


@pytest.fixture
def handle(library: Library) -> Handle:
    return library.call("nvmlDeviceGetHandleByIndex", 0)
