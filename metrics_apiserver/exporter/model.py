"""Data model of the exporter: devices, what was read from them, and the pods they are allocated to.

A device is a whole GPU or one MIG instance. It is identified by its UUID, because indices can
change. Values are keyed by the names in `probes`; a key that is absent is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU or a MIG instance.

    Attributes:
        index: NVML's index of the GPU; for an instance, that of its GPU.
        minor: the number in /dev/nvidia<minor>.
        parent: UUID of the GPU that a MIG instance is on; empty for a GPU.
        gi, ci: IDs of the GPU instance and compute instance.
        profile: MIG profile, such as `1g.10gb`.
    """

    uuid: str
    index: int
    name: str
    bus_id: str
    minor: int | None = None
    parent: str = ""
    gi: int | None = None
    ci: int | None = None
    profile: str = ""


@dataclass(frozen=True, slots=True)
class ProcessUtilization:
    """Percent of a GPU that one process used since the previous sampling round."""

    sm: float
    memory: float
    encoder: float
    decoder: float


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """GPU memory that one process uses.

    Attributes:
        kinds: letters of NVML's process lists that it is in: C, G, M.
        used: bytes; None if the driver does not report it.
    """

    kinds: str
    used: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one sampling round read from a device.

    Attributes:
        values: by key; see `probes`.
        uses: utilisation by pid; None if unknown, for one process or for all; empty on an idle
            device.
        memory: by pid; None if unknown.
        is_split: MIG is enabled, so pods use the instances and not the GPU itself.
    """

    device: Device
    values: Mapping[str, float]
    uses: Mapping[int, ProcessUtilization | None] | None = None
    memory: Mapping[int, ProcessMemory] | None = None
    is_split: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Pod:
    """A pod by namespace and name."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class DeviceAllocation:
    """A device that is allocated to a container, wholly or by some of its shared slots.

    Attributes:
        share: allocated slots / advertised slots; 1 for a whole device; None if unknown.
        is_shared: other containers may use the device too.
    """

    device: str
    pod: Pod
    container: str
    share: float | None = 1.0
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class NodeAllocations:
    """All devices of this node that are allocated to pods.

    Attributes:
        devices: one entry for each device and container.
        is_known: False while there is no source to ask; `devices` is empty then.
    """

    devices: tuple[DeviceAllocation, ...] = ()
    is_known: bool = False


@dataclass(frozen=True, slots=True)
class ProcessOwner:
    """The pod and container a process runs in.

    Attributes:
        pod: None for a process of the host.
        container: empty if unknown.
        name: of the process.
        is_nameless: it runs in a pod whose name is unknown.
    """

    pod: Pod | None
    container: str = ""
    name: str = ""
    is_nameless: bool = False


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """What one container or process used of a device; None if unknown.

    Attributes:
        use: percent of the device; over the window, or for a process over the last round.
        memory: bytes.
        is_legal: the device is allocated to the pod.
        pid, kinds, name: of a process; 0 and empty for a container.
    """

    device: str
    pod: Pod
    container: str
    use: ProcessUtilization | None
    memory: int | None
    is_legal: bool = True
    pid: int = 0
    kinds: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """The usage of all devices in one round.

    Attributes:
        containers: by (device, pod, container), including pods without an allocation.
        processes: one record each.
        unattributed: number of processes that belong to no known pod.
    """

    containers: Mapping[tuple[str, Pod, str], UsageRecord] = field(default_factory=dict)
    processes: tuple[UsageRecord, ...] = ()
    unattributed: int = 0


Mode = Literal["none", "exclusive", "share"]


@dataclass(frozen=True, slots=True)
class DeviceState:
    """State and events of a GPU, beside its values.

    Attributes:
        capabilities: feature -> whether this GPU and driver support it.
        xids: XID -> count since the exporter started; None if the GPU reports no events.
        last_xid_at: epoch seconds.
        recent_xids, recent_reasons: counts over the last minutes.
    """

    uuid: str
    is_lost: bool = False
    is_mig: bool = False
    capabilities: Mapping[str, bool] = field(default_factory=dict)
    xids: Mapping[int, int] | None = None
    last_xid_at: float | None = None
    recent_xids: Mapping[int, int] = field(default_factory=dict)
    recent_reasons: Mapping[str, int] = field(default_factory=dict)
