"""From the kubelet's responses to allocations."""

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


class Book:
    """A cache and what it counts."""

    def __init__(self, itself: Pod | None = None) -> None:
        self.errors: list[str] = []
        self.known = {("pool", "dev"): "GPU-b"}
        self.ledger = AllocationCache(self._resolve, itself, self.errors.append)

    def _resolve(self, claimed: ClaimedDevice) -> str | None:
        return self.known.get((claimed.pool, claimed.device))

    def store(self, *containers: ContainerResources, slots: dict[str, int] | None = None) -> None:
        self.ledger.store(PodResourcesResponse(containers, slots), 0.0)

    def read(
        self, working: frozenset[tuple[str, Pod]] = frozenset(), now: float = 0.0
    ) -> NodeAllocations:
        return self.ledger.allocations(DEVICES, working, now)


def resources(
    pod: Pod, *ids: str, container: str = "c", claimed: tuple[ClaimedDevice, ...] = ()
) -> ContainerResources:
    return ContainerResources(pod.namespace, pod.name, container, ids, claimed)


def test_nothing_before_the_first_answer_and_long_after_the_last() -> None:
    book = Book()
    assert not book.read().is_known
    book.store(resources(ONE, "GPU-a"))
    assert book.read(now=KEEP_SECONDS).devices == (DeviceAllocation("GPU-a", ONE, "c"),)
    assert not book.read(now=KEEP_SECONDS + 1).is_known


def test_slots_make_shares() -> None:
    book = Book()
    book.store(
        resources(ONE, "GPU-a::0", "GPU-a::2"), resources(TWO, "GPU-a::1"), slots={"GPU-a": 4}
    )
    assert book.read().devices == (
        DeviceAllocation("GPU-a", ONE, "c", 0.5, is_shared=True),
        DeviceAllocation("GPU-a", TWO, "c", 0.25, is_shared=True),
    )


@pytest.mark.parametrize("slots", [None, {}, {"GPU-a": 1}])
def test_slots_that_do_not_add_up(slots: dict[str, int] | None) -> None:
    book = Book()
    book.store(resources(ONE, "GPU-a::0", "GPU-a::1"), slots=slots)
    assert book.read().devices == (DeviceAllocation("GPU-a", ONE, "c", None, is_shared=True),)


def test_all_slots_of_a_device_are_the_device() -> None:
    book = Book()
    book.store(
        resources(ONE, "nvidia1/vgpu0"),
        resources(ONE, "nvidia1/vgpu1", container="d"),
        slots={"nvidia1": 2},
    )
    assert book.read().devices == (
        DeviceAllocation("GPU-b", ONE, "c", 0.5, is_shared=False),
        DeviceAllocation("GPU-b", ONE, "d", 0.5, is_shared=False),
    )


def test_claims() -> None:
    book = Book()
    book.store(
        resources(ONE, claimed=(ClaimedDevice("pool", "dev"),)),
        resources(TWO, claimed=(ClaimedDevice("pool", "other", ("vendor/x=GPU-a",)),)),
    )
    assert [allocation.device for allocation in book.read().devices] == ["GPU-b", "GPU-a"]
    book.store(
        resources(
            ONE,
            claimed=(
                ClaimedDevice("", "gpu-1"),
                ClaimedDevice("", "gpu-7"),
                ClaimedDevice("", "x"),
            ),
        )
    )
    devices = [allocation.device for allocation in book.read().devices]
    assert devices == ["GPU-b", "/gpu-7", "/x"], "of what is not known the pod has a part too"
    assert book.errors == ["unresolved_claim"] * 2


def test_a_device_that_cannot_be_read_still_counts() -> None:
    book = Book()
    book.store(resources(ONE, "GPU-a", "GPU-lost"))
    assert [allocation.device for allocation in book.read().devices] == ["GPU-a", "GPU-lost"]
    assert book.errors == ["unresolved_device"]


def test_our_own_pod_holds_nothing() -> None:
    book = Book(itself=ONE)
    book.store(resources(ONE, "GPU-a"))
    assert book.read().devices == ()


def test_of_two_claims_the_later_counts() -> None:
    book = Book()
    book.store(resources(ONE, "GPU-a"))
    book.store(resources(ONE, "GPU-a"), resources(TWO, "GPU-a"))
    assert [allocation.pod for allocation in book.read().devices] == [TWO]
    book.store(resources(ONE, "GPU-a"))
    assert [allocation.pod for allocation in book.read().devices] == [ONE]


def test_of_two_claims_at_once_the_one_with_a_process_counts() -> None:
    book = Book()
    book.store(resources(ONE, "GPU-a"), resources(TWO, "GPU-a"))
    doubtful = [
        DeviceAllocation("GPU-a", ONE, "c", None, is_shared=True),
        DeviceAllocation("GPU-a", TWO, "c", None, is_shared=True),
    ]
    assert list(book.read().devices) == doubtful, "whose it is cannot be known"
    assert book.errors == ["conflict"]
    found = book.read(working=frozenset({("GPU-a", ONE)}))
    assert [allocation.pod for allocation in found.devices] == [ONE]
    both = frozenset({("GPU-a", ONE), ("GPU-a", TWO)})
    assert list(book.read(working=both).devices) == doubtful


def test_an_id_that_is_listed_twice_counts_once() -> None:
    book = Book()
    book.store(resources(ONE, "GPU-a::0", "GPU-a::0"), slots={"GPU-a": 2})
    assert book.read().devices == (DeviceAllocation("GPU-a", ONE, "c", 0.5, is_shared=True),)


def test_all_slots_beside_a_claim_are_no_whole_device() -> None:
    book = Book()
    book.store(
        resources(ONE, "GPU-b::0"),
        resources(TWO, claimed=(ClaimedDevice("pool", "dev"),)),
        slots={"GPU-b": 1},
    )
    assert book.read().devices == (
        DeviceAllocation("GPU-b", ONE, "c", 1.0, is_shared=True),
        DeviceAllocation("GPU-b", TWO, "c", None, is_shared=True),
    )


def test_one_slot_claimed_twice_leaves_the_others() -> None:
    book = Book()
    three = Pod("ai", "three")
    book.store(
        resources(ONE, "GPU-a::0"),
        resources(TWO, "GPU-a::0"),
        resources(three, "GPU-a::1"),
        slots={"GPU-a": 2},
    )
    assert {one.pod: one.share for one in book.read().devices} == {
        ONE: None,
        TWO: None,
        three: 0.5,
    }


def test_a_device_of_a_claim_that_pods_share() -> None:
    book = Book()
    book.store(*(resources(pod, claimed=(ClaimedDevice("pool", "dev"),)) for pod in (ONE, TWO)))
    assert book.read().devices == (
        DeviceAllocation("GPU-b", ONE, "c", None, is_shared=True),
        DeviceAllocation("GPU-b", TWO, "c", None, is_shared=True),
    )
