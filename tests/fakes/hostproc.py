"""The parts of a node's file system that name the pod of a process."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path


def uid_of(pod: str) -> str:
    """A UID that only this pod has."""
    digest = hashlib.sha256(pod.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"


def container_id_of(pod: str, container: str) -> str:
    """A container id that only this container has."""
    return hashlib.sha256(f"{pod}/{container}".encode()).hexdigest()


class Host:
    """/proc, /var/log/pods and /var/log/containers under a directory."""

    def __init__(self, directory: Path) -> None:
        self.proc = directory / "proc"
        self.pods = directory / "pods"
        self.containers = directory / "containers"
        for one in (self.proc, self.pods, self.containers):
            one.mkdir(parents=True, exist_ok=True)

    def run(
        self,
        pid: int,
        pod: str | None = None,
        container: str = "server",
        *,
        namespace: str = "default",
        name: str = "python3",
        started: int = 1,
    ) -> None:
        """A process, in a container of a pod or on the host."""
        folder = self.proc / str(pid)
        folder.mkdir(exist_ok=True)
        (folder / "comm").write_text(f"{name}\n")
        fields = ["S", *["0"] * 18, str(started), *["0"] * 20]
        (folder / "stat").write_text(f"{pid} ({name} (odd) ) {' '.join(fields)}\n")
        path = "/system.slice/nvidia-persistenced.service"
        if pod is not None:
            uid, cid = uid_of(pod), container_id_of(pod, container)
            path = (
                f"/kubepods.slice/kubepods-pod{uid.replace('-', '_')}.slice"
                f"/cri-containerd-{cid}.scope"
            )
            self.log(pod, container, namespace=namespace)
        (folder / "cgroup").write_text(f"0::{path}\n")

    def log(self, pod: str, container: str = "server", *, namespace: str = "default") -> None:
        """The logs that the kubelet makes for a container."""
        (self.pods / f"{namespace}_{pod}_{uid_of(pod)}").mkdir(exist_ok=True)
        cid = container_id_of(pod, container)
        (self.containers / f"{pod}_{namespace}_{container}-{cid}.log").touch()

    def end(self, pid: int) -> None:
        """The process is gone."""
        shutil.rmtree(self.proc / str(pid))
