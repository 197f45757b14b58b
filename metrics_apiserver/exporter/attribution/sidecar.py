"""Which GPUs are our own pod's, told from inside it, without the kubelet.

The operator's list counts first; then NVIDIA_VISIBLE_DEVICES of the pod's other processes (with a
shared pid namespace) and our own; then the device nodes we were given. `all` says nothing: it shows
every GPU of the node. What cannot be told is not attributed, and only a device of the pod's own has
numbers that are the pod's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from metrics_apiserver.exporter.attribution.deviceids import DeviceIndex, base_of, is_slot
from metrics_apiserver.exporter.model import DeviceAllocation, NodeAllocations, Pod

_VARIABLE = "NVIDIA_VISIBLE_DEVICES"
_SAYS_NOTHING = ("", "all", "none", "void")
_NODE = re.compile(r"nvidia(\d{1,4})")
_MAX_ENVIRON = 1 << 20


class Sidecar:
    """Looks around in the pod.

    Args:
        pod: our own.
        given: UUIDs by the operator.
        proc: our /proc; with `shareProcessNamespace` it shows the pod's processes.
        devices: the folder of device nodes.
        environment: our own.
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
        """Reads what processes and device nodes tell."""
        self._pids = frozenset(self._list_pids())
        self._names = self._given or tuple(sorted(self._visible())) or tuple(self._nodes())

    def allocations(self, devices: DeviceIndex, foreign: frozenset[str]) -> NodeAllocations:
        """What is our pod's; known as soon as one device could be told.

        One that cannot be read now still counts: the pod's sums are then not known.

        Args:
            devices: that there are.
            foreign: devices with processes of others.
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
        """Whether some of a device's processes are certainly not the pod's.

        When none of them is known here, NVML speaks of another pid namespace and nothing follows.
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
            if text not in _SAYS_NOTHING and not text.startswith("/"):
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
