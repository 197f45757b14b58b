"""Who holds what by the kubelet's word, kept over its restarts for five minutes.

Two pods that claim one id as their own (kubelets before 1.34 also list pods that ended) are judged:
a pod with a process on the device wins, else the one whose claim appeared later; when both appeared
at once it is counted as a conflict and both are shown with a part that is not known.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from metrics_apiserver.exporter.attribution.deviceids import DeviceIndex, base_of, is_slot
from metrics_apiserver.exporter.attribution.podresources import (
    ClaimedDevice,
    ContainerResources,
    PodResourcesResponse,
)
from metrics_apiserver.exporter.model import Device, DeviceAllocation, NodeAllocations, Pod

KEEP_SECONDS = 300.0
_UNKNOWN = NodeAllocations()


@dataclass(frozen=True, slots=True)
class _Assignment:
    """One id that one container holds."""

    pod: Pod
    container: str
    device_id: str
    is_claimed: bool = False  # through a ResourceClaim, which pods may share
    is_unresolved: bool = False  # nobody said which device that is


class AllocationCache:
    """Takes responses from one thread and gives allocations to another.

    Args:
        resolve: (pool, device) of DRA -> UUID, or None.
        itself: our own pod, which may see devices without using them.
        count_error: told why something cannot be attributed.
    """

    def __init__(
        self,
        resolve: Callable[[ClaimedDevice], str | None],
        itself: Pod | None,
        count_error: Callable[[str], None],
    ) -> None:
        self._resolve = resolve
        self._itself = itself
        self._count_error = count_error
        self._turns = itertools.count()
        # One reference, so that the two threads never see half of it: when which claim appeared.
        self._stored: tuple[PodResourcesResponse, float, dict[tuple[Pod, str], int]] | None = None

    def store(self, response: PodResourcesResponse, now: float) -> None:
        """A new look at the kubelet.

        Args:
            response: the kubelet's.
            now: monotonic seconds.
        """
        turn = next(self._turns)
        keys = {
            (Pod(resources.namespace, resources.pod), device_id)
            for resources in response.containers
            for device_id in resources.device_ids
        }
        before = self._stored[2] if self._stored else {}
        self._stored = (response, now, {key: before.get(key, turn) for key in keys})

    def allocations(
        self, devices: DeviceIndex, working: frozenset[tuple[str, Pod]], now: float
    ) -> NodeAllocations:
        """Who holds what, as of the last response.

        Args:
            devices: that there are.
            working: (device, pod) that have a process.
            now: monotonic seconds.
        """
        stored = self._stored
        if stored is None or now - stored[1] > KEEP_SECONDS:
            return _UNKNOWN
        response, _, since = stored
        claims = list(dict.fromkeys(self._claims(response.containers, devices)))
        losers, contested = self._resolve_conflicts(claims, devices, working, since)
        claims = [claim for claim in claims if (claim.device_id, claim.pod) not in losers]
        return NodeAllocations(
            tuple(self._device_allocations(claims, devices, response, contested)), True
        )

    def _claims(
        self, containers: Iterable[ContainerResources], devices: DeviceIndex
    ) -> Iterable[_Assignment]:
        for resources in containers:
            pod = Pod(resources.namespace, resources.pod)
            if pod == self._itself:
                continue
            for device_id in resources.device_ids:
                yield _Assignment(pod, resources.container, device_id)
            for claimed in resources.claimed:
                uuid = self._resolve(claimed) or _by_cdi(claimed, devices)
                if uuid is None:
                    self._count_error("unresolved_claim")
                name = uuid or f"{claimed.pool}/{claimed.device}"
                yield _Assignment(pod, resources.container, name, True, uuid is None)

    def _resolve_conflicts(
        self,
        claims: list[_Assignment],
        devices: DeviceIndex,
        working: frozenset[tuple[str, Pod]],
        since: Mapping[tuple[Pod, str], int],
    ) -> tuple[set[tuple[str, Pod]], set[tuple[str, Pod]]]:
        """Claims that lost to another, and those of which none won, as (device id, pod)."""
        pods: dict[str, set[Pod]] = defaultdict(set)
        for claim in claims:
            if not claim.is_claimed:
                pods[claim.device_id].add(claim.pod)
        losers: set[tuple[str, Pod]] = set()
        contested: set[tuple[str, Pod]] = set()
        for device_id, rivals in pods.items():
            if len(rivals) < 2:
                continue
            device = devices.find(base_of(device_id))
            turns = {pod: since.get((pod, device_id), -1) for pod in rivals}
            winner = _winner(device, turns, working)
            if winner is None:
                self._count_error("conflict")
                contested |= {(device_id, pod) for pod in rivals}
            else:
                losers |= {(device_id, pod) for pod in rivals - {winner}}
        return losers, contested

    def _device_allocations(
        self,
        claims: list[_Assignment],
        devices: DeviceIndex,
        response: PodResourcesResponse,
        contested: set[tuple[str, Pod]],
    ) -> Iterable[DeviceAllocation]:
        held: Counter[DeviceAllocation] = Counter()
        of_pod: Counter[tuple[str, Pod]] = Counter()
        claimants: dict[str, set[Pod]] = defaultdict(set)
        slots: dict[str, int | None] = {}
        doubtful: set[tuple[str, Pod]] = set()
        for claim in claims:
            base = base_of(claim.device_id)
            device = None if claim.is_unresolved else devices.find(base)
            if device is None and not claim.is_unresolved:
                self._count_error("unresolved_device")
            # A device that cannot be read now still counts: its pod's sums are not known.
            uuid = device.uuid if device else base
            held[
                DeviceAllocation(uuid, claim.pod, claim.container, 1.0, is_slot(claim.device_id))
            ] += 1
            of_pod[uuid, claim.pod] += 1
            claimants[uuid].add(claim.pod)
            slots[uuid] = (response.slots or {}).get(base)
            if (claim.device_id, claim.pod) in contested:
                doubtful.add((uuid, claim.pod))
        for allocation, count in held.items():
            key, total = (allocation.device, allocation.pod), slots[allocation.device]
            has_rivals = len(claimants[allocation.device]) > 1
            if key in doubtful or (
                has_rivals and not allocation.is_shared
            ):  # or a claim they share
                yield replace(allocation, share=None, is_shared=True)
            elif allocation.is_shared:
                share = count / total if total and count <= total else None
                is_whole = of_pod[key] == total and not has_rivals
                yield replace(allocation, share=share, is_shared=not is_whole)
            else:
                yield allocation


def _winner(
    device: Device | None, turns: Mapping[Pod, int], working: frozenset[tuple[str, Pod]]
) -> Pod | None:
    """Of pods and the turns they appeared in; None where nothing decides."""
    if device is not None:
        active = [pod for pod in turns if (device.uuid, pod) in working]
        if len(active) == 1:
            return active[0]
    latest = max(turns.values())
    newest = [pod for pod, turn in turns.items() if turn == latest]
    return newest[0] if len(newest) == 1 else None


def _by_cdi(claimed: ClaimedDevice, devices: DeviceIndex) -> str | None:
    """By a CDI name that ends in a UUID, or by the number in `gpu-<n>`: the driver's default."""
    for name in (*claimed.cdi_names, claimed.device):
        tail = name.rpartition("=")[2]
        if tail in devices:
            return tail
    prefix, _, number = claimed.device.rpartition("-")
    if prefix == "gpu" and number.isdecimal():
        device = devices.find(f"nvidia{number}")
        return device.uuid if device else None
    return None
