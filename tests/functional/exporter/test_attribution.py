"""From the kubelet's socket and the node's processes to pod metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter.attribution.settings import AttributionSettings
from metrics_apiserver.exporter.attribution.source import SidecarSource
from metrics_apiserver.exporter.settings import Exposition
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from tests.fakes.kubelet import Claim, ContainerAllocation
from tests.fakes.nvml.attributed import Node, share, share_in_one_pod, slots
from tests.fakes.nvml.loaded import EPOCH_SECONDS, FakeNvml
from tests.fakes.nvml.rig import build_rig
from tests.fakes.nvml.scenario import MIB, gpu_uuid

DUTY = "nvidia_gpu_duty_cycle"
UTILIZATION = "gpu_pod_utilization_percent"
SM = "DCGM_CUSTOM_PROCESS_SM_UTIL"

MakeNode = Callable[..., Node]


# --- whole GPUs --------------------------------------------------------------------------------


def test_whole_gpus(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(4).set(0, "util", 80).set(1, "util", 20).set(2, "util", 50)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(
        ContainerAllocation("trainer", (gpu_uuid(0), gpu_uuid(1))),
        ContainerAllocation("bert", (gpu_uuid(2),), "ai"),
    )
    found = node.sample(3)
    assert found.value(DUTY, uuid=gpu_uuid(0), pod_name="trainer", container_name="server") == 80
    assert found.value(DUTY, uuid=gpu_uuid(2), pod_name="bert", namespace_name="ai") == 50
    assert found.value(DUTY, uuid=gpu_uuid(3), pod_name="", allocate_mode="none") == 0
    assert found.value(UTILIZATION, pod_name="trainer") == 50, "one number for both GPUs"
    assert found.value("gpu_pod_devices", pod_name="trainer") == 2
    assert found.value("gpu_pod_memory_limit_bytes", pod_name="trainer") == 2 * 81559 * MIB
    assert found.value("nvidia_gpu_allocated_num_devices") == 3
    assert found.value("DCGM_CUSTOM_ALLOCATE_MODE") == 1
    assert found.value("DCGM_FI_DEV_GPU_UTIL", pod="bert", namespace="ai") == 50
    assert node.telemetry.registry.get_sample_value(
        "gpu_exporter_attribution_last_success_timestamp_seconds", {"mode": "daemonset"}
    ) == pytest.approx(EPOCH_SECONDS + 1000)


def test_an_idle_pod_has_zero(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(ContainerAllocation("bert", (gpu_uuid(0),)))
    found = node.sample(3)
    for name in (DUTY, UTILIZATION, "gpu_pod_sm_utilization_percent"):
        assert found.value(name, pod_name="bert") == 0
    assert found.value(SM, PodName="bert") == 0


def test_whole_gpus_need_no_pids(make_node: MakeNode, nvml: FakeNvml) -> None:
    """Everything that computes on a pod's own GPU is the pod's, in any pid namespace."""
    nvml.scenario.add_gpus(1, util=60)
    nvml.scenario.process(0, 4711, mem=5000 * MIB, sm=35, memu=5).process(0, 4712, mem=1, sm=10)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(ContainerAllocation("bert", (gpu_uuid(0),)))
    found = node.sample(3)
    assert found.value(SM, PodName="bert", ContainerName="server") == 45
    assert found.value("DCGM_CUSTOM_PROCESS_MEM_USED", PodName="bert") == 5000
    assert found.value(UTILIZATION, pod_name="bert") == 60


def test_a_gpu_that_moves_to_another_pod(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=90)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(ContainerAllocation("old", (gpu_uuid(0),)))
    assert node.sample(10).value(UTILIZATION, pod_name="old") == 90
    nvml.scenario.set(0, "util", 0)
    nvml.write()
    node.kubelet.allocate(ContainerAllocation("new", (gpu_uuid(0),)))
    found = node.sample()
    assert found.values(UTILIZATION, pod_name="old") == []
    assert found.values(DUTY, pod_name="old") == []
    assert found.values(UTILIZATION) == [], "the load of the old pod is not the new pod's"
    assert node.sample().value(UTILIZATION, pod_name="new") == 0


def test_a_pod_that_lost_its_gpu(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(ContainerAllocation("bert", (gpu_uuid(0),)))
    node.sample(2)
    node.kubelet.allocate()
    found = node.sample()
    assert found.values(UTILIZATION) == []
    assert found.value("DCGM_CUSTOM_ALLOCATE_MODE") == 0
    assert found.value("nvidia_gpu_allocated_num_devices") == 0


def test_a_lost_gpu_removes_its_pods_value(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2, util=50)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(ContainerAllocation("bert", (gpu_uuid(0), gpu_uuid(1))))
    assert node.sample(3).value(UTILIZATION, pod_name="bert") == 50
    nvml.scenario.set(1, "lost", 1)
    nvml.write()
    found = node.sample()
    assert found.value(UTILIZATION, pod_name="bert") is None, "a partial mean is wrong"


def test_an_unknown_process_triggers_a_refresh(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1)
    nvml.write()
    node = make_node()
    node.sample(6)
    before = len(node.rig.wakes)
    node.sample(6)
    assert len(node.rig.wakes) == before
    nvml.scenario.process(0, 77, mem=1, sm=5)
    nvml.write()
    node.sample(2)
    assert len(node.rig.wakes) == before + 1


# --- shared GPUs -------------------------------------------------------------------------------


def test_time_sliced_pods_get_their_own_values(make_node: MakeNode, nvml: FakeNvml) -> None:
    node = make_node(processes=True)
    share(node, nvml)
    found = node.sample(3)
    assert found.value(UTILIZATION, pod_name="small") == 60, "15 % of a quarter"
    assert found.value(UTILIZATION, pod_name="large") == 80
    assert found.value("gpu_pod_sm_utilization_percent", pod_name="small") == 15
    assert found.value("gpu_pod_devices", pod_name="large") == 0.5
    assert found.value("gpu_pod_memory_limit_bytes", pod_name="small") == round(81559 * MIB / 4)
    assert found.value("gpu_pod_memory_used_bytes", pod_name="small") == 4000 * MIB
    assert found.value("gpu_pod_source", pod_name="small", source="process") == 1
    duties = {labels["pod_name"]: value for labels, value in found.samples[DUTY]}
    assert duties == {"small": 15, "large": 40}, "no additional series of the device"
    used = found.samples["nvidia_gpu_memory_used_bytes"]
    assert {labels["pod_name"]: v // MIB for labels, v in used} == {"small": 4000, "large": 2000}
    assert found.value("nvidia_gpu_temperature_celsius", pod_name="small") == 34
    assert found.value("DCGM_CUSTOM_ALLOCATE_MODE") == 2
    assert found.value("nvidia_gpu_allocated_num_devices") == 0.75
    assert found.value("nvidia_gpu_sharing_memory", pod_name="small") == round(81559 * MIB / 4)
    assert found.value("DCGM_CUSTOM_DEV_FB_ALLOCATED") == 0.75
    assert found.value("DCGM_FI_DEV_FB_FREE", pod="small") is None
    assert found.value("DCGM_FI_DEV_FB_FREE") == 81559 - 551 - 6000


def test_many_pods_on_many_gpus(make_node: MakeNode, nvml: FakeNvml) -> None:
    """16 GPUs of 8 slots, 128 pods: each gets its own values, and no GPU exceeds 100 percent."""
    nvml.scenario.add_gpus(16, util=90, mem_used=800 * MIB)
    node = make_node(processes=True)
    ids = [slots(gpu_uuid(gpu), 8) for gpu in range(16)]
    node.kubelet.allocatable = {"nvidia.com/gpu": [one for of_gpu in ids for one in of_gpu]}
    allocated, wanted = [], {}
    for gpu in range(16):
        for slot in range(8):
            name, pid, percent = f"pod-{gpu}-{slot}", 1000 + 8 * gpu + slot, (gpu + slot) % 12
            nvml.scenario.process(gpu, pid, mem=(pid - 900) * MIB, sm=percent)
            node.host.run(pid, name)
            allocated.append(ContainerAllocation(name, (ids[gpu][slot],)))
            wanted[name] = (percent, min(100, percent * 8), (pid - 900) * MIB)
    nvml.write()
    node.kubelet.allocate(*allocated)
    found = node.sample(3)
    metrics = ("gpu_pod_sm_utilization_percent", UTILIZATION, "gpu_pod_memory_used_bytes")
    of = [{one["pod_name"]: value for one, value in found.samples[name]} for name in metrics]
    assert {name: tuple(column[name] for column in of) for name in of[0]} == wanted
    for gpu in range(16):
        assert sum(found.values(SM, gpu=str(gpu))) <= 100


def test_shared_gpus_without_processes_have_no_pod_values(
    make_node: MakeNode, nvml: FakeNvml
) -> None:
    node = make_node()
    share(node, nvml)
    found = node.sample(3)
    assert found.values(UTILIZATION) == []
    assert found.value("gpu_pod_source", pod_name="small", source="none") == 1
    assert found.value("gpu_pod_devices", pod_name="small") == 0.25
    assert found.samples[DUTY] == [
        (found.samples[DUTY][0][0] | {"pod_name": "", "allocate_mode": "share"}, 70)
    ]
    assert SM not in found.samples
    assert found.value("nvidia_gpu_temperature_celsius", pod_name="large") == 34


def test_the_values_of_the_device_as_fallback(make_node: MakeNode, nvml: FakeNvml) -> None:
    node = make_node(exposition=Exposition(fall_back_to_device=True))
    share(node, nvml)
    found = node.sample(3)
    assert found.value(UTILIZATION, pod_name="small") == 70
    assert found.value("gpu_pod_source", pod_name="small", source="device") == 1
    assert {labels["pod_name"] for labels, _ in found.samples[DUTY]} == {"small", "large"}


def test_an_idle_pod_on_a_shared_gpu(make_node: MakeNode, nvml: FakeNvml) -> None:
    node = make_node(processes=True)
    share(node, nvml)
    nvml.scenario.process(0, 100, mem=4000 * MIB, sm=0)
    nvml.write()
    found = node.sample(20)
    assert found.value(UTILIZATION, pod_name="small") == 0
    assert found.value(UTILIZATION, pod_name="large") == 80
    nvml.scenario.process(0, 200, mem=2000 * MIB, sm=0).set(0, "util", 0)
    nvml.write()
    assert node.sample(20).value(UTILIZATION, pod_name="large") == 0, "NOT_FOUND is not an error"


def test_all_slots_of_one_pod_are_a_whole_gpu(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=66)
    nvml.write()
    node = make_node()
    ids = slots(gpu_uuid(0), 2)
    node.kubelet.allocatable = {"nvidia.com/gpu.shared": ids}
    node.kubelet.allocate(ContainerAllocation("bert", tuple(ids), resource="nvidia.com/gpu.shared"))
    found = node.sample(3)
    assert found.value(UTILIZATION, pod_name="bert") == 66
    assert found.value("gpu_pod_devices", pod_name="bert") == 1


def test_slots_that_the_kubelet_does_not_report(make_node: MakeNode, nvml: FakeNvml) -> None:
    node = make_node(processes=True)
    share(node, nvml)
    node.kubelet.has_allocatable = False
    found = node.sample(3)
    assert found.values(UTILIZATION) == []
    assert found.values("gpu_pod_devices") == []
    assert found.value("gpu_pod_sm_utilization_percent", pod_name="large") == 40
    assert found.values("nvidia_gpu_allocated_num_devices") == []


def test_two_containers_of_a_pod(make_node: MakeNode, nvml: FakeNvml) -> None:
    node = make_node(processes=True)
    share_in_one_pod(node, nvml)
    found = node.sample(3)
    assert found.value(DUTY, container_name="one") == 15
    assert found.value(DUTY, container_name="two") == 40
    assert found.value(UTILIZATION, pod_name="large") == 100, "55 of 50, at most 100"
    assert found.value(SM, ContainerName="two") == 40


def test_nvml_with_another_pid_namespace(make_node: MakeNode, nvml: FakeNvml) -> None:
    node = make_node(processes=True)
    share(node, nvml)
    node.host.end(100)
    node.host.end(200)
    found = node.sample(3)
    assert found.values(UTILIZATION) == []
    assert node.rig.count("attribution_errors_total", reason="pidns") > 0
    assert found.value(DUTY, pod_name="") == 70


def test_processes_of_no_pod(make_node: MakeNode, nvml: FakeNvml) -> None:
    node = make_node(processes=True)
    share(node, nvml)
    nvml.scenario.process(0, 300, mem=500 * MIB, sm=3)
    nvml.write()
    node.host.run(300)
    found = node.sample(3)
    assert node.rig.count("unattributed_processes") == 1
    assert sum(value for _, value in found.samples[SM]) == 55


def test_a_pod_that_uses_a_gpu_without_allocation(make_node: MakeNode, nvml: FakeNvml) -> None:
    node = make_node(processes=True)
    share(node, nvml)
    nvml.scenario.process(0, 300, mem=500 * MIB, sm=3)
    nvml.write()
    node.host.run(300, "thief", "main")
    found = node.sample(3)
    assert found.value("DCGM_CUSTOM_ILLEGAL_PROCESS_SM_UTIL", PodName="thief") == 3
    assert found.value("DCGM_CUSTOM_ILLEGAL_PROCESS_MEM_USED", ContainerName="main") == 500
    assert found.values(SM, PodName="thief") == []


def test_memory_that_the_driver_does_not_report(make_node: MakeNode, nvml: FakeNvml) -> None:
    node = make_node(processes=True)
    share(node, nvml)
    nvml.scenario.process(0, 100, mem=-1, sm=15)
    nvml.write()
    found = node.sample(3)
    assert found.value("gpu_pod_memory_used_bytes", pod_name="small") is None
    assert found.value("gpu_pod_memory_used_bytes", pod_name="large") == 2000 * MIB


def test_a_process_in_several_lists_is_counted_once(make_node: MakeNode, nvml: FakeNvml) -> None:
    node = make_node(processes=True)
    share(node, nvml)
    nvml.scenario.process(0, 100, mem=4000 * MIB, sm=15, kind="CGM")
    nvml.write()
    found = node.sample(3)
    assert found.value("gpu_pod_memory_used_bytes", pod_name="small") == 4000 * MIB


def test_mps_usage_comes_from_processes(make_node: MakeNode, nvml: FakeNvml) -> None:
    node = make_node(processes=True)
    share(node, nvml)
    nvml.scenario.process(0, 100, mem=4000 * MIB, sm=15, kind="M")
    nvml.scenario.process(0, 200, mem=2000 * MIB, sm=40, kind="M")
    nvml.write()
    assert node.sample(3).value(UTILIZATION, pod_name="small") == 60


def test_the_wide_rows_of_r535(make_node: MakeNode, nvml: FakeNvml) -> None:
    node = make_node(processes=True)
    share(node, nvml)
    nvml.scenario.set(0, "stride535", 1)
    nvml.scenario.process(0, 201, mem=7 * MIB, sm=1)
    nvml.write()
    node.host.run(201, "large")
    found = node.sample(3)
    assert found.value("gpu_pod_memory_used_bytes", pod_name="small") == 4000 * MIB
    assert found.value("gpu_pod_memory_used_bytes", pod_name="large") == 2007 * MIB


def test_utilisation_above_100_is_unknown(make_node: MakeNode, nvml: FakeNvml) -> None:
    """It is not zero either: the real utilisation of the process is unknown."""
    node = make_node(processes=True)
    share(node, nvml)
    nvml.scenario.process(0, 100, mem=1, sm=4294967295)
    nvml.write()
    found = node.sample(3)
    assert found.value(UTILIZATION, pod_name="small") is None
    assert found.value(SM, PodName="small") is None
    assert found.value(UTILIZATION, pod_name="large") == 80
    nvml.scenario.process(0, 100, mem=1, sm=15)
    nvml.write()
    assert node.sample(2).value(UTILIZATION, pod_name="small") == 60
    nvml.scenario.process(0, 100, mem=1, sm=4294967295)
    nvml.write()
    assert node.sample(2).value(UTILIZATION, pod_name="small") == 60, (
        "the mean is kept, as without a response"
    )
    assert node.rig.count("dropped_values_total", metric="process_utilization") > 0


def test_a_driver_that_hides_processes(make_node: MakeNode, nvml: FakeNvml) -> None:
    """A GPU that is busy all the time without a process: that is not zero."""
    nvml.scenario.add_gpus(1, util=80)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(ContainerAllocation("bert", (gpu_uuid(0),)))
    found = node.sample(20)
    assert found.values(SM) == []
    assert found.value(UTILIZATION, pod_name="bert") == 80


def test_warming_up(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2).set(1, "util", 10, at_ms=20_000)
    nvml.write()
    node = make_node(exposition=Exposition(warmup_seconds=60))
    node.kubelet.allocate(
        ContainerAllocation("idle", (gpu_uuid(0),)), ContainerAllocation("busy", (gpu_uuid(1),))
    )
    assert node.sample(10).values(UTILIZATION) == []
    found = node.sample(15)
    assert found.value(UTILIZATION, pod_name="busy") is not None
    assert found.value(UTILIZATION, pod_name="idle") is None
    assert node.sample(50).value(UTILIZATION, pod_name="idle") == 0


# --- MIG, other plugins, claims ----------------------------------------------------------------


def test_mig_instances(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, gpm_supported=1)
    first = nvml.scenario.add_instance(0, 0, gi=3)
    second = nvml.scenario.add_instance(0, 1, gi=4)
    nvml.scenario.set(0, "gpm.gi3.1", 50).set(0, "gpm.gi3.2", 42).set(0, "gpm.gi4.2", 9)
    nvml.scenario.process(0, 100, mem=300 * MIB, gi=3)
    nvml.write()
    node = make_node(processes=True)
    node.kubelet.allocatable = {"nvidia.com/mig-1g.10gb": [first, second]}
    node.kubelet.allocate(
        ContainerAllocation("a", (first,), resource="nvidia.com/mig-1g.10gb"),
        ContainerAllocation("b", (second,), resource="nvidia.com/mig-1g.10gb"),
    )
    node.host.run(100, "a")
    found = node.sample(3)
    assert found.value(UTILIZATION, pod_name="a") == 42
    assert found.value(UTILIZATION, pod_name="b") == 9
    assert found.value("gpu_pod_source", pod_name="a", source="gpm") == 1
    assert found.value("gpu_pod_memory_limit_bytes", pod_name="a") == 9856 * MIB
    assert found.value(DUTY, pod_name="a", GPU_I_ID="3") == 50
    assert found.value("DCGM_FI_DEV_FB_USED", pod="b", GPU_I_ID="4") == 12
    assert found.value("DCGM_CUSTOM_PROCESS_MEM_USED", PodName="a") == 300
    assert found.values(SM) == [], "NVML has none for MIG"
    assert found.value("DCGM_CUSTOM_DEV_FB_ALLOCATED") == pytest.approx(2 * 9856 / 81559, abs=1e-6)


@pytest.mark.parametrize(
    ("device", "resource"),
    [
        ("nvidia1", "nvidia.com/gpu"),
        ("1", "nvidia.com/gpu"),
        ("nvidia.com/gpu=1", "nvidia.com/gpu"),
        (gpu_uuid(1), "aliyun.com/gpu"),
    ],
)
def test_other_plugins(make_node: MakeNode, nvml: FakeNvml, device: str, resource: str) -> None:
    nvml.scenario.add_gpus(2).set(1, "util", 25)
    nvml.write()
    kubelet_names = frozenset({"aliyun.com/gpu"})
    socket = nvml.clock.parent / "kubelet.sock"
    node = make_node(holders=AttributionSettings(socket=socket, resource_names=kubelet_names))
    node.kubelet.allocate(ContainerAllocation("bert", (device,), resource=resource))
    assert node.sample(3).value(UTILIZATION, pod_name="bert") == 25


def test_unknown_devices(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(
        ContainerAllocation("bert", ("GPU-elsewhere",)),
        ContainerAllocation("fpga", ("x",), resource="intel.com/fpga"),
    )
    found = node.sample(2)
    assert found.values(UTILIZATION) == []
    assert node.errors("unresolved_device") > 0


def test_claims(make_node: MakeNode, nvml: FakeNvml) -> None:
    """By a CDI name with a UUID, and by the minor number in the driver's default name."""
    nvml.scenario.add_gpus(3, util=30)
    nvml.write()
    node = make_node()
    named = Claim("anything", cdi=(f"k8s.gpu.nvidia.com/claim={gpu_uuid(0)}",))
    node.kubelet.allocate(
        ContainerAllocation("named", claims=(named,)),
        ContainerAllocation("numbered", claims=(Claim("gpu-1"),)),
        ContainerAllocation("foreign", claims=(Claim("gpu-2", driver="tpu.google.com"),)),
        ContainerAllocation("unknown", claims=(Claim("gpu-2-mig-1g10gb-0"),)),
    )
    found = node.sample(3)
    assert found.value(UTILIZATION, pod_name="named") == 30
    assert found.value(DUTY, uuid=gpu_uuid(1), pod_name="numbered") == 30
    assert found.value(DUTY, uuid=gpu_uuid(2), pod_name="") == 30
    assert node.errors("unresolved_claim") > 0


