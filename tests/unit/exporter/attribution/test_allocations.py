"""From kubelet responses to allocations."""

from __future__ import annotations

import pytest

from metrics_apiserver.exporter.attribution.allocations import KEEP_SECONDS, AllocationCache
from metrics_apiserver.exporter.attribution.deviceids import DeviceIndex
from metrics_apiserver.exporter.attribution.podresources import (
    ClaimedDevice,
    ContainerResources,
    PodResourcesResponse,
)
from metrics_apiserver.exporter.model import Device, DeviceAllocation, NodeAllocations, Pod

DEVICES = DeviceIndex(
    [Device("GPU-a", 0, "H100", "0:1", minor=0), Device("GPU-b", 1, "H100", "0:2", minor=1)]
)
ONE, TWO = Pod("ai", "one"), Pod("ai", "two")


class Recorder:
    """A cache that records the errors it counts."""

    def __init__(self, own_pod: Pod | None = None) -> None:
        self.errors: list[str] = []
        self.known = {("pool", "dev"): "GPU-b"}
        self.cache = AllocationCache(self._resolve, own_pod, self.errors.append)

    def _resolve(self, claimed: ClaimedDevice) -> str | None:
        return self.known.get((claimed.pool, claimed.device))

    def store(self, *containers: ContainerResources, slots: dict[str, int] | None = None) -> None:
        self.cache.store(PodResourcesResponse(containers, slots), 0.0)

    def read(
        self, active: frozenset[tuple[str, Pod]] = frozenset(), now: float = 0.0
    ) -> NodeAllocations:
        return self.cache.allocations(DEVICES, active, now)


def resources(
    pod: Pod, *ids: str, container: str = "c", claimed: tuple[ClaimedDevice, ...] = ()
) -> ContainerResources:
    return ContainerResources(pod.namespace, pod.name, container, ids, claimed)


def test_no_allocations_without_a_recent_response() -> None:
    recorder = Recorder()
    assert not recorder.read().is_known
    recorder.store(resources(ONE, "GPU-a"))
    assert recorder.read(now=KEEP_SECONDS).devices == (DeviceAllocation("GPU-a", ONE, "c"),)
    assert not recorder.read(now=KEEP_SECONDS + 1).is_known


def test_slots_make_shares() -> None:
    recorder = Recorder()
    recorder.store(
        resources(ONE, "GPU-a::0", "GPU-a::2"), resources(TWO, "GPU-a::1"), slots={"GPU-a": 4}
    )
    assert recorder.read().devices == (
        DeviceAllocation("GPU-a", ONE, "c", 0.5, is_shared=True),
        DeviceAllocation("GPU-a", TWO, "c", 0.25, is_shared=True),
    )


@pytest.mark.parametrize("slots", [None, {}, {"GPU-a": 1}])
def test_slots_that_do_not_add_up(slots: dict[str, int] | None) -> None:
    recorder = Recorder()
    recorder.store(resources(ONE, "GPU-a::0", "GPU-a::1"), slots=slots)
    assert recorder.read().devices == (DeviceAllocation("GPU-a", ONE, "c", None, is_shared=True),)


def test_all_slots_of_a_device_are_the_device() -> None:
    recorder = Recorder()
    recorder.store(
        resources(ONE, "nvidia1/vgpu0"),
        resources(ONE, "nvidia1/vgpu1", container="d"),
        slots={"nvidia1": 2},
    )
    assert recorder.read().devices == (
        DeviceAllocation("GPU-b", ONE, "c", 0.5, is_shared=False),
        DeviceAllocation("GPU-b", ONE, "d", 0.5, is_shared=False),
    )


