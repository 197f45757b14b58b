"""Allocations of devices according to the kubelet, kept for five minutes while it restarts.

If two pods are listed with the same device ID (kubelets before 1.34 also list pods that ended), a
pod with a process on the device wins, else the pod that was listed later. If both were listed at
once, it is counted as a conflict and both are shown with an unknown share.
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
    """One device ID that is assigned to one container."""

    pod: Pod
    container: str
    device_id: str
    is_by_claim: bool = False  # by a ResourceClaim, which pods may share
    is_unresolved: bool = False  # its UUID is unknown


class AllocationCache:
    """Stores kubelet responses from one thread and gives allocations to another.

    Args:
        resolve: UUID of a device that is allocated by DRA, or None.
        own_pod: the pod of the exporter, which may see devices without using them.
        count_error: called with the reason why a device cannot be attributed.
    """

    def __init__(
        self,
        resolve: Callable[[ClaimedDevice], str | None],
        own_pod: Pod | None,
        count_error: Callable[[str], None],
    ) -> None:
        self._resolve = resolve
        self._own_pod = own_pod
        self._count_error = count_error
        self._responses = itertools.count()
        # One reference, so that both threads see a consistent state: response, time, first listed.
        self._stored: tuple[PodResourcesResponse, float, dict[tuple[Pod, str], int]] | None = None

    def store(self, response: PodResourcesResponse, now: float) -> None:
        """Stores a new response.

        Args:
            response: of the kubelet.
            now: monotonic seconds.
        """
        number = next(self._responses)
        keys = {
            (Pod(resources.namespace, resources.pod), device_id)
            for resources in response.containers
            for device_id in resources.device_ids
        }
        before = self._stored[2] if self._stored else {}
        self._stored = (response, now, {key: before.get(key, number) for key in keys})

    def allocations(
        self, devices: DeviceIndex, active: frozenset[tuple[str, Pod]], now: float
    ) -> NodeAllocations:
        """The allocations as of the last response.

        Args:
            devices: of the last round.
            active: (device, pod) pairs that have a process.
            now: monotonic seconds.
        """
        stored = self._stored
        if stored is None or now - stored[1] > KEEP_SECONDS:
            return _UNKNOWN
        response, _, since = stored
        assignments = list(dict.fromkeys(self._assignments(response.containers, devices)))
        rejected, conflicting = self._resolve_conflicts(assignments, devices, active, since)
        assignments = [
            assignment
            for assignment in assignments
            if (assignment.device_id, assignment.pod) not in rejected
        ]
        return NodeAllocations(
            tuple(self._device_allocations(assignments, devices, response, conflicting)), True
        )

    def _assignments(
        self, containers: Iterable[ContainerResources], devices: DeviceIndex
    ) -> Iterable[_Assignment]:
        for resources in containers:
            pod = Pod(resources.namespace, resources.pod)
            if pod == self._own_pod:
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
        assignments: list[_Assignment],
        devices: DeviceIndex,
        active: frozenset[tuple[str, Pod]],
        since: Mapping[tuple[Pod, str], int],
    ) -> tuple[set[tuple[str, Pod]], set[tuple[str, Pod]]]:
        """Assignments that lost, and those of unresolved conflicts, as (device ID, pod)."""
        pods: dict[str, set[Pod]] = defaultdict(set)
        for assignment in assignments:
            if not assignment.is_by_claim:
                pods[assignment.device_id].add(assignment.pod)
        rejected: set[tuple[str, Pod]] = set()
        conflicting: set[tuple[str, Pod]] = set()
        for device_id, candidates in pods.items():
            if len(candidates) < 2:
                continue
            device = devices.find(base_of(device_id))
            first_listed = {pod: since.get((pod, device_id), -1) for pod in candidates}
            winner = _winner(device, first_listed, active)
            if winner is None:
                self._count_error("conflict")
                conflicting |= {(device_id, pod) for pod in candidates}
            else:
                rejected |= {(device_id, pod) for pod in candidates - {winner}}
        return rejected, conflicting

    def _device_allocations(
        self,
        assignments: list[_Assignment],
        devices: DeviceIndex,
        response: PodResourcesResponse,
        conflicting: set[tuple[str, Pod]],
    ) -> Iterable[DeviceAllocation]:
        counts: Counter[DeviceAllocation] = Counter()
        of_pod: Counter[tuple[str, Pod]] = Counter()
        pods_of: dict[str, set[Pod]] = defaultdict(set)
        slots: dict[str, int | None] = {}
        unresolved: set[tuple[str, Pod]] = set()
        for assignment in assignments:
            base = base_of(assignment.device_id)
            device = None if assignment.is_unresolved else devices.find(base)
            if device is None and not assignment.is_unresolved:
                self._count_error("unresolved_device")
            # A device that cannot be read now still counts: it makes the sums of its pod unknown.
            uuid = device.uuid if device else base
            counts[
                DeviceAllocation(
                    uuid, assignment.pod, assignment.container, 1.0, is_slot(assignment.device_id)
                )
            ] += 1
            of_pod[uuid, assignment.pod] += 1
            pods_of[uuid].add(assignment.pod)
            slots[uuid] = (response.slots or {}).get(base)
            if (assignment.device_id, assignment.pod) in conflicting:
                unresolved.add((uuid, assignment.pod))
        for allocation, count in counts.items():
            key, total = (allocation.device, allocation.pod), slots[allocation.device]
            has_other_pods = len(pods_of[allocation.device]) > 1
            if key in unresolved or (
                has_other_pods and not allocation.is_shared
            ):  # or a shared claim
                yield replace(allocation, share=None, is_shared=True)
            elif allocation.is_shared:
                share = count / total if total and count <= total else None
                is_whole = of_pod[key] == total and not has_other_pods
                yield replace(allocation, share=share, is_shared=not is_whole)
            else:
                yield allocation


def _winner(
    device: Device | None, first_listed: Mapping[Pod, int], active: frozenset[tuple[str, Pod]]
) -> Pod | None:
    """The pod that gets the device, of pods and when they were listed first; None if undecided."""
    if device is not None:
        busy = [pod for pod in first_listed if (device.uuid, pod) in active]
        if len(busy) == 1:
            return busy[0]
    latest = max(first_listed.values())
    newest = [pod for pod, number in first_listed.items() if number == latest]
    return newest[0] if len(newest) == 1 else None


def _by_cdi(claimed: ClaimedDevice, devices: DeviceIndex) -> str | None:
    """By a CDI name that ends in a UUID, or by the default device name `gpu-<minor>`."""
    for name in (*claimed.cdi_names, claimed.device):
        tail = name.rpartition("=")[2]
        if tail in devices:
            return tail
    prefix, _, number = claimed.device.rpartition("-")
    if prefix == "gpu" and number.isdecimal():
        device = devices.find(f"nvidia{number}")
        return device.uuid if device else None
    return None
