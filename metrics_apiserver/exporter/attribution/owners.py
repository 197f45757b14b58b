"""The pod and container a pid runs in, found through the host's /proc.

Results are cached for a minute by pid and start time, so that a reused pid is not mistaken for the
previous process. Reading /proc/<pid>/cgroup needs no permission other than the host's pid
namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from metrics_apiserver.base.caching import TTLCache
from metrics_apiserver.exporter.attribution import cgroups
from metrics_apiserver.exporter.attribution.podlogs import PodLogs
from metrics_apiserver.exporter.model import ProcessOwner

_KEEP_SECONDS = 60.0
_RETRY_SECONDS = 2.0  # while the name of the pod or container is unknown
_MAX_KNOWN = 4096
_MAX_BYTES = 64 << 10
_START_TIME = 19  # index among the fields after the command, which may contain anything


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
        # Owner and start time by pid.
        self._known = TTLCache[int, tuple[ProcessOwner, str]](_MAX_KNOWN, clock)

    def is_alive(self, pid: int) -> bool:
        """Whether the pid exists."""
        return (self._proc / str(pid)).is_dir()

    def find(self, pid: int) -> ProcessOwner | None:
        """The owner of a process; the cached one if it just ended, else None."""
        known = self._known.get(pid)
        started = self._started(pid)
        if known is not None and started in ("", known[1]):
            return known[0]
        if not started:
            self._known.discard(pid)
            return None
        owner = self._read(pid)
        is_complete = owner.pod is not None and owner.container
        self._known.put(pid, (owner, started), _KEEP_SECONDS if is_complete else _RETRY_SECONDS)
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
