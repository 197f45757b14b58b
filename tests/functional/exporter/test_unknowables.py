"""Unknown values are absent for as long as they are unknown: no zero and no other pod's value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter.attribution.settings import AttributionSettings
from metrics_apiserver.exporter.attribution.source import SidecarSource
from metrics_apiserver.exporter.families import pods
from metrics_apiserver.exporter.model import DeviceAllocation, Pod
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from tests.fakes.hostproc import uid_of
from tests.fakes.kubelet import Claim, ContainerAllocation
from tests.fakes.nvml.attributed import Node, share, share_in_one_pod
from tests.fakes.nvml.loaded import FakeNvml
from tests.fakes.nvml.rig import Rig, Text, build_rig
from tests.fakes.nvml.scenario import MIB, gpu_uuid

DUTY = "nvidia_gpu_duty_cycle"
SM = "DCGM_CUSTOM_PROCESS_SM_UTIL"
MEMORY = "DCGM_CUSTOM_PROCESS_MEM_USED"

MakeNode = Callable[..., Node]
MakeRig = Callable[..., Rig]


def utilization(found: Text, pod: str) -> float | None:
    return found.value(pods.UTILIZATION, pod_name=pod)


# --- clocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_a_clock_that_was_set(make_node: MakeNode, nvml: FakeNvml, skew: float) -> None:
    """The driver uses the node's clock; setting it does not change how busy pods are."""
    node = make_node(processes=True)
    share(node, nvml)
    assert utilization(node.sample(5), "small") == 60
    nvml.skew = skew
    for _ in range(60):
        found = node.sample()
        assert (utilization(found, "small"), utilization(found, "large")) == (60, 80)
    nvml.scenario.process(0, 100, mem=4000 * MIB, sm=5)
    nvml.write()
    assert utilization(node.sample(20), "small") == 20, "reading continues from there"


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_the_duty_cycle_after_a_clock_was_set(
    make_rig: MakeRig, nvml: FakeNvml, skew: float
) -> None:
    nvml.scenario.add_gpus(1, util=50)
    nvml.write()
    rig = make_rig()
    rig.sample(5)
    nvml.skew = skew
    seen = [rig.sample().value(DUTY) for _ in range(60)]
    assert set(seen) == {50}
    nvml.scenario.set(0, "util", 10)
    nvml.write()
    assert rig.sample(16).value(DUTY) == 10


def test_samples_that_stop_are_replaced_by_utilisation_rates(
    make_rig: MakeRig, nvml: FakeNvml
) -> None:
    nvml.scenario.add_gpus(1, util=50)
    nvml.write()
    rig = make_rig()
    rig.sample(5)
    nvml.scenario.set(0, "fail.nvmlDeviceGetSamples", 6).set(0, "util", 20)
    nvml.write()
    assert rig.sample(4).value(DUTY) == 50
    assert rig.sample(40).value(DUTY) == 20
    nvml.scenario.unset(0, "fail.nvmlDeviceGetSamples").set(0, "util", 30)
    nvml.write()
    assert rig.sample(20).value(DUTY) == 30


# --- processes ---------------------------------------------------------------------------------


def test_no_process_on_a_gpu_without_utilisation(make_node: MakeNode, nvml: FakeNvml) -> None:
    """An empty list does not prove idleness if the utilisation of the GPU is unknown."""
    node = make_node(processes=True)
    share(node, nvml)
    for pid in (100, 200):
        nvml.scenario.process(0, pid, mem=1000 * MIB)
    for call in ("UtilizationRates", "Samples"):
        nvml.scenario.set(0, f"fail.nvmlDeviceGet{call}", 3)
    nvml.write()
    assert utilization(node.sample(10), "small") is None
    nvml.scenario.process(0, 200, mem=1000 * MIB, sm=40)
    nvml.write()
    found = node.sample(3)
    assert (utilization(found, "small"), utilization(found, "large")) == (0, 80)


