"""Pod UID and container ID from a line of /proc/<pid>/cgroup.

Covers the paths of the kubelet's cgroup drivers (cgroupfs and systemd) with containerd, CRI-O and
cri-dockerd, nested cgroups, and a misconfigured systemd driver. Static pods have a UID of 32 digits
without dashes.
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
    """Pod and container of a process; the container is empty if the path does not name it."""

    pod_uid: str
    container_id: str


def parse(text: str) -> ContainerCgroup | None:
    """The pod and container by the content of the cgroup file; None outside of pods."""
    for line in text.splitlines():
        path = line.split(":", 2)[-1]
        pod = _POD.search(path)
        if pod is not None:
            container = _CONTAINER.search(path)
            return ContainerCgroup(pod[1].replace("_", "-"), container[1] if container else "")
    return None