def test_a_claim_that_pods_share(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=30)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(
        ContainerAllocation("one", claims=(Claim("gpu-0"),)),
        ContainerAllocation("two", claims=(Claim("gpu-0"),)),
    )
    found = node.sample(3)
    assert found.values(UTILIZATION) == [], "the pod of the load is unknown"
    assert {labels["pod_name"] for labels, _ in found.samples["gpu_pod_source"]} == {"one", "two"}


def test_the_exporters_own_pod_is_not_shown(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1)
    nvml.write()
    socket = nvml.clock.parent / "kubelet.sock"
    node = make_node(
        holders=AttributionSettings(socket=socket, pod="exporter", namespace="monitoring")
    )
    node.kubelet.allocate(
        ContainerAllocation("exporter", namespace="monitoring", claims=(Claim("gpu-0"),)),
        ContainerAllocation("bert", (gpu_uuid(0),)),
    )
    found = node.sample(3)
    assert [labels["pod_name"] for labels, _ in found.samples[DUTY]] == ["bert"]


# --- kubelet errors ----------------------------------------------------------------------------


def test_pods_that_ended_are_listed_by_older_kubelets(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1)
    nvml.write()
    node = make_node(processes=True)
    both = (
        ContainerAllocation("ended", (gpu_uuid(0),)),
        ContainerAllocation("running", (gpu_uuid(0),)),
    )
    node.kubelet.allocate(both[0])
    node.sample()
    node.kubelet.allocate(*both)
    assert node.sample(2).value(UTILIZATION, pod_name="running") == 0, "it came later"
    assert node.errors("conflict") == 0


