"""The fake NVML in this process, and what is built on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.kubelet import Kubelet
from tests.fakes.nvml import build
from tests.fakes.nvml.attributed import Node, build_node
from tests.fakes.nvml.loaded import FakeNvml, loaded
from tests.fakes.nvml.rig import Rig, build_rig


@pytest.fixture(autouse=True)
def needs_a_compiler() -> None:
    """The fake is written in C."""
    if build.compiler() is None:
        pytest.skip("no C compiler on PATH to build the fake NVML with")


@pytest.fixture
def nvml(tmp_path: Path) -> Iterator[FakeNvml]:
    """The library as a current driver brings it."""
    with loaded(tmp_path) as fake:
        yield fake


@pytest.fixture
def old_nvml(tmp_path: Path) -> Iterator[FakeNvml]:
    """The library as a driver before R510 brings it."""
    with loaded(tmp_path, old_driver=True) as fake:
        yield fake


@pytest.fixture
def make_rig(nvml: FakeNvml) -> Iterator[Callable[..., Rig]]:
    """Makes rigs on the fake; NVML is shut down at the end."""
    with ExitStack() as stack:

        def make(**settings: object) -> Rig:
            rig = build_rig(nvml, **settings)  # type: ignore[arg-type] # handed on as they come
            stack.callback(rig.sampler.close)
            return rig

        yield make


@pytest.fixture
def make_node(nvml: FakeNvml, tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Makes nodes with a kubelet; both are stopped at the end."""
    with ExitStack() as stack:

        def make(**settings: object) -> Node:
            kubelet = stack.enter_context(Kubelet(tmp_path))
            node = build_node(nvml, kubelet, **settings)  # type: ignore[arg-type] # handed on as they come
            stack.callback(node.rig.sampler.close)
            return node

        yield make
