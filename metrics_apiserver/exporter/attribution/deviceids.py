"""Device IDs as device plugins advertise them, and the devices they stand for.

NVIDIA's plugin uses a UUID, with `::n` for the slots of a shared device. GKE's uses `nvidia0` and
`nvidia0/gi1`, with `/vgpu2` for slots. CDI names are read after their `=`. A bare number is an NVML
index.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from metrics_apiserver.exporter.model import Device

_GKE = re.compile(r"nvidia(\d{1,4})(?:/gi(\d{1,4}))?(?:/vgpu\d{1,6})?")
_GKE_SLOT = re.compile(r"/vgpu\d{1,6}$")
_LEGACY_MIG = re.compile(r"MIG-(GPU-[^/]+)/(\d{1,4})/(\d{1,4})")
_INDEX = re.compile(r"\d{1,4}")


def base_of(device_id: str) -> str:
    """The ID of the whole device, without the slot number."""
    name = device_id.rpartition("=")[2].partition("::")[0]
    return _GKE_SLOT.sub("", name) if name.startswith("nvidia") else name


def is_slot(device_id: str) -> bool:
    """Whether the ID is one of several that stand for the same device."""
    return base_of(device_id) != device_id.rpartition("=")[2]


class DeviceIndex:
    """Finds devices by the ID that a device plugin gave them.

    Args:
        devices: of the last round.
    """

    def __init__(self, devices: Iterable[Device]) -> None:
        self._by_uuid: dict[str, Device] = {device.uuid: device for device in devices}
        gpus = [device for device in self._by_uuid.values() if not device.parent]
        parts = [device for device in self._by_uuid.values() if device.parent]
        self._by_index: Mapping[int, Device] = {device.index: device for device in gpus}
        self._by_minor = {device.minor: device for device in gpus if device.minor is not None}
        self._by_gi = {(device.minor, device.gi): device for device in parts}
        self._by_place = {(device.parent, device.gi, device.ci): device for device in parts}

    def __contains__(self, uuid: str) -> bool:
        return uuid in self._by_uuid

    def find(self, device_id: str) -> Device | None:
        """The device of a base ID; None if it is not on this node or the format is unknown."""
        if (device := self._by_uuid.get(device_id)) is not None:
            return device
        if match := _LEGACY_MIG.fullmatch(device_id):
            return self._by_place.get((match[1], int(match[2]), int(match[3])))
        if match := _GKE.fullmatch(device_id):
            minor = int(match[1])
            if match[2] is not None:
                return self._by_gi.get((minor, int(match[2])))
            return self._by_minor.get(minor)
        if _INDEX.fullmatch(device_id):
            return self._by_index.get(int(device_id))
        return None
