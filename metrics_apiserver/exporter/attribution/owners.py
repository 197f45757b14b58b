"""The pod and container a pid runs in, found through the host's /proc.

Results are cached for a minute by pid and start time, so that a reused pid is not mistaken for the
previous process. Reading /proc/<pid>/cgroup needs no permission other than the host's pid
namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metrics_apiserver.exporter.attribution import cgroups
from metrics_apiserver.exporter.attribution.podlogs import PodLogs
from metrics_apiserver.exporter.usage import ProcessOwner

_KEEP_SECONDS = 60.0
_MAX_BYTES = 64 << 10
_START_TIME = 19  # index among the fields after the command, which may contain anything


@dataclass(frozen=True, slots=True)
class _Known:
    owner: ProcessOwner
    started: str
    until: float


class ProcessOwners:
    """Finds the owners of processes.

    Args:
        proc: the host's /proc.
        names: names of pods and containers.
        clock: monotonic seconds.
    """

    def __init__(self, proc: Path, names: PodLogs, clock: Callable[[], float]) -> None:
        self._proc = proc
        self._names = names
        self._clock = clock
        self._known: dict[int, _Known] = {}

    def is_alive(self, pid: int) -> bool:
        """Whether the pid exists."""
        return (self._proc / str(pid)).is_dir()

    def find(self, pid: int) -> ProcessOwner | None:
        """The owner of a process; the cached one if it just ended, else None."""
        now = self._clock()
        known = self._known.get(pid)
        started = self._started(pid)
        if known is not None and now < known.until and started in ("", known.started):
            return known.owner
        if not started:
            self._known.pop(pid, None)
            return None
        owner = self._read(pid)
        if len(self._known) > 4096:
            self._known = {p: k for p, k in self._known.items() if k.until > now}
        keep = _KEEP_SECONDS if owner.pod is not None and owner.container else 2.0
        self._known[pid] = _Known(owner, started, now + keep)
        return owner

    def _read(self, pid: int) -> ProcessOwner:
        name = self._text(pid, "comm").strip()
        place = cgroups.parse(self._text(pid, "cgroup"))
        if place is None:
            return ProcessOwner(None, "", name)
        pod = self._names.pod(place.pod_uid)
        if pod is None:
            return ProcessOwner(None, "", name, is_nameless=True)
        return ProcessOwner(pod, self._names.container(place.container_id), name)

    def _started(self, pid: int) -> str:
        after = self._text(pid, "stat").rpartition(")")[2].split()
        return after[_START_TIME] if len(after) > _START_TIME else ""

    def _text(self, pid: int, name: str) -> str:
        try:
            with (self._proc / str(pid) / name).open("rb") as file:
                return file.read(_MAX_BYTES).decode(errors="replace")
        except OSError:
            return ""
