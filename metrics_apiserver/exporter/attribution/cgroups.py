"""From a line of /proc/<pid>/cgroup to the pod's UID and the container's id.

The shapes are those of the kubelet's cgroup managers (cgroupfs and systemd) with containerd,
CRI-O and cri-dockerd, nested ones, and the one of a misconfigured systemd driver. Static pods have
a UID of 32 digits without dashes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_POD = re.compile(
    r"(?:^|[/-])pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})"
    r"(?:\.slice)?(?:[/:]|$)"
)
_CONTAINER = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?:/|$)")


class ContainerCgroup(NamedTuple):
    """Where a process runs; the container is empty where the path does not say."""

    pod_uid: str
    container_id: str


def parse(text: str) -> ContainerCgroup | None:
    """The place of a process by its whole cgroup file; None outside of pods."""
    for line in text.splitlines():
        path = line.split(":", 2)[-1]
        pod = _POD.search(path)
        if pod is not None:
            container = _CONTAINER.search(path)
            return ContainerCgroup(pod[1].replace("_", "-"), container[1] if container else "")
    return None
