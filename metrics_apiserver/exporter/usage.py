"""What each pod used of each unit, out of the processes, smoothed as the device's duty cycle is.

A unit of one pod's own needs no pids told apart: whatever computes on it is that pod's. On a
shared unit pids must be found out; until then nothing is known of its pods, and nothing is made
up: a process that may be anybody's leaves all of them without a number. Windows end with the
holding, so that a new pod does not inherit the load of the one before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from metrics_apiserver.exporter import sums
from metrics_apiserver.exporter.model import (
    Allocation,
    Holding,
    Pod,
    ProcessMemory,
    ProcessUse,
    Reading,
)
from metrics_apiserver.exporter.window import Window


@dataclass(frozen=True, slots=True)
class Owner:
    """Where a process runs.

    Attributes:
        pod: None for a process of the host.
        container: empty where it cannot be told.
        name: the process's.
        is_nameless: it runs in a pod, but in which could not be found out.
    """

    pod: Pod | None
    container: str = ""
    name: str = ""
    is_nameless: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """What one container, or process, used of a unit; None where it is not known.

    Attributes:
        use: percent of the unit, over the window (of a process: of the last tick).
        memory: bytes.
        pid, kinds, name: of a process; 0 and empty for a container.
    """

    unit: str
    pod: Pod
    container: str
    use: ProcessUse | None
    memory: int | None
    is_legal: bool = True
    pid: int = 0
    kinds: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """All of a tick.

    Attributes:
        containers: by (unit, pod, container); the holders', and those of pods that hold nothing.
        processes: one by one.
        unattributed: processes that belong to nobody known.
    """

    containers: Mapping[tuple[str, Pod, str], Part] = field(default_factory=dict)
    processes: tuple[Part, ...] = ()
    unattributed: int = 0


class _Windows:
    __slots__ = ("windows",)

    def __init__(self, seconds: float) -> None:
        self.windows = tuple(Window(seconds) for _ in range(4))

    def add(self, use: ProcessUse, now: float) -> None:
        values = (use.sm, use.memory, use.encoder, use.decoder)
        for window, value in zip(self.windows, values, strict=True):
            window.add(now, min(100.0, value), now)

    def mean(self, now: float) -> ProcessUse | None:
        means = [window.mean(now) for window in self.windows]
        sm, memory, encoder, decoder = means
        if sm is None or memory is None or encoder is None or decoder is None:
            return None
        return ProcessUse(sm, memory, encoder, decoder)


class Meter:
    """Keeps the windows from tick to tick.

    Args:
        window_seconds: over which utilisation is averaged.
        owner_of: pid -> where it runs, None once it is gone; None where pids cannot be told apart.
        count_error: told why processes cannot be attributed.
    """

    def __init__(
        self,
        window_seconds: float,
        owner_of: Callable[[int], Owner | None] | None,
        count_error: Callable[[str], None],
    ) -> None:
        self._seconds = window_seconds
        self._owner_of = owner_of
        self._count_error = count_error
        self._windows: dict[tuple[str, Pod, str], _Windows] = {}

    @property
    def tells_pids(self) -> bool:
        """Whether processes are told apart by their owners, and not by the holding alone."""
        return self._owner_of is not None

    def update(self, readings: Iterable[Reading], allocation: Allocation, now: float) -> Usage:
        """One tick.

        Args:
            readings: of the tick.
            allocation: who holds what.
            now: monotonic seconds.
        """
        holders: dict[str, list[Holding]] = defaultdict(list)
        for holding in allocation.holdings:
            holders[holding.unit].append(holding)
        tick = _Tick(allocation.is_known)
        for reading in readings:
            if reading.is_split:
                continue
            self._attribute(reading, holders.get(reading.unit.uuid, []), tick)
        return self._finish(tick, now)

    def _attribute(self, reading: Reading, holders: list[Holding], tick: _Tick) -> None:
        unit = reading.unit.uuid
        pods = {holding.pod for holding in holders}
        sole = holders[0] if len(pods) == 1 and not holders[0].is_shared else None
        owners = self._owners(reading)
        can_tell = sole is not None or owners is not None
        uses = None if reading.uses is None else sums.evened(reading.uses)
        for holding in holders:
            key = (unit, holding.pod, holding.container)
            # One pod's containers on one unit can only be told apart by their processes.
            alone = owners is not None or len({h.container for h in holders}) == 1
            known = can_tell and alone
            tick.uses[key] = sums.ZERO if known and uses is not None else None
            tick.memory[key] = 0 if known and reading.memory is not None else None
        unsure = _Unsure()
        for pid in {*(uses or ()), *(reading.memory or ())}:
            owner = (owners or {}).get(pid)
            use = None if uses is None else uses.get(pid, sums.ZERO)
            memory = (reading.memory or {}).get(pid)
            place = _place(owner, sole, holders)
            if place is None:
                tick.unattributed += 1
                unsure.consider(owner, use, memory)
                continue
            process = Part(
                unit,
                *place,
                use,
                memory.used if memory else None,
                place[0] in pods,
                pid,
                memory.kinds if memory else "",
                owner.name if owner else "",
            )
            tick.add(process, reading.memory is not None, memory is not None)
        for holding in holders:
            unsure.blur(tick, (unit, holding.pod, holding.container))

    def _owners(self, reading: Reading) -> dict[int, Owner] | None:
        """Owners of the processes that are there; None where they cannot be found out."""
        if self._owner_of is None:
            return None
        pids = {*(reading.uses or ()), *(reading.memory or ())}
        found = {pid: owner for pid in pids if (owner := self._owner_of(pid)) is not None}
        if pids and not found:
            # NVML numbers processes in another pid namespace than /proc.
            self._count_error("pidns")
            return None
        if reading.uses and not found.keys() & reading.uses.keys():
            # Drivers number the processes that compute as the host does also where they translate
            # the pids of those that hold memory; `_Unsure` keeps that from making busy pods idle.
            self._count_error("pidns")
        return found

    def _finish(self, tick: _Tick, now: float) -> Usage:
        self._windows = {
            key: self._windows.get(key) or _Windows(self._seconds) for key in tick.uses
        }
        containers = {}
        for key, use in tick.uses.items():
            windows = self._windows[key]
            if use is not None:
                windows.add(use, now)
            unit, pod, container = key
            containers[key] = Part(
                unit, pod, container, windows.mean(now), tick.memory[key], key not in tick.illegal
            )
        return Usage(containers, tuple(tick.processes), tick.unattributed)


def _place(
    owner: Owner | None, sole: Holding | None, holders: list[Holding]
) -> tuple[Pod, str] | None:
    """The pod and container a process counts for."""
    if owner is not None and owner.pod is not None:
        mine = [holding for holding in holders if holding.pod == owner.pod]
        if len(mine) == 1:
            return owner.pod, mine[0].container
        return owner.pod, owner.container
    if sole is not None:
        return sole.pod, sole.container
    return None


class _Unsure:
    """Processes that may be any holder's: what their pods use is then not known in this tick."""

    def __init__(self) -> None:
        self._uses = self._memory = False

    def consider(
        self, owner: Owner | None, use: ProcessUse | None, memory: ProcessMemory | None
    ) -> None:
        """A process without a place; one of the host is certainly nobody's."""
        if owner is not None and not owner.is_nameless:
            return
        self._uses |= use != sums.ZERO
        # Memory of a process that is gone is about to be given back.
        self._memory |= owner is not None and memory is not None and memory.used != 0

    def blur(self, tick: _Tick, key: tuple[str, Pod, str]) -> None:
        """Takes away what is not known of a holder."""
        if self._uses:
            tick.uses[key] = None
        if self._memory:
            tick.memory[key] = None


class _Tick:
    """Sums of one tick."""

    def __init__(self, is_known: bool) -> None:
        self.uses: dict[tuple[str, Pod, str], ProcessUse | None] = {}
        self.memory: dict[tuple[str, Pod, str], int | None] = {}
        self.illegal: set[tuple[str, Pod, str]] = set()
        self.processes: list[Part] = []
        self.unattributed = 0
        self._is_known = is_known

    def add(self, process: Part, knows_memory: bool, holds_memory: bool) -> None:
        """Counts a process for its container; not while nobody knows who holds what."""
        key = (process.unit, process.pod, process.container)
        if not process.is_legal:
            if not self._is_known:
                return
            self.illegal.add(key)
        self.uses[key] = sums.add(self.uses.get(key, sums.ZERO), process.use)
        used = self.memory.setdefault(key, 0 if knows_memory else None)
        if holds_memory and used is not None:
            self.memory[key] = None if process.memory is None else used + process.memory
        self.processes.append(process)