def test_a_process_decides_between_pods(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).process(0, 100, mem=MIB, sm=5)
    nvml.write()
    node = make_node(processes=True)
    node.host.run(100, "running")
    node.kubelet.allocate(
        ContainerAllocation("ended", (gpu_uuid(0),)), ContainerAllocation("running", (gpu_uuid(0),))
    )
    found = node.sample()
    assert found.values(UTILIZATION) == []
    assert node.errors("conflict") > 0
    assert node.sample(3).value(UTILIZATION, pod_name="running") is not None


def test_the_last_response_is_kept_for_five_minutes(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=20)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(ContainerAllocation("bert", (gpu_uuid(0),)))
    node.sample(3)
    node.kubelet.stop()
    assert node.sample(290).value(UTILIZATION, pod_name="bert") == 20
    assert node.errors("socket") == 1
    found = node.sample(20)
    assert found.values(UTILIZATION) == []
    assert found.value(DUTY, pod_name="", allocate_mode="") == 20, "device metrics go on"
    node.kubelet.start()
    assert node.sample(2).value(UTILIZATION, pod_name="bert") == 20


def test_an_older_kubelet(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=20)
    nvml.write()
    node = make_node()
    node.kubelet.version = "v1alpha1"
    node.kubelet.allocate(ContainerAllocation("bert", (gpu_uuid(0),)))
    assert node.sample(3).value(UTILIZATION, pod_name="bert") == 20
    node.kubelet.calls.clear()
    node.source.refresh()
    assert node.kubelet.calls == ["/v1alpha1.PodResourcesLister/List"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate_limited"),
        (grpc.StatusCode.PERMISSION_DENIED, "permission"),
        (grpc.StatusCode.INTERNAL, "rpc"),
        (grpc.StatusCode.UNIMPLEMENTED, "unimplemented"),
    ],
)
def test_a_kubelet_that_returns_errors(
    make_node: MakeNode, nvml: FakeNvml, status: grpc.StatusCode, reason: str
) -> None:
    nvml.scenario.add_gpus(1, util=20)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(ContainerAllocation("bert", (gpu_uuid(0),)))
    node.sample(3)
    node.kubelet.allocate(ContainerAllocation("next", (gpu_uuid(0),)))
    node.kubelet.failure = status
    assert node.sample().value(UTILIZATION, pod_name="bert") == 20, "the last response counts"
    assert node.errors(reason) == 1
    node.kubelet.failure = None
    assert node.sample().values(UTILIZATION) == []
    assert node.sample().value(UTILIZATION, pod_name="next") == 20


