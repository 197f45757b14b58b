"""From driver to API: the exporter's text through Prometheus, the shipped rules and the server.

Two pods on one node, one with two GPUs: what an HPA reads for each, by the rules of each family.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.demo.questions import Asker, Unanswered
from tests.fakes import prometheus as backends
from tests.fakes.kubelet import ContainerAllocation
from tests.fakes.nvml import build
from tests.fakes.nvml.launch import ROOT, Node
from tests.fakes.nvml.scenario import MIB, gpu_uuid
from tests.fakes.subprocesses import free_port

PODS = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods/*"
FAMILIES = ("gpu-devices", "gpu-dcgm", "gpu-processes", "gpu-pods")
START_SECONDS = 40.0


def rules() -> str:
    """The rules of all four families, with a short window."""
    found: list[Any] = []
    for name in FAMILIES:
        found += yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())["rules"]
    return yaml.safe_dump({"rules": found}).replace("[3m]", "[5s]")


def fill(node: Node) -> None:
    """`wide` has GPUs 0 and 1, `narrow` has GPU 2, GPU 3 is unallocated."""
    scenario = node.scenario
    for gpu, (util, sm, memory) in enumerate([(80, 70, 3000), (20, 10, 1000), (50, 45, 2000)]):
        scenario.set(gpu, "util", util).set(gpu, "mem_used", memory * MIB)
        scenario.set(gpu, "power", 100_000 * (gpu + 1))
        scenario.process(gpu, 100 + gpu, mem=memory * MIB, sm=sm)
    scenario.write()
    node.kubelet.allocate(
        ContainerAllocation("wide", (gpu_uuid(0), gpu_uuid(1))),
        ContainerAllocation("narrow", (gpu_uuid(2),)),
    )


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    if build.compiler() is None or not backends.is_installed("prometheus"):
        pytest.skip("needs a C compiler and prometheus on PATH")
    directory = tmp_path_factory.mktemp("chain")
    node = Node(directory / "node", gpus=4)
    fill(node)
    with node, backends.prometheus(tmp_path_factory.mktemp("p"), [node.target]) as backend:
        (directory / "rules.yaml").write_text(rules())
        port = free_port()
        kubeconfig = directory / "kubeconfig"
        command = [sys.executable, "-m", "metrics_apiserver", "serve", "--standalone"]
        command += [f"--config={directory / 'rules.yaml'}", f"--prometheus-url={backend.url}"]
        command += [f"--secure-port={port}", "--metrics-relist-interval=1s"]
        command += [f"--write-kubeconfig={kubeconfig}", "--query-freshness=1s"]
        with (directory / "log").open("ab") as log:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            made = Asker(kubeconfig, port)
            wait_for(made, kubeconfig)
            yield made
        finally:
            server.kill()
            server.wait()


def wait_for(asker: Asker, kubeconfig: Path) -> None:
    """Until the slowest metric is known: process utilisation needs a few seconds."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if kubeconfig.exists() and len(values(asker, "DCGM_CUSTOM_PROCESS_SM_UTIL")) == 2:
                return
        except (OSError, Unanswered):
            pass
        time.sleep(0.2)
    pytest.fail("the metrics of the exporter are not served")


def values(asker: Asker, metric: str) -> dict[str, float]:
    """The metric of each pod."""
    items = asker.read(f"{PODS}/{metric}")["items"]
    return {item["describedObject"]["name"]: number(item["value"]) for item in items}


def number(quantity: str) -> float:
    for suffix, factor in (("m", 0.001), ("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if quantity.endswith(suffix):
            return float(quantity[:-1]) * factor
    return float(quantity)


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("metric", "wide", "narrow"),
    [
        ("duty_cycle_current", 50, 50),
        ("duty_cycle_over_time", 50, 50),
        ("memory_used_bytes_current", (4000 + 2 * 551) * MIB, 2551 * MIB),
        ("power_usage_milliwatts_current", 300_000, 300_000),
        ("temperature_celsius_current", 34, 34),
        ("DCGM_FI_DEV_GPU_UTIL", 50, 50),
        ("DCGM_FI_DEV_FB_USED", 4000, 2000),
        ("DCGM_FI_DEV_POWER_USAGE", 300, 300),
        ("DCGM_CUSTOM_PROCESS_SM_UTIL", 40, 45),
        ("DCGM_CUSTOM_PROCESS_MEM_USED", 4000, 2000),
        ("gpu_pod_utilization_percent", 50, 50),
        ("gpu_pod_sm_utilization_percent", 40, 45),
        ("gpu_pod_devices", 2, 1),
        ("gpu_pod_memory_used_bytes", 4000 * MIB, 2000 * MIB),
    ],
)
def test_what_an_hpa_reads(asker: Asker, metric: str, wide: float, narrow: float) -> None:
    found = values(asker, metric)
    assert found == {
        "wide": pytest.approx(wide, rel=1e-6),
        "narrow": pytest.approx(narrow, rel=1e-6),
    }
