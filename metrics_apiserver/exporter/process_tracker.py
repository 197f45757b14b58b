"""Processes of one GPU across sampling rounds: what each used, and the memory each holds.

The driver reports a process only if it computed since the previous call, so an empty list mostly
means an idle GPU. But a round can be shorter than the period of the driver, and drivers can hide
the processes of other pid namespaces. What is unknown then stays None and never becomes zero.
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

InstanceIds = tuple[int | None, int | None]  # IDs of GPU and compute instance; None without MIG

_EMPTY_ROUNDS = 2
_GAP_BYTES = 1 << 30  # more than a driver reserves
_CALL = "nvmlDeviceGetProcessUtilization"


class ProcessTracker:
    """The processes of one GPU.

    Attributes:
        uses: utilisation by pid in the last round; None if unknown, also for single processes.
        memory: by pid, with the MIG instance that the process is on.
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
        """Reads what each process used since the previous call.

        Args:
            is_busy: the utilisation of the GPU is not zero.
        """
        since = self._seen or 0
        found = self._fetch(since)
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
            # Busy for longer without a process: it ended, or it is hidden from us.
            if not is_busy or (
                self._reports_no_process(since) and self._empty_rounds >= _EMPTY_ROUNDS
            ):
                self.uses = {}

    def _fetch(self, since: int) -> list[UtilizationSample] | None:
        fetch = partial(processes.utilization, self._caller.library, self._handle, since)
        return self._caller.attempt(_CALL, fetch)

    def _reports_no_process(self, since: int) -> bool:
        """Whether the driver, which reported processes before, reports none at all now.

        After its clock was set back, the driver reports samples that are older than those seen
        before: reading then continues from those, instead of waiting for the clock to catch up.
        """
        if not self._saw_any:
            return False
        kept = self._fetch(0)
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
        """Reads the memory of each process; a process in several lists counts once.

        To a reader in another pid namespace drivers show only the processes of that namespace, so
        lists that miss much of the used memory are discarded. Without the list of compute
        processes, or if a list fails that this driver supports, nothing is known: an incomplete sum
        would look complete.

        Args:
            used: bytes in use according to the GPU.
        """
        caller = self._caller
        found: dict[int, tuple[InstanceIds, ProcessMemory]] = {}
        for kind, call in processes.LISTS.items():
            fetch = partial(processes.running, caller.library, self._handle, kind)
            rows = caller.attempt(call, partial(fetch, caller.context.alive))
            if rows is None and (kind == "C" or caller.allows(call)):
                self.memory = None
                return
            for row in rows or ():
                before = found[row.pid][1] if row.pid in found else ProcessMemory("", None)
                held = before.used if row.memory is None else row.memory
                found[row.pid] = ((row.gi, row.ci), ProcessMemory(before.kinds + row.kind, held))
        amounts = [one.used for _, one in found.values()]
        known = sum(one for one in amounts if one is not None)
        gap = (used or 0) - known
        is_partial = None not in amounts and gap > max(_GAP_BYTES, known)
        self.memory = None if is_partial else found

    def forget_memory(self) -> None:
        """Discards what was read, because the device was reallocated."""
        self.memory = None


def _mean(uses: list[UtilizationSample]) -> ProcessUtilization | None:
    """The mean of the samples of one process; None without a valid one."""
    count = len(uses)
    if not count:
        return None
    return ProcessUtilization(
        sum(one.sm for one in uses) / count,
        sum(one.memory for one in uses) / count,
        sum(one.encoder for one in uses) / count,
        sum(one.decoder for one in uses) / count,
    )
