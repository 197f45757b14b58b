"""Names of pods by UID and of containers by ID, from the kubelet's log directories.

/var/log/pods/<namespace>_<name>_<uid> and /var/log/containers/<pod>_<ns>_<container>-<id>.log exist
on every node and need no permission at the API server. A container name that was truncated at 255
bytes is unknown; its pod is still known.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

from metrics_apiserver.exporter.model import Pod

_LOG = re.compile(r"[^_]+_[^_]+_(.+)-([0-9a-f]{64})\.log")
_REFRESH_SECONDS = 2.0
_MAX_ENTRIES = 100_000


class PodLogs:
    """Reads the directories again when a name is unknown, at most every two seconds.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, pods: Path, containers: Path, clock: Callable[[], float]) -> None:
        self._where = (pods, containers)
        self._clock = clock
        self._read_at = float("-inf")
        self._pods: dict[str, Pod] = {}
        self._containers: dict[str, str] = {}

    def pod(self, uid: str) -> Pod | None:
        """The pod with this UID; for a static pod it is the UID that its cgroup has."""
        if uid not in self._pods:
            self._refresh()
        return self._pods.get(uid)

    def container(self, container_id: str) -> str:
        """The name of a container, or an empty string."""
        if container_id and container_id not in self._containers:
            self._refresh()
        return self._containers.get(container_id, "")

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._read_at < _REFRESH_SECONDS:
            return
        self._read_at = now
        pods, containers = self._where
        self._pods = {}
        for name in _list(pods):
            # Neither namespaces nor pod names can contain an underscore.
            parts = name.split("_")
            if len(parts) == 3:
                self._pods[parts[2]] = Pod(parts[0], parts[1])
        found = (_LOG.fullmatch(name) for name in _list(containers))
        self._containers = {match[2]: match[1] for match in found if match}


def _list(directory: Path) -> list[str]:
    try:
        return [path.name for path in itertools.islice(directory.iterdir(), _MAX_ENTRIES)]
    except OSError:
        return []
