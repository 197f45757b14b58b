"""The GPUs that NVML lists at each initialisation; one that cannot be opened is listed, not raised.

A device is identified by its UUID, because indices can change across reboots. A GPU whose MIG mode
is about to change is not opened for a while, since every open handle blocks the change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from metrics_apiserver.exporter.device import Gpu
from metrics_apiserver.exporter.device_caller import NVMLContext
from metrics_apiserver.exporter.model import Device
from metrics_apiserver.exporter.nvml import instances
from metrics_apiserver.exporter.nvml.library import Code, Handle, Library, NVMLError

Condition = Literal["lost", "no_permission", "paused"]


@dataclass(slots=True)
class Inventory:
    """The GPUs of one initialisation.

    Attributes:
        count: according to NVML, including GPUs that could not be opened.
        gpus: by UUID.
        absent: index -> why the GPU is not in `gpus`.
        pci_addresses: GPUs that the kernel driver listed at that time.
    """

    count: int = 0
    gpus: dict[str, Gpu] = field(default_factory=dict)
    absent: dict[int, Condition] = field(default_factory=dict)
    pci_addresses: frozenset[str] = frozenset()

    def close(self) -> None:
        """Frees what was allocated for the GPUs."""
        for gpu in self.gpus.values():
            gpu.close()
        self.gpus.clear()


def enumerate_gpus(context: NVMLContext, now: float, is_paused: Callable[[int], bool]) -> Inventory:
    """Opens every GPU that can be opened.

    Args:
        context: of this initialisation.
        now: monotonic seconds.
        is_paused: index -> whether the GPU must not be opened now.

    Raises:
        NVMLError: an error that concerns the whole library.
    """
    library = context.library
    found = Inventory(int(library.call("nvmlDeviceGetCount")))
    found.pci_addresses = list_pci_addresses(context.settings.driver_proc)
    for index in range(found.count):
        if is_paused(index):
            found.absent[index] = "paused"
            continue
        try:
            gpu = _open(context, index, now)
        except NVMLError as error:
            found.absent[index] = _condition(error)
            context.capabilities.record_error(f"index {index}", error, now)
        else:
            found.gpus[gpu.device.uuid] = gpu
    return found


def _condition(error: NVMLError) -> Condition:
    if error.code in (Code.GPU_IS_LOST, Code.RESET_REQUIRED):
        return "lost"
    if error.code == Code.NO_PERMISSION:
        return "no_permission"
    if error.code in (Code.UNINITIALIZED, Code.LIB_RM_VERSION_MISMATCH):
        raise error
    return "lost"


def _open(context: NVMLContext, index: int, now: float) -> Gpu:
    library = context.library
    handle = library.call("nvmlDeviceGetHandleByIndex", index)
    device = Device(
        uuid=library.text("nvmlDeviceGetUUID", handle),
        index=index,
        name=_optional_text(library, handle),
        bus_id=_bus_id(library, handle),
        minor=_minor(library, handle),
    )
    mode = instances.mode(library, handle)
    found = instances.enumerate_instances(library, handle) if mode.current else None
    gpu = Gpu(context, device, handle, found, now)
    gpu.is_mig_pending = mode.pending != mode.current
    return gpu


def _optional_text(library: Library, handle: Handle) -> str:
    with contextlib.suppress(NVMLError):
        return library.text("nvmlDeviceGetName", handle)
    return ""


def _bus_id(library: Library, handle: Handle) -> str:
    with contextlib.suppress(NVMLError):
        return str(library.call("nvmlDeviceGetPciInfo", handle).busId)
    return ""


def _minor(library: Library, handle: Handle) -> int | None:
    with contextlib.suppress(NVMLError):
        return int(library.call("nvmlDeviceGetMinorNumber", handle))
    return None


def mig_changed(library: Library, gpu: Gpu) -> Literal["", "changed", "pending"]:
    """Whether the MIG mode or layout of the GPU changed since it was opened."""
    mode = instances.mode(library, gpu.handle)
    if mode.pending != mode.current:
        return "pending"
    if mode.current != gpu.is_mig:
        return "changed"
    if mode.current:
        found = instances.enumerate_instances(library, gpu.handle)
        if instances.layout(found) != gpu.layout:
            return "changed"
    return ""


def list_pci_addresses(directory: Path) -> frozenset[str]:
    """The GPUs the kernel driver has now; NVML lists those of its initialisation."""
    with contextlib.suppress(OSError):
        return frozenset(path.name for path in directory.iterdir())
    return frozenset()
