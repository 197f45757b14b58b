"""What each pod used of each device, from the processes, averaged as the device's duty cycle is.

On a device that is allocated to one pod, everything that computes belongs to that pod. On a shared
device the processes must be attributed by pid; until that works the usage of its pods is unknown,
and no value is invented: a process that may belong to any pod makes all of them unknown. Windows
end with the allocation, so that a new pod does not inherit the load of the previous one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from metrics_apiserver.exporter import sums
from metrics_apiserver.exporter.model import (
    DeviceAllocation,
    NodeAllocations,
    NodeUsage,
    Pod,
    ProcessMemory,
    ProcessOwner,
    ProcessUtilization,
    Reading,
    UsageRecord,
)
from metrics_apiserver.exporter.window import Window


class _UtilizationWindows:
    __slots__ = ("windows",)

    def __init__(self, seconds: float) -> None:
        self.windows = tuple(Window(seconds) for _ in range(4))

    def add(self, use: ProcessUtilization, now: float) -> None:
        values = (use.sm, use.memory, use.encoder, use.decoder)
        for window, value in zip(self.windows, values, strict=True):
            window.add(now, min(100.0, value), now)

    def mean(self, now: float) -> ProcessUtilization | None:
        means = [window.mean(now) for window in self.windows]
        sm, memory, encoder, decoder = means
        if sm is None or memory is None or encoder is None or decoder is None:
            return None
        return ProcessUtilization(sm, memory, encoder, decoder)


class UsageMeter:
    """Keeps the windows across rounds.

    Args:
        window_seconds: over which utilisation is averaged.
        owner_of: pid -> its owner, None once the process ended; None if pids cannot be attributed.
        count_error: called with the reason why processes cannot be attributed.
    """

    def __init__(
        self,
        window_seconds: float,
        owner_of: Callable[[int], ProcessOwner | None] | None,
        count_error: Callable[[str], None],
    ) -> None:
        self._seconds = window_seconds
        self._owner_of = owner_of
        self._count_error = count_error
        self._windows: dict[tuple[str, Pod, str], _UtilizationWindows] = {}

    @property
    def attributes_pids(self) -> bool:
        """Whether processes are attributed by pid, and not by the allocation alone."""
        return self._owner_of is not None

    def update(
        self, readings: Iterable[Reading], allocations: NodeAllocations, now: float
    ) -> NodeUsage:
        """The usage of one round.

        Args:
            readings: of the round.
            allocations: of the node.
            now: monotonic seconds.
        """
        by_device: dict[str, list[DeviceAllocation]] = defaultdict(list)
        for allocation in allocations.devices:
            by_device[allocation.device].append(allocation)
        totals = _RoundTotals(allocations.is_known)
        for reading in readings:
            if reading.is_split:
                continue
            self._attribute(reading, by_device.get(reading.device.uuid, []), totals)
        return self._finish(totals, now)

    def _attribute(
        self, reading: Reading, allocated: list[DeviceAllocation], totals: _RoundTotals
    ) -> None:
        device = reading.device.uuid
        pods = {allocation.pod for allocation in allocated}
        sole = allocated[0] if len(pods) == 1 and not allocated[0].is_shared else None
        owners = self._owners(reading)
        uses = None if reading.uses is None else sums.normalized(reading.uses)
        is_separable = _is_separable(sole, owners, allocated)
        for allocation in allocated:
            key = (device, allocation.pod, allocation.container)
            totals.uses[key] = sums.ZERO if is_separable and uses is not None else None
            totals.memory[key] = 0 if is_separable and reading.memory is not None else None
        unattributed = _UnattributedUse()
        for pid in {*(uses or ()), *(reading.memory or ())}:
            owner = (owners or {}).get(pid)
            use = None if uses is None else uses.get(pid, sums.ZERO)
            memory = (reading.memory or {}).get(pid)
            found = _pod_and_container(owner, sole, allocated)
            if found is None:
                totals.unattributed += 1
                unattributed.add(owner, use, memory)
                continue
            process = UsageRecord(
                device,
                *found,
                use,
                memory.used if memory else None,
                found[0] in pods,
                pid,
                memory.kinds if memory else "",
                owner.name if owner else "",
            )
            totals.add(process, reading.memory is not None, memory is not None)
        for allocation in allocated:
            unattributed.clear_unknown(totals, (device, allocation.pod, allocation.container))

    def _owners(self, reading: Reading) -> dict[int, ProcessOwner] | None:
        """Owners of the processes that exist; None if they cannot be found."""
        if self._owner_of is None:
            return None
        pids = {*(reading.uses or ()), *(reading.memory or ())}
        found = {pid: owner for pid in pids if (owner := self._owner_of(pid)) is not None}
        if pids and not found:
            # NVML uses another pid namespace than /proc.
            self._count_error("pidns")
            return None
        if reading.uses and not found.keys() & reading.uses.keys():
            # Some drivers translate the pids of processes that hold memory and not those of
            # processes that compute; `_UnattributedUse` keeps busy pods from looking idle then.
            self._count_error("pidns")
        return found

    def _finish(self, totals: _RoundTotals, now: float) -> NodeUsage:
        self._windows = {
            key: self._windows.get(key) or _UtilizationWindows(self._seconds) for key in totals.uses
        }
        containers = {}
        for key, use in totals.uses.items():
            windows = self._windows[key]
            if use is not None:
                windows.add(use, now)
            device, pod, container = key
            containers[key] = UsageRecord(
                device,
                pod,
                container,
                windows.mean(now),
                totals.memory[key],
                key not in totals.illegal,
            )
        return NodeUsage(containers, tuple(totals.processes), totals.unattributed)


def _is_separable(
    sole: DeviceAllocation | None,
    owners: Mapping[int, ProcessOwner] | None,
    allocated: Sequence[DeviceAllocation],
) -> bool:
    """Whether the usage of the containers of a device can be distinguished."""
    # Those of one pod can only be distinguished by their processes.
    is_one_container = len({allocation.container for allocation in allocated}) == 1
    return owners is not None or (sole is not None and is_one_container)


def _pod_and_container(
    owner: ProcessOwner | None, sole: DeviceAllocation | None, allocated: list[DeviceAllocation]
) -> tuple[Pod, str] | None:
    """The pod and container that a process counts for."""
    if owner is not None and owner.pod is not None:
        mine = [allocation for allocation in allocated if allocation.pod == owner.pod]
        if len(mine) == 1:
            return owner.pod, mine[0].container
        return owner.pod, owner.container
    if sole is not None:
        return sole.pod, sole.container
    return None


class _UnattributedUse:
    """Processes that may belong to any pod of the device.

    What those pods use is then unknown in this round.
    """

    def __init__(self) -> None:
        self._uses = self._memory = False

    def add(
        self,
        owner: ProcessOwner | None,
        use: ProcessUtilization | None,
        memory: ProcessMemory | None,
    ) -> None:
        """Adds a process without a known pod; a process of the host belongs to no pod."""
        if owner is not None and not owner.is_nameless:
            return
        self._uses |= use != sums.ZERO
        # Memory of a process that ended is about to be freed.
        self._memory |= owner is not None and memory is not None and memory.used != 0

    def clear_unknown(self, totals: _RoundTotals, key: tuple[str, Pod, str]) -> None:
        """Makes the affected values of a container unknown."""
        if self._uses:
            totals.uses[key] = None
        if self._memory:
            totals.memory[key] = None


class _RoundTotals:
    """Sums of one round."""

    def __init__(self, is_known: bool) -> None:
        self.uses: dict[tuple[str, Pod, str], ProcessUtilization | None] = {}
        self.memory: dict[tuple[str, Pod, str], int | None] = {}
        self.illegal: set[tuple[str, Pod, str]] = set()
        self.processes: list[UsageRecord] = []
        self.unattributed = 0
        self._is_known = is_known

    def add(self, process: UsageRecord, knows_memory: bool, holds_memory: bool) -> None:
        """Adds a process to its container; an illegal one only if allocations are known."""
        key = (process.device, process.pod, process.container)
        if not process.is_legal:
            if not self._is_known:
                return
            self.illegal.add(key)
        self.uses[key] = sums.add(self.uses.get(key, sums.ZERO), process.use)
        used = self.memory.setdefault(key, 0 if knows_memory else None)
        if holds_memory and used is not None:
            self.memory[key] = None if process.memory is None else used + process.memory
        self.processes.append(process)
