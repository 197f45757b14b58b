"""The MIG instances of a GPU and their profiles.

They are identified by the MIG UUID, never by GPU and profile: one GPU can have a profile twice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import pynvml

from metrics_apiserver.exporter.nvml.library import Code, Handle, Library, NVMLError

_PROFILE_IN_NAME = re.compile(r"MIG (\S+)")


@dataclass(frozen=True, slots=True)
class MigMode:
    """Whether MIG is enabled, and whether it will be after the GPU's next reset."""

    current: bool
    pending: bool


@dataclass(frozen=True, slots=True)
class MigDevice:
    """One MIG device: the compute instance `ci` of the GPU instance `gi`."""

    handle: Handle
    uuid: str
    gi: int
    ci: int
    profile: str


def mode(library: Library, handle: Handle) -> MigMode:
    """Both False if the GPU or the driver does not support MIG."""
    try:
        current, pending = library.call("nvmlDeviceGetMigMode", handle)
    except NVMLError as error:
        if error.code in (Code.NOT_SUPPORTED, Code.FUNCTION_NOT_FOUND):
            return MigMode(current=False, pending=False)
        raise
    return MigMode(current=bool(current), pending=bool(pending))


def enumerate_instances(library: Library, handle: Handle) -> list[MigDevice]:
    """All MIG devices of a GPU; gaps in the indices are normal."""
    found = []
    for index in range(library.call("nvmlDeviceGetMaxMigDeviceCount", handle)):
        try:
            mig = library.call("nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
        except NVMLError as error:
            if error.code in (Code.NOT_FOUND, Code.INVALID_ARGUMENT):
                continue
            raise
        gi = library.call("nvmlDeviceGetGpuInstanceId", mig)
        ci = library.call("nvmlDeviceGetComputeInstanceId", mig)
        uuid = library.text("nvmlDeviceGetUUID", mig)
        found.append(MigDevice(mig, uuid, gi, ci, _profile(library, handle, mig, gi)))
    return found


def layout(found: Iterable[MigDevice]) -> frozenset[tuple[str, int, int, str]]:
    """What is compared to notice a change: a UUID can return with another placement or size."""
    return frozenset((one.uuid, one.gi, one.ci, one.profile) for one in found)


def _profile(library: Library, handle: Handle, mig: Handle, gi: int) -> str:
    """Such as `1g.5gb`: from the driver's profile list, else the device name, else the size."""
    for source in (_profile_by_id, _profile_by_name, _profile_by_size):
        try:
            if profile := source(library, handle, mig, gi):
                return profile
        except NVMLError:
            continue
    return ""


def _profile_by_id(library: Library, handle: Handle, mig: Handle, gi: int) -> str:
    # An instance has the driver's profile ID; the call takes NVML's own profile numbers.
    del mig
    instance = library.call("nvmlDeviceGetGpuInstanceById", handle, gi)
    wanted = library.call("nvmlGpuInstanceGetInfo", instance).profileId
    for profile in range(pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        try:
            info = library.call("nvmlDeviceGetGpuInstanceProfileInfo", handle, profile, 2)
        except NVMLError as error:
            if error.code in (Code.NOT_SUPPORTED, Code.INVALID_ARGUMENT):
                continue  # not a profile of this GPU
            raise
        if info.id == wanted:
            return str(info.name).removeprefix("MIG ")
    return ""


def _profile_by_name(library: Library, handle: Handle, mig: Handle, gi: int) -> str:
    del handle, gi
    match = _PROFILE_IN_NAME.search(library.text("nvmlDeviceGetName", mig))
    return match[1] if match else ""


def _profile_by_size(library: Library, handle: Handle, mig: Handle, gi: int) -> str:
    del handle, gi
    found = library.call("nvmlDeviceGetAttributes_v2", mig)
    return f"{found.gpuInstanceSliceCount}g.{math.ceil(found.memorySizeMB / 1024)}gb"
