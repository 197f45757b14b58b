"""Processes of one GPU from round to round: what each used, and the memory each holds.

The driver tells of a process only when it computed since the last look, so an empty answer mostly
means an idle GPU; but a round can be shorter than the driver's period, and drivers can hide the
processes of other pid namespaces. What is then not known stays None, which is no zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import partial

from metrics_apiserver.exporter.device_caller import DeviceCaller
from metrics_apiserver.exporter.model import ProcessMemory, ProcessUtilization
from metrics_apiserver.exporter.nvml import processes
from metrics_apiserver.exporter.nvml.library import Handle
from metrics_apiserver.exporter.nvml.processes import UtilizationSample

InstanceIds = tuple[int | None, int | None]  # numbers of GPU and compute instance; None without MIG

_EMPTY_ROUNDS = 2
_GAP_BYTES = 1 << 30  # more than a driver keeps for itself
_CALL = "nvmlDeviceGetProcessUtilization"


class ProcessTracker:
    """The state of one GPU.

    Attributes:
        uses: by pid, of the last round; None where it is not known, also of single ones.
        memory: by pid, with the MIG instance it is on.
    """

    def __init__(self, caller: DeviceCaller, handle: Handle) -> None:
        self.uses: dict[int, ProcessUtilization | None] | None = None
        self.memory: dict[int, tuple[InstanceIds, ProcessMemory]] | None = None
        self._caller = caller
        self._handle = handle
        self._seen: int | None = None
        self._empty_rounds = 0
        self._saw_any = False

    def read_uses(self, is_busy: bool) -> None:
        """What each process used since the call before.

        Args:
            is_busy: the GPU's own utilisation is not zero.
        """
        since = self._seen or 0
        found = self._ask(since)
        self.uses = None
        if found is None:
            return
        is_first = self._seen is None
        self._seen = max((one.time for one in found), default=since)
        if found and not is_first:
            self._saw_any = True
            self._empty_rounds = 0
            self.uses = self._average(found)
        elif not found:
            self._empty_rounds += 1
            # Busy without a process for longer: either it ended or the driver hides it from us.
            if not is_busy or (self._says_nothing(since) and self._empty_rounds >= _EMPTY_ROUNDS):
                self.uses = {}

    def _ask(self, since: int) -> list[UtilizationSample] | None:
        question = partial(processes.utilization, self._caller.library, self._handle, since)
        return self._caller.attempt(_CALL, question)

    def _says_nothing(self, since: int) -> bool:
        """Whether the driver, which told of processes before, knows of none at all now.

        Of some that are not newer than what was seen it tells also when its clock was set back:
        then it goes on from there, instead of waiting for the time before to come again.
        """
        if not self._saw_any:
            return False
        kept = self._ask(0)
        if kept:
            self._seen = min(since, max(one.time for one in kept))
        return kept == []

    def _average(self, found: Iterable[UtilizationSample]) -> dict[int, ProcessUtilization | None]:
        by_pid: dict[int, list[UtilizationSample]] = defaultdict(list)
        for one in found:
            kept = by_pid[one.pid]
            if max(one.sm, one.memory, one.encoder, one.decoder) > 100:
                self._caller.count_dropped("process_utilization")
            else:
                kept.append(one)
        return {pid: _mean(uses) for pid, uses in by_pid.items()}

    def read_memory(self, used: float | None) -> None:
        """Who holds how much; a process in several lists is counted once.

        Drivers show a reader in a pid namespace of its own only the processes there. Lists that
        miss much of what the GPU says is used are therefore not believed.

        Without the list of computing processes, or when a list fails that this driver has,
        nothing is known: a sum that lacks some would look like one that is whole.

        Args:
            used: bytes by the GPU's own count.
        """
        caller = self._caller
        found: dict[int, tuple[InstanceIds, ProcessMemory]] = {}
        for kind, call in processes.LISTS.items():
            question = partial(processes.running, caller.library, self._handle, kind)
            rows = caller.attempt(call, partial(question, caller.context.alive))
            if rows is None and (kind == "C" or caller.allows(call)):
                self.memory = None
                return
            for row in rows or ():
                before = found[row.pid][1] if row.pid in found else ProcessMemory("", None)
                held = before.used if row.memory is None else row.memory
                found[row.pid] = ((row.gi, row.ci), ProcessMemory(before.kinds + row.kind, held))
        told = [one.used for _, one in found.values()]
        known = sum(one for one in told if one is not None)
        gap = (used or 0) - known
        is_partial = None not in told and gap > max(_GAP_BYTES, known)
        self.memory = None if is_partial else found

    def forget_memory(self) -> None:
        """What was read is another holder's."""
        self.memory = None


def _mean(uses: list[UtilizationSample]) -> ProcessUtilization | None:
    """Of the samples of one process; None when not one of them can be true."""
    count = len(uses)
    if not count:
        return None
    return ProcessUtilization(
        sum(one.sm for one in uses) / count,
        sum(one.memory for one in uses) / count,
        sum(one.encoder for one in uses) / count,
        sum(one.decoder for one in uses) / count,
    )
