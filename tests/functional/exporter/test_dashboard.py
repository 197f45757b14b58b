"""Every panel of the exporter's dashboard shows something, on a real Prometheus that scrapes it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.fakes import prometheus as backends
from tests.fakes.hostproc import Host
from tests.fakes.kubelet import ContainerAllocation
from tests.fakes.nvml import build
from tests.fakes.nvml.launch import ROOT, Node
from tests.fakes.nvml.scenario import MIB, gpu_uuid
from tests.fakes.prometheus import Backend

DASHBOARD = json.loads(
    (ROOT / "manifests/components/gpu-exporter/scrape/dashboard.json").read_text()
)
TARGETS = [
    pytest.param(target["expr"], target["legendFormat"], id=f"{panel['title']} {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
]
NODE = "node-1"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Scrapes a node: one pod has GPU 0, two share GPU 1, and another uses it unallocated."""
    if build.compiler() is None or not backends.is_installed("prometheus"):
        pytest.skip("needs a C compiler and prometheus on PATH")
    directory = tmp_path_factory.mktemp("dashboard")
    host = Host(directory / "host")
    flags = ["--window=3s", "--processes", f"--host-proc={host.proc}"]
    flags += [f"--pod-logs={host.pods}", f"--container-logs={host.containers}"]
    node = Node(directory / "node", name=NODE, gpus=2, flags=flags)
    scenario = node.scenario
    for gpu, used in enumerate((9000, 3000)):
        scenario.set(gpu, "util", 60).set(gpu, "mem_used", used * MIB)
        scenario.set(gpu, "gpm_supported", 1).set(gpu, "gpm.5", 20).set(gpu, "gpm.10", 30)
    pods = {100: "whole", 200: "half", 201: "other", 300: "thief"}
    for pid, pod in pods.items():
        scenario.process(0 if pid == 100 else 1, pid, mem=1000 * MIB, sm=10)
        host.run(pid, pod)
    scenario.write()
    slots = [f"{gpu_uuid(1)}::{number}" for number in range(2)]
    node.kubelet.allocatable = {"nvidia.com/gpu": [gpu_uuid(0), *slots]}
    node.kubelet.allocate(
        ContainerAllocation("whole", (gpu_uuid(0),)),
        ContainerAllocation("half", (slots[0],)),
        ContainerAllocation("other", (slots[1],)),
    )
    with node, backends.prometheus(tmp_path_factory.mktemp("p"), [node.target]) as made:
        made.wait_for('gpu_exporter_xid_errors_total{xid="any"} == 0')
        scenario.set(1, "xid", 43).write()
        made.wait_for("DCGM_CUSTOM_ILLEGAL_PROCESS_SM_UTIL")
        yield made


def filled(expression: str) -> str:
    """With every variable set to All."""
    return re.sub(r"\$\w+", ".*", expression)


@pytest.mark.parametrize(("expression", "legend"), TARGETS)
def test_a_panel_shows_something(backend: Backend, expression: str, legend: str) -> None:
    for one in backend.wait_for(filled(expression)):
        for label in re.findall(r"{{(\w+)}}", legend):
            assert one["metric"].get(label), f"no {label} for the legend"


def test_variables_have_values(backend: Backend) -> None:
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] != "query":
            continue
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
        assert match is not None
        selector, label = filled(match[1]), match[2]
        for one in backend.wait_for(selector):
            assert one["metric"][label], variable["name"]


def test_memory_of_a_gpu_is_the_sum_of_its_pods(backend: Backend) -> None:
    (panel,) = [one for one in DASHBOARD["panels"] if one["title"] == "Memory of GPUs"]
    found = backend.wait_for(filled(panel["targets"][0]["expr"]))
    values = {one["metric"]["minor_number"]: float(one["value"][1]) for one in found}
    assert values == {"0": (9000 + 551) * MIB, "1": 2000 * MIB}
