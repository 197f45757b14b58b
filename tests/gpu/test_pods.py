"""All four families on a real driver: a fake kubelet gives the first GPU to a pod that burns."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fakes.hostproc import Host
from tests.fakes.kubelet import ContainerAllocation, Kubelet
from tests.fakes.nvml.launch import Exporter
from tests.fakes.nvml.rig import Text, parse
from tests.gpu.burn import MEMORY_BYTES, Burner
from tests.gpu.machine import uuid_of

WANTED = (
    "nvidia_gpu_duty_cycle",
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_CUSTOM_PROCESS_SM_UTIL",
    "gpu_pod_utilization_percent",
    "gpu_pod_sm_utilization_percent",
)


@pytest.mark.parametrize("shared", [False, True], ids=["whole", "shared"])
def test_a_pod_that_burns(tmp_path: Path, burner: Burner, shared: bool) -> None:
    uuid = uuid_of(0)
    host = Host(tmp_path / "host")
    sockets = tmp_path / "pod-resources"
    sockets.mkdir()
    flags = [f"--kubelet-root={tmp_path}", "--window=5s", "--poll-interval=1s"]
    flags += [f"--host-proc={host.proc}", f"--pod-logs={host.pods}"]
    flags += [f"--container-logs={host.containers}", "--processes"]
    host.run(burner.pid, "burner")
    with Kubelet(sockets) as kubelet:
        ids = [f"{uuid}::{n}" for n in range(2)] if shared else [uuid]
        kubelet.allocatable = {"nvidia.com/gpu": ids}
        kubelet.allocate(ContainerAllocation("burner", (ids[0],)))
        exporter = Exporter(tmp_path, {"NODE_NAME": "node"}, flags, with_library=False)
        exporter.start()
        try:
            exporter.wait_ready(seconds=60)
            found = _settle(exporter)
        finally:
            exporter.stop()
    values = {name: found.values(name) for name in WANTED}
    print(f"\n{'shared' if shared else 'whole'}: {values}")
    busy = found.value("gpu_pod_utilization_percent", pod_name="burner")
    elsewhere = found.value("gpu_exporter_attribution_errors_total", reason="pidns")
    if shared and busy is None and elsewhere:
        pytest.skip("NVML numbers processes in another pid namespace than this one")
    assert (busy or 0) > 80
    assert (found.value("DCGM_CUSTOM_PROCESS_SM_UTIL", PodName="burner") or 0) > 50
    used = found.value("gpu_pod_memory_used_bytes", pod_name="burner")
    assert used is None or used >= MEMORY_BYTES


def _settle(exporter: Exporter) -> Text:
    """Until the pod is busy and its process too, or twenty seconds."""
    deadline = time.monotonic() + 20
    while True:
        found = parse(exporter.get()[2])
        busy = (found.value("gpu_pod_utilization_percent", pod_name="burner") or 0) > 80
        # What processes use is believed some rounds later than what the GPU does.
        is_reported = (found.value("DCGM_CUSTOM_PROCESS_SM_UTIL", PodName="burner") or 0) > 50
        if (busy and is_reported) or time.monotonic() > deadline:
            return found
        time.sleep(0.5)
