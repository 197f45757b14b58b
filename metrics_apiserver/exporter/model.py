"""The nouns of the exporter: devices that pods hold, what was read of them, and who holds them.

A device is a whole GPU or one MIG instance, and its UUID is its identity: indices reorder. Values
are keyed by the words of `probes`; a key that is absent is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or a MIG instance.

    Attributes:
        index: NVML's index of the GPU, also of an instance's.
        minor: the number in /dev/nvidia<minor>.
        parent: UUID of an instance's GPU; empty for a GPU.
        gi, ci: numbers of the GPU and compute instance.
        profile: as `1g.10gb`.
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
    """Percent of a GPU that one process used since the round before."""

    sm: float
    memory: float
    encoder: float
    decoder: float


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Memory that a process holds.

    Attributes:
        kinds: letters of the lists it is in: C, G, M.
        used: bytes; None where the driver does not say.
    """

    kinds: str
    used: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one round knows of a device.

    Attributes:
        values: by key; see `probes`.
        uses: by pid; None where not known, for one process or all; empty on an idle device.
        memory: by pid; likewise.
        is_split: MIG is on, so that its instances are what pods hold.
    """

    device: Device
    values: Mapping[str, float]
    uses: Mapping[int, ProcessUtilization | None] | None = None
    memory: Mapping[int, ProcessMemory] | None = None
    is_split: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Pod:
    """A pod by name, as the kubelet tells it."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class DeviceAllocation:
    """A container that was given a device, or some of the slots a device is shared out in.

    Attributes:
        share: slots held / slots advertised, 1 for a whole device; None where it is not known.
        is_shared: others may be on the device too.
    """

    device: str
    pod: Pod
    container: str
    share: float | None = 1.0
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class NodeAllocations:
    """Who holds what on this node.

    Attributes:
        is_known: False while nobody could be asked; allocations are empty then.
    """

    devices: tuple[DeviceAllocation, ...] = ()
    is_known: bool = False


Mode = Literal["none", "exclusive", "share"]


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What is told of a GPU beside its values.

    Attributes:
        capabilities: feature -> whether this GPU and driver have it.
        xids: XID -> how many since the start; None where the GPU reports no events.
        last_xid_at: epoch seconds.
        recent_xids, recent_reasons: how many of each in the last minutes.
    """

    uuid: str
    is_lost: bool = False
    is_mig: bool = False
    capabilities: Mapping[str, bool] = field(default_factory=dict)
    xids: Mapping[int, int] | None = None
    last_xid_at: float | None = None
    recent_xids: Mapping[int, int] = field(default_factory=dict)
    recent_reasons: Mapping[str, int] = field(default_factory=dict)