def test_claims() -> None:
    recorder = Recorder()
    recorder.store(
        resources(ONE, claimed=(ClaimedDevice("pool", "dev"),)),
        resources(TWO, claimed=(ClaimedDevice("pool", "other", ("vendor/x=GPU-a",)),)),
    )
    assert [allocation.device for allocation in recorder.read().devices] == ["GPU-b", "GPU-a"]
    recorder.store(
        resources(
            ONE,
            claimed=(
                ClaimedDevice("", "gpu-1"),
                ClaimedDevice("", "gpu-7"),
                ClaimedDevice("", "x"),
            ),
        )
    )
    devices = [allocation.device for allocation in recorder.read().devices]
    assert devices == ["GPU-b", "/gpu-7", "/x"], "unknown devices count for the pod too"
    assert recorder.errors == ["unresolved_claim"] * 2


def test_a_device_that_cannot_be_read_still_counts() -> None:
    recorder = Recorder()
    recorder.store(resources(ONE, "GPU-a", "GPU-lost"))
    assert [allocation.device for allocation in recorder.read().devices] == ["GPU-a", "GPU-lost"]
    assert recorder.errors == ["unresolved_device"]


def test_the_exporters_own_pod_is_ignored() -> None:
    recorder = Recorder(own_pod=ONE)
    recorder.store(resources(ONE, "GPU-a"))
    assert recorder.read().devices == ()


def test_of_two_pods_the_later_wins() -> None:
    recorder = Recorder()
    recorder.store(resources(ONE, "GPU-a"))
    recorder.store(resources(ONE, "GPU-a"), resources(TWO, "GPU-a"))
    assert [allocation.pod for allocation in recorder.read().devices] == [TWO]
    recorder.store(resources(ONE, "GPU-a"))
    assert [allocation.pod for allocation in recorder.read().devices] == [ONE]


def test_of_two_pods_at_once_the_one_with_a_process_wins() -> None:
    recorder = Recorder()
    recorder.store(resources(ONE, "GPU-a"), resources(TWO, "GPU-a"))
    unknown = [
        DeviceAllocation("GPU-a", ONE, "c", None, is_shared=True),
        DeviceAllocation("GPU-a", TWO, "c", None, is_shared=True),
    ]
    assert list(recorder.read().devices) == unknown, "its pod is unknown"
    assert recorder.errors == ["conflict"]
    found = recorder.read(active=frozenset({("GPU-a", ONE)}))
    assert [allocation.pod for allocation in found.devices] == [ONE]
    both = frozenset({("GPU-a", ONE), ("GPU-a", TWO)})
    assert list(recorder.read(active=both).devices) == unknown


def test_an_id_that_is_listed_twice_counts_once() -> None:
    recorder = Recorder()
    recorder.store(resources(ONE, "GPU-a::0", "GPU-a::0"), slots={"GPU-a": 2})
    assert recorder.read().devices == (DeviceAllocation("GPU-a", ONE, "c", 0.5, is_shared=True),)


def test_all_slots_with_a_claim_are_not_a_whole_device() -> None:
    recorder = Recorder()
    recorder.store(
        resources(ONE, "GPU-b::0"),
        resources(TWO, claimed=(ClaimedDevice("pool", "dev"),)),
        slots={"GPU-b": 1},
    )
    assert recorder.read().devices == (
        DeviceAllocation("GPU-b", ONE, "c", 1.0, is_shared=True),
        DeviceAllocation("GPU-b", TWO, "c", None, is_shared=True),
    )


def test_a_slot_listed_twice_does_not_affect_others() -> None:
    recorder = Recorder()
    three = Pod("ai", "three")
    recorder.store(
        resources(ONE, "GPU-a::0"),
        resources(TWO, "GPU-a::0"),
        resources(three, "GPU-a::1"),
        slots={"GPU-a": 2},
    )
    assert {one.pod: one.share for one in recorder.read().devices} == {
        ONE: None,
        TWO: None,
        three: 0.5,
    }


def test_a_device_of_a_claim_that_pods_share() -> None:
    recorder = Recorder()
    recorder.store(*(resources(pod, claimed=(ClaimedDevice("pool", "dev"),)) for pod in (ONE, TWO)))
    assert recorder.read().devices == (
        DeviceAllocation("GPU-b", ONE, "c", None, is_shared=True),
        DeviceAllocation("GPU-b", TWO, "c", None, is_shared=True),
    )