def test_pods_without_names(make_node: MakeNode, nvml: FakeNvml) -> None:
    """Without /var/log/pods it is known that a pod computes, but not which one."""
    node = make_node(processes=True)
    share(node, nvml)
    for name in ("small", "large"):
        (node.host.pods / f"default_{name}_{uid_of(name)}").rmdir()
    found = node.sample(10)
    for name in (pods.UTILIZATION, pods.SM, pods.MEMORY_USED, SM):
        assert found.values(name) == []
    assert found.value(DUTY, pod_name="") == 70
    node.host.log("small")
    found = node.sample(4)
    assert utilization(found, "small") is None, "the other process may be its own too"
    node.host.log("large")
    found = node.sample(4)
    assert (utilization(found, "small"), utilization(found, "large")) == (60, 80)


def test_no_pod_values_while_allocations_are_unknown(make_node: MakeNode, nvml: FakeNvml) -> None:
    node = make_node(processes=True)
    share(node, nvml)
    node.sample(3)
    node.kubelet.stop()
    found = node.sample(310)
    assert not any(name.startswith("gpu_pod_") for name in found.types)
    assert not any("PROCESS" in name for name in found.types), "nor a zero for the owners of pids"
    node.kubelet.start()
    assert utilization(node.sample(3), "small") == 60


def test_a_container_without_a_name_counts_for_its_pod(make_node: MakeNode, nvml: FakeNvml) -> None:
    """Log names can be truncated; what runs in a pod still counts for it."""
    node = make_node(processes=True)
    share_in_one_pod(node, nvml)
    for path in node.host.containers.iterdir():
        path.unlink()
    found = node.sample(3)
    assert found.value(pods.SM, pod_name="large") == 55
    assert found.value(pods.MEMORY_USED, pod_name="large") == 6000 * MIB
    assert found.value(SM, ContainerName="") == 55


@pytest.mark.parametrize("kind", ["C", "M"])
def test_shares_of_one_gpu_are_never_more_than_it(
    make_node: MakeNode, nvml: FakeNvml, kind: str
) -> None:
    """Samples of time-sliced pods differ in time; under MPS, kernels run concurrently."""
    node = make_node(processes=True)
    share(node, nvml)
    nvml.scenario.process(0, 100, mem=MIB, sm=90, memu=70, kind=kind)
    nvml.scenario.process(0, 200, mem=MIB, sm=60, memu=20, kind=kind)
    nvml.write()
    found = node.sample(3)
    for name in (pods.SM, SM, DUTY):
        one, other = found.values(name)
        assert one != other
        assert one + other == pytest.approx(100)
    assert found.values("DCGM_FI_DEV_MEM_COPY_UTIL") == [70, 20], "these fit"


# --- allocations -------------------------------------------------------------------------------


def test_a_new_pod_gets_no_values_of_the_previous_one(make_node: MakeNode, nvml: FakeNvml) -> None:
    """Nor values that are read only every five seconds: memory by process, encoder and decoder."""
    nvml.scenario.add_gpus(1, util=90, enc=70, mem_used=9000 * MIB)
    nvml.scenario.process(0, 100, mem=9000 * MIB, sm=90)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(ContainerAllocation("old", (gpu_uuid(0),)))
    found = node.sample(7)
    assert found.value(MEMORY, PodName="old") == 9000
    assert found.value("DCGM_FI_DEV_ENC_UTIL", pod="old") == 70
    nvml.scenario.unset(0, "proc.100").set(0, "util", 0).set(0, "enc", 0).set(0, "mem_used", 0)
    nvml.write()
    node.kubelet.allocate(ContainerAllocation("new", (gpu_uuid(0),)))
    for _ in range(10):
        found = node.sample()
        assert "old" not in {
            labels.get(name)
            for samples in found.samples.values()
            for labels, _ in samples
            for name in ("pod", "pod_name", "PodName")
        }
        for name in (pods.UTILIZATION, pods.SM, pods.MEMORY_USED):
            assert set(found.values(name)) <= {0}, name
        for name in (DUTY, MEMORY, SM, "DCGM_FI_DEV_ENC_UTIL"):
            assert set(found.values(name)) <= {0}, name
    assert found.value(MEMORY, PodName="new") == 0
    assert found.value("DCGM_FI_DEV_ENC_UTIL", pod="new") == 0


