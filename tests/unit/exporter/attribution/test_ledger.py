"""From the kubelet's answers to holdings."""

from __future__ import annotations

import pytest

from metrics_apiserver.exporter.attribution.deviceids import Units
from metrics_apiserver.exporter.attribution.ledger import KEEP_SECONDS, Ledger
from metrics_apiserver.exporter.attribution.podresources import Answer, Claimed, Grant
from metrics_apiserver.exporter.model import Allocation, Holding, Pod, Unit

UNITS = Units([Unit("GPU-a", 0, "H100", "0:1", minor=0), Unit("GPU-b", 1, "H100", "0:2", minor=1)])
ONE, TWO = Pod("ai", "one"), Pod("ai", "two")


class Book:
    """A ledger and what it counts."""

    def __init__(self, itself: Pod | None = None) -> None:
        self.errors: list[str] = []
        self.known = {("pool", "dev"): "GPU-b"}
        self.ledger = Ledger(self._resolve, itself, self.errors.append)

    def _resolve(self, claimed: Claimed) -> str | None:
        return self.known.get((claimed.pool, claimed.device))

    def take(self, *grants: Grant, slots: dict[str, int] | None = None) -> None:
        self.ledger.take(Answer(grants, slots), 0.0)

    def read(
        self, working: frozenset[tuple[str, Pod]] = frozenset(), now: float = 0.0
    ) -> Allocation:
        return self.ledger.allocation(UNITS, working, now)


def grant(pod: Pod, *ids: str, container: str = "c", claimed: tuple[Claimed, ...] = ()) -> Grant:
    return Grant(pod.namespace, pod.name, container, ids, claimed)


def test_nothing_before_the_first_answer_and_long_after_the_last() -> None:
    book = Book()
    assert not book.read().is_known
    book.take(grant(ONE, "GPU-a"))
    assert book.read(now=KEEP_SECONDS).holdings == (Holding("GPU-a", ONE, "c"),)
    assert not book.read(now=KEEP_SECONDS + 1).is_known


def test_slots_make_shares() -> None:
    book = Book()
    book.take(grant(ONE, "GPU-a::0", "GPU-a::2"), grant(TWO, "GPU-a::1"), slots={"GPU-a": 4})
    assert book.read().holdings == (
        Holding("GPU-a", ONE, "c", 0.5, is_shared=True),
        Holding("GPU-a", TWO, "c", 0.25, is_shared=True),
    )


@pytest.mark.parametrize("slots", [None, {}, {"GPU-a": 1}])
def test_slots_that_do_not_add_up(slots: dict[str, int] | None) -> None:
    book = Book()
    book.take(grant(ONE, "GPU-a::0", "GPU-a::1"), slots=slots)
    assert book.read().holdings == (Holding("GPU-a", ONE, "c", None, is_shared=True),)


def test_all_slots_of_a_unit_are_the_unit() -> None:
    book = Book()
    book.take(
        grant(ONE, "nvidia1/vgpu0"),
        grant(ONE, "nvidia1/vgpu1", container="d"),
        slots={"nvidia1": 2},
    )
    assert book.read().holdings == (
        Holding("GPU-b", ONE, "c", 0.5, is_shared=False),
        Holding("GPU-b", ONE, "d", 0.5, is_shared=False),
    )


def test_claims() -> None:
    book = Book()
    book.take(
        grant(ONE, claimed=(Claimed("pool", "dev"),)),
        grant(TWO, claimed=(Claimed("pool", "other", ("vendor/x=GPU-a",)),)),
    )
    assert [holding.unit for holding in book.read().holdings] == ["GPU-b", "GPU-a"]
    book.take(grant(ONE, claimed=(Claimed("", "gpu-1"), Claimed("", "gpu-7"), Claimed("", "x"))))
    units = [holding.unit for holding in book.read().holdings]
    assert units == ["GPU-b", "/gpu-7", "/x"], "of what is not known the pod has a part too"
    assert book.errors == ["unresolved_claim"] * 2


def test_a_device_that_cannot_be_read_still_counts() -> None:
    book = Book()
    book.take(grant(ONE, "GPU-a", "GPU-lost"))
    assert [holding.unit for holding in book.read().holdings] == ["GPU-a", "GPU-lost"]
    assert book.errors == ["unresolved_device"]


def test_our_own_pod_holds_nothing() -> None:
    book = Book(itself=ONE)
    book.take(grant(ONE, "GPU-a"))
    assert book.read().holdings == ()


def test_of_two_claims_the_later_counts() -> None:
    book = Book()
    book.take(grant(ONE, "GPU-a"))
    book.take(grant(ONE, "GPU-a"), grant(TWO, "GPU-a"))
    assert [holding.pod for holding in book.read().holdings] == [TWO]
    book.take(grant(ONE, "GPU-a"))
    assert [holding.pod for holding in book.read().holdings] == [ONE]


def test_of_two_claims_at_once_the_one_with_a_process_counts() -> None:
    book = Book()
    book.take(grant(ONE, "GPU-a"), grant(TWO, "GPU-a"))
    doubtful = [
        Holding("GPU-a", ONE, "c", None, is_shared=True),
        Holding("GPU-a", TWO, "c", None, is_shared=True),
    ]
    assert list(book.read().holdings) == doubtful, "whose it is cannot be known"
    assert book.errors == ["conflict"]
    found = book.read(working=frozenset({("GPU-a", ONE)}))
    assert [holding.pod for holding in found.holdings] == [ONE]
    both = frozenset({("GPU-a", ONE), ("GPU-a", TWO)})
    assert list(book.read(working=both).holdings) == doubtful


def test_an_id_that_is_listed_twice_counts_once() -> None:
    book = Book()
    book.take(grant(ONE, "GPU-a::0", "GPU-a::0"), slots={"GPU-a": 2})
    assert book.read().holdings == (Holding("GPU-a", ONE, "c", 0.5, is_shared=True),)


def test_all_slots_beside_a_claim_are_no_whole_unit() -> None:
    book = Book()
    book.take(
        grant(ONE, "GPU-b::0"), grant(TWO, claimed=(Claimed("pool", "dev"),)), slots={"GPU-b": 1}
    )
    assert book.read().holdings == (
        Holding("GPU-b", ONE, "c", 1.0, is_shared=True),
        Holding("GPU-b", TWO, "c", None, is_shared=True),
    )


def test_one_slot_claimed_twice_leaves_the_others() -> None:
    book = Book()
    three = Pod("ai", "three")
    book.take(
        grant(ONE, "GPU-a::0"), grant(TWO, "GPU-a::0"), grant(three, "GPU-a::1"), slots={"GPU-a": 2}
    )
    assert {one.pod: one.share for one in book.read().holdings} == {
        ONE: None,
        TWO: None,
        three: 0.5,
    }


def test_a_device_of_a_claim_that_pods_share() -> None:
    book = Book()
    book.take(*(grant(pod, claimed=(Claimed("pool", "dev"),)) for pod in (ONE, TWO)))
    assert book.read().holdings == (
        Holding("GPU-b", ONE, "c", None, is_shared=True),
        Holding("GPU-b", TWO, "c", None, is_shared=True),
    )