@pytest.mark.parametrize("garbage", [b"\xff", b"\x0a\x05ab", b"\x0a\x04\x0a\x02\xff\xfe", b"\x07"])
def test_a_response_that_does_not_decode(
    make_node: MakeNode, nvml: FakeNvml, garbage: bytes
) -> None:
    nvml.scenario.add_gpus(1, util=20)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(ContainerAllocation("bert", (gpu_uuid(0),)))
    node.sample(2)
    node.kubelet.garbage = garbage
    assert node.sample(2).value(UTILIZATION, pod_name="bert") == 20
    assert node.errors("decode") == 1


# --- a sidecar ---------------------------------------------------------------------------------


def test_a_sidecar(nvml: FakeNvml, tmp_path: Path) -> None:
    nvml.scenario.add_gpus(2, util=40)
    nvml.write()
    proc = tmp_path / "proc"
    (proc / "1").mkdir(parents=True)
    (proc / "1" / "environ").write_bytes(f"A=b\0NVIDIA_VISIBLE_DEVICES={gpu_uuid(1)}\0".encode())
    telemetry = ExporterTelemetry(CollectorRegistry())
    settings = AttributionSettings(attribution="sidecar", pod="bert", namespace="ai", proc=proc)
    source = SidecarSource(settings, telemetry, lambda: 0.0)
    source.refresh()
    rig = build_rig(nvml, source=source)
    found = rig.sample(3)
    assert found.value(UTILIZATION, pod_name="bert", namespace_name="ai") == 40
    assert found.value(DUTY, uuid=gpu_uuid(1), pod_name="bert") == 40
    assert found.value(DUTY, uuid=gpu_uuid(0), pod_name="") == 40
    # A process that certainly belongs to another pod makes the value unknown.
    nvml.scenario.process(1, 1, mem=MIB).process(1, 99, mem=MIB)
    nvml.write()
    found = rig.sample(8)
    assert found.values(UTILIZATION) == []
    rig.sampler.close()
