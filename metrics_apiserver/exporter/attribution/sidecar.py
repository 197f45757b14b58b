"""GPUs of the pod the exporter runs in, found from inside the pod, without the kubelet.

The flag counts first; then NVIDIA_VISIBLE_DEVICES of the pod's other processes (with a shared pid
namespace) and of the exporter; then the device nodes in the container. `all` is ignored, because it
shows every GPU of the node. A GPU that cannot be found is not attributed, and only a device that
the pod does not share has values that are the pod's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from metrics_apiserver.exporter.attribution.deviceids import DeviceIndex, base_of, is_slot
from metrics_apiserver.exporter.model import DeviceAllocation, NodeAllocations, Pod

_VARIABLE = "NVIDIA_VISIBLE_DEVICES"
_IGNORED_VALUES = ("", "all", "none", "void")
_NODE = re.compile(r"nvidia(\d{1,4})")
_MAX_ENVIRON = 1 << 20


class Sidecar:
    """Discovers the GPUs of the pod.

    Args:
        pod: the one the exporter runs in.
        given: UUIDs from the flag.
        proc: /proc; with `shareProcessNamespace` it shows the processes of the pod.
        devices: directory of device nodes.
        environment: of the exporter.
    """

    def __init__(
        self,
        pod: Pod,
        given: Iterable[str],
        proc: Path,
        devices: Path = Path("/dev"),
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._pod = pod
        self._given = tuple(given)
        self._proc = proc
        self._devices = devices
        self._environment = environment
        self._names: tuple[str, ...] = self._given
        self._pids: frozenset[int] = frozenset()

    def refresh(self) -> None:
        """Reads processes and device nodes again."""
        self._pids = frozenset(self._list_pids())
        self._names = self._given or tuple(sorted(self._visible())) or tuple(self._nodes())

    def allocations(self, devices: DeviceIndex, foreign: frozenset[str]) -> NodeAllocations:
        """The devices of the pod; known as soon as one of them was found.

        A device that cannot be read now still counts: the sums of the pod are then unknown.

        Args:
            devices: of the last round.
            foreign: UUIDs of devices with processes of other pods.
        """
        found = {}
        is_any = False
        for name in self._names:
            device = devices.find(base_of(name))
            is_any |= device is not None
            uuid = device.uuid if device else base_of(name)
            is_shared = is_slot(name) or uuid in foreign
            share = None if is_shared else 1.0
            found[uuid] = DeviceAllocation(uuid, self._pod, "", share, is_shared)
        return NodeAllocations(tuple(found.values()) if is_any else (), is_any)

    def is_foreign(self, pids: Iterable[int]) -> bool:
        """Whether some processes of a device certainly belong to other pods.

        If none of the pids exists here, NVML uses another pid namespace and nothing follows.
        """
        seen = set(pids)
        return bool(seen & self._pids) and not seen <= self._pids

    def _list_pids(self) -> Iterator[int]:
        try:
            names = [path.name for path in self._proc.iterdir()]
        except OSError:
            return
        yield from (int(name) for name in names if name.isdecimal())

    def _visible(self) -> set[str]:
        found: set[str] = set()
        own = self._environment.get(_VARIABLE, "")
        for text in (*(self._environ(pid) for pid in self._pids), own):
            if text not in _IGNORED_VALUES and not text.startswith("/"):
                found |= {name.strip() for name in text.split(",") if name.strip()}
        return found

    def _environ(self, pid: int) -> str:
        try:
            with (self._proc / str(pid) / "environ").open("rb") as file:
                data = file.read(_MAX_ENVIRON)
        except OSError:
            return ""
        prefix = f"{_VARIABLE}=".encode()
        values = (one for one in data.split(b"\0") if one.startswith(prefix))
        return next(values, prefix)[len(prefix) :].decode(errors="replace")

    def _nodes(self) -> Iterator[str]:
        if self._environment.get(_VARIABLE) == "all":
            return
        try:
            names = sorted(path.name for path in self._devices.iterdir())
        except OSError:
            return
        yield from (name for name in names if _NODE.fullmatch(name))
