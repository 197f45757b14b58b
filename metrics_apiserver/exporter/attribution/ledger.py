"""Who holds what by the kubelet's word, kept over its restarts for five minutes.

Two pods that claim one id as their own (kubelets before 1.34 also list pods that ended) are judged:
a pod with a process on the unit wins, else the one whose claim appeared later; when both appeared
at once the unit is shown without a pod and counted as a conflict.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from metrics_apiserver.exporter.attribution.deviceids import Units, base_of, is_slot
from metrics_apiserver.exporter.attribution.podresources import Answer, Claimed, Grant
from metrics_apiserver.exporter.model import Allocation, Holding, Pod, Unit

KEEP_SECONDS = 300.0
_UNKNOWN = Allocation()


@dataclass(frozen=True, slots=True)
class _Claim:
    """One id that one container holds."""

    pod: Pod
    container: str
    device_id: str
    is_claimed: bool = False  # through a ResourceClaim, which pods may share


class Ledger:
    """Takes answers from one thread and gives allocations to another.

    Args:
        resolve: (pool, device) of DRA -> UUID, or None.
        itself: our own pod, which may see devices without using them.
        count_error: told why something cannot be attributed.
    """

    def __init__(
        self,
        resolve: Callable[[Claimed], str | None],
        itself: Pod | None,
        count_error: Callable[[str], None],
    ) -> None:
        self._resolve = resolve
        self._itself = itself
        self._count_error = count_error
        self._taken: tuple[Answer, float] | None = None
        self._turns = itertools.count()
        self._since: dict[tuple[Pod, str], int] = {}

    def take(self, answer: Answer, now: float) -> None:
        """A new look at the kubelet.

        Args:
            answer: the kubelet's.
            now: monotonic seconds.
        """
        turn = next(self._turns)
        keys = {
            (Pod(grant.namespace, grant.pod), device)
            for grant in answer.grants
            for device in grant.device_ids
        }
        self._since = {key: self._since.get(key, turn) for key in keys}
        self._taken = (answer, now)

    def allocation(
        self, units: Units, working: frozenset[tuple[str, Pod]], now: float
    ) -> Allocation:
        """Who holds what, as of the last answer.

        Args:
            units: that there are.
            working: (unit, pod) that have a process.
            now: monotonic seconds.
        """
        taken = self._taken
        if taken is None or now - taken[1] > KEEP_SECONDS:
            return _UNKNOWN
        answer = taken[0]
        claims = list(self._claims(answer.grants, units))
        claims, conflicts = self._judge(claims, units, working)
        return Allocation(tuple(self._holdings(claims, units, answer)), True, conflicts)

    def _claims(self, grants: Iterable[Grant], units: Units) -> Iterable[_Claim]:
        for grant in grants:
            pod = Pod(grant.namespace, grant.pod)
            if pod == self._itself:
                continue
            for device in grant.device_ids:
                yield _Claim(pod, grant.container, device)
            for claimed in grant.claimed:
                uuid = self._resolve(claimed) or _by_cdi(claimed, units)
                if uuid is None:
                    self._count_error("unresolved_claim")
                else:
                    yield _Claim(pod, grant.container, uuid, is_claimed=True)

    def _judge(
        self, claims: list[_Claim], units: Units, working: frozenset[tuple[str, Pod]]
    ) -> tuple[list[_Claim], frozenset[str]]:
        pods: dict[str, set[Pod]] = defaultdict(set)
        for claim in claims:
            if not claim.is_claimed:
                pods[claim.device_id].add(claim.pod)
        losers: set[tuple[str, Pod]] = set()
        conflicts: set[str] = set()
        for device_id, rivals in pods.items():
            if len(rivals) < 2:
                continue
            unit = units.find(base_of(device_id))
            winner = self._winner(device_id, unit, rivals, working)
            losers |= {(device_id, pod) for pod in rivals if pod != winner}
            if winner is None:
                self._count_error("conflict")
                conflicts |= {unit.uuid} if unit else set()
        kept = [claim for claim in claims if (claim.device_id, claim.pod) not in losers]
        return kept, frozenset(conflicts)

    def _winner(
        self,
        device_id: str,
        unit: Unit | None,
        rivals: set[Pod],
        working: frozenset[tuple[str, Pod]],
    ) -> Pod | None:
        if unit is not None:
            active = [pod for pod in rivals if (unit.uuid, pod) in working]
            if len(active) == 1:
                return active[0]
        since = {pod: self._since.get((pod, device_id), -1) for pod in rivals}
        latest = max(since.values())
        newest = [pod for pod, turn in since.items() if turn == latest]
        return newest[0] if len(newest) == 1 else None

    def _holdings(self, claims: list[_Claim], units: Units, answer: Answer) -> Iterable[Holding]:
        by_container: Counter[Holding] = Counter()
        by_pod: Counter[tuple[str, Pod]] = Counter()
        claimants: dict[str, set[Pod]] = defaultdict(set)
        advertised: dict[str, int | None] = {}
        for claim in claims:
            base = base_of(claim.device_id)
            unit = units.find(base)
            if unit is None:
                self._count_error("unresolved_device")
            # A device that cannot be read now still counts: its pod's sums are not known.
            uuid = unit.uuid if unit else base
            is_shared = is_slot(claim.device_id)
            by_container[Holding(uuid, claim.pod, claim.container, 1.0, is_shared)] += 1
            by_pod[uuid, claim.pod] += 1
            claimants[uuid].add(claim.pod)
            advertised[uuid] = (answer.slots or {}).get(base)
        for holding, held in by_container.items():
            slots = advertised[holding.unit]
            if holding.is_shared:
                is_whole = by_pod[holding.unit, holding.pod] == slots
                share = held / slots if slots and held <= slots else None
                yield replace(holding, share=share, is_shared=not is_whole)
            elif len(claimants[holding.unit]) > 1:
                yield replace(holding, share=None, is_shared=True)  # a claim that pods share
            else:
                yield holding


def _by_cdi(claimed: Claimed, units: Units) -> str | None:
    """By a CDI name that ends in a UUID, or by the number in `gpu-<n>`: the driver's default."""
    for name in (*claimed.cdi_names, claimed.device):
        tail = name.rpartition("=")[2]
        if tail in units:
            return tail
    prefix, _, number = claimed.device.rpartition("-")
    if prefix == "gpu" and number.isdecimal():
        unit = units.find(f"nvidia{number}")
        return unit.uuid if unit else None
    return None