def test_a_pod_with_four_gpus_has_one_series_of_each(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(4, mem_used=1000 * MIB)
    for index, percent in enumerate((100, 60, 40, 0)):
        nvml.scenario.set(index, "util", percent)
        nvml.scenario.process(index, 100 + index, mem=1000 * MIB, sm=percent)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(ContainerAllocation("bert", tuple(map(gpu_uuid, range(4)))))
    found = node.sample(3)
    assert {name: found.values(name) for name in pods.HELP} == {
        pods.UTILIZATION: [50],
        pods.SM: [50],
        pods.MEMORY_USED: [4000 * MIB],
        pods.MEMORY_LIMIT: [4 * 81559 * MIB],
        pods.MEMORY: [pytest.approx(100 * 1000 / 81559, abs=1e-5)],
        pods.DEVICES: [4],
        pods.SOURCE: [1],
    }


def test_a_gpu_listed_for_two_pods_leaves_no_partial_sum(
    make_node: MakeNode, nvml: FakeNvml
) -> None:
    """Which pod has the conflicting GPU decides how much of its sum the other GPU is."""
    nvml.scenario.add_gpus(3).set(0, "util", 90).set(1, "util", 10).set(2, "util", 20)
    nvml.write()
    node = make_node(processes=True)
    node.kubelet.allocate(
        ContainerAllocation("one", (gpu_uuid(0), gpu_uuid(1))),
        ContainerAllocation("two", (gpu_uuid(0), gpu_uuid(2))),
    )
    found = node.sample(3)
    assert node.errors("conflict") > 0
    assert found.values(pods.UTILIZATION) == []
    assert found.values(pods.DEVICES) == []
    assert found.value(DUTY, uuid=gpu_uuid(0), pod_name="") == 90
    assert found.value(DUTY, uuid=gpu_uuid(1), pod_name="one") == 10
    nvml.scenario.process(0, 100, mem=MIB, sm=90)
    nvml.write()
    node.host.run(100, "one")
    found = node.sample(10)
    assert utilization(found, "one") == 50
    assert utilization(found, "two") == 20, "what is still allocated to it"


def test_an_unknown_claim_leaves_no_partial_sum(make_node: MakeNode, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2, util=50)
    nvml.write()
    node = make_node()
    node.kubelet.allocate(
        ContainerAllocation("bert", claims=(Claim("gpu-0"), Claim("something-else")))
    )
    found = node.sample(3)
    assert utilization(found, "bert") is None
    assert found.value(DUTY, uuid=gpu_uuid(0), pod_name="bert") == 50
    assert found.value("gpu_pod_source", pod_name="bert", source="none") == 1


@pytest.fixture
def sidecar(nvml: FakeNvml, tmp_path: Path) -> Iterator[Rig]:
    """A sidecar in a pod with the first two GPUs."""
    settings = AttributionSettings(
        pod="bert", namespace="ai", gpu_uuids=(gpu_uuid(0), gpu_uuid(1)), proc=tmp_path / "proc"
    )
    source = SidecarSource(settings, ExporterTelemetry(CollectorRegistry()), lambda: 0.0)
    source.refresh()
    rig = build_rig(nvml, source=source)
    yield rig
    rig.sampler.close()


def test_a_sidecar_that_loses_one_of_its_gpus(sidecar: Rig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(3).set(0, "util", 80).set(1, "util", 20)
    nvml.write()
    assert utilization(sidecar.sample(3), "bert") == 50
    nvml.scenario.set(0, "lost", 1)
    nvml.write()
    assert utilization(sidecar.sample(), "bert") is None, "a partial mean is wrong"


# --- MIG ---------------------------------------------------------------------------------------


def test_compute_instances_that_share_a_gpu_instance(make_node: MakeNode, nvml: FakeNvml) -> None:
    """Activity and memory are those of the GPU instance; the usage of each pod is unknown."""
    nvml.scenario.add_gpus(1, gpm_supported=1)
    uuids = [nvml.scenario.add_instance(0, n, gi=4) for n in range(2)]
    alone = nvml.scenario.add_instance(0, 2, gi=5)
    nvml.scenario.set(uuids[1], "ci", 1)
    for gi in (4, 5):
        for number in (1, 2):
            nvml.scenario.set(0, f"gpm.gi{gi}.{number}", 33)
    nvml.scenario.process(0, 100, mem=300 * MIB, gi=4, ci=0)
    nvml.scenario.process(0, 200, mem=700 * MIB, gi=4, ci=1)
    nvml.write()
    node = make_node()
    resource = "nvidia.com/mig-1g.10gb"
    node.kubelet.allocatable = {resource: [*uuids, alone]}
    node.kubelet.allocate(
        ContainerAllocation("one", (uuids[0],), resource=resource),
        ContainerAllocation("two", (uuids[1],), resource=resource),
        ContainerAllocation("alone", (alone,), resource=resource),
    )
    found = node.sample(7)
    assert utilization(found, "alone") == 33
    assert found.value(pods.MEMORY_USED, pod_name="alone") == 12 * MIB
    for name in ("one", "two"):
        assert utilization(found, name) is None
        assert found.value(pods.MEMORY_USED, pod_name=name) is None
        assert found.value(DUTY, pod_name=name) is None
    assert found.value(MEMORY, PodName="one") == 300, "processes report their instance"
    assert found.value(MEMORY, PodName="two") == 700
    for samples in found.samples.values():
        shown = [tuple(labels.items()) for labels, _ in samples]
        assert len(shown) == len(set(shown)), "no series is duplicated"


def test_an_instance_that_comes_back_as_another(make_rig: MakeRig, nvml: FakeNvml) -> None:
    """Same index, same UUID, other profile: UUIDs are derived from the instance IDs."""
    nvml.scenario.add_gpus(1)
    uuid = nvml.scenario.add_instance(0, 0, gi=1, profile="1g.10gb")
    nvml.write()
    rig = make_rig()
    assert rig.sample(7).value("DCGM_FI_DEV_FB_USED", GPU_I_PROFILE="1g.10gb") == 12
    nvml.scenario.add_instance(0, 0, gi=1, profile="2g.20gb")
    nvml.scenario.set(uuid, "mem_total", 20_000 * MIB)
    nvml.write()
    found = rig.sample(12)
    assert found.value("DCGM_FI_DEV_FB_USED", GPU_I_PROFILE="2g.20gb") == 12
    assert found.values("DCGM_FI_DEV_FB_USED", GPU_I_PROFILE="1g.10gb") == []


def test_an_instance_recreated_at_the_same_index_for_another_pod(
    make_node: MakeNode, nvml: FakeNvml
) -> None:
    nvml.scenario.add_gpus(1, gpm_supported=1)
    first = nvml.scenario.add_instance(0, 0, gi=1)
    nvml.scenario.set(0, "gpm.gi1.2", 90)
    nvml.write()
    node = make_node()
    resource = "nvidia.com/mig-1g.10gb"
    node.kubelet.allocate(ContainerAllocation("old", (first,), resource=resource))
    assert utilization(node.sample(5), "old") == 90
    second = "MIG-other"
    nvml.scenario.set(0, "mig.0", second).set(0, "gpm.gi1.2", 5)
    for key, value in (("gi", 1), ("ci", 0), ("mem_total", 100 * MIB), ("mem_used", 9 * MIB)):
        nvml.scenario.set(second, key, value)
    nvml.write()
    node.kubelet.allocate(ContainerAllocation("new", (second,), resource=resource))
    seen = []
    for _ in range(12):
        found = node.sample()
        assert found.values(pods.UTILIZATION, pod_name="old") == []
        seen.append(utilization(found, "new"))
    assert set(seen[:-5]) <= {None, 5}
    assert set(seen[-5:]) == {5}


# --- events ------------------------------------------------------------------------------------


def test_events_that_never_work_cost_nothing_else(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=40).set("*", "fail.nvmlEventSetWait_v2", 999)
    nvml.write()
    rig = make_rig()
    rig.source.set(DeviceAllocation(gpu_uuid(0), Pod("ai", "bert"), "c"))
    rig.sample(3)
    for _ in range(300):
        assert rig.sample().value(DUTY) == 40
    errors = rig.count("nvml_errors_total", call="nvmlEventSetWait_v2", code="999")
    assert 1 <= errors <= 8, "with growing delays"
    assert rig.count("nvml_restarts_total", reason="events") == 0
