"""What NVML says of this machine's GPUs, asked without the exporter."""

from __future__ import annotations

import pynvml


def uuid_of(index: int) -> str:
    """By NVML's index."""
    return str(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(index)))


def is_mig(index: int) -> bool:
    """Whether the GPU is in MIG mode."""
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(pynvml.nvmlDeviceGetHandleByIndex(index))
    except pynvml.NVMLError:
        return False
    return bool(current)
