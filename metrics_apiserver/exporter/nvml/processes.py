"""Process lists of a GPU: which processes hold memory, and which computed recently.

pynvml's wrappers are not used: they fail on an idle GPU, give up if the list grows between the two
calls, and overrun their rows with the R535 drivers that write 32 bytes for each 24-byte
nvmlProcessInfo_t. Here the buffer is always large enough, and rows that are implausible with the
declared stride are read again with the other one.
"""

from __future__ import annotations

import ctypes
import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass

from metrics_apiserver.exporter.nvml.library import Code, Handle, Library, NVMLError

# pid, usedGpuMemory, gpuInstanceId, computeInstanceId of nvmlProcessInfo_t; pid, timeStamp, smUtil,
# memUtil, encUtil, decUtil of nvmlProcessUtilizationSample_t.
_PROCESS_INFO = struct.Struct("<I4xQII")
_PROCESS_UTILIZATION = struct.Struct("<I4xQIIII")
_STRIDE = 24
_STRIDE_R535 = 32
_MAX_PID = 1 << 22  # the kernel's PID_MAX_LIMIT
_MEMORY_UNKNOWN = (1 << 64) - 1
_NO_INSTANCE = 0xFFFFFFFF
_MAX_ROWS = 1 << 16
_SIZING_ROUNDS = 4

# NVML's process lists, by the letter that exporters show as the process type.
LISTS = {
    "C": "nvmlDeviceGetComputeRunningProcesses",
    "G": "nvmlDeviceGetGraphicsRunningProcesses",
    "M": "nvmlDeviceGetMPSComputeRunningProcesses",
}


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A process that holds memory of a GPU or MIG instance.

    Attributes:
        memory: bytes; None if the driver does not report it.
        gi, ci: IDs of the GPU instance and compute instance; None without MIG.
    """

    pid: int
    kind: str
    memory: int | None
    gi: int | None
    ci: int | None = None


@dataclass(frozen=True, slots=True)
class UtilizationSample:
    """One utilisation sample of a process, in percent; `time` is the driver's, in epoch µs."""

    pid: int
    time: int
    sm: int
    memory: int
    encoder: int
    decoder: int


def running(
    library: Library, handle: Handle, kind: str, alive: Callable[[int], bool] | None = None
) -> list[RunningProcess]:
    """The processes in one of NVML's lists.

    Args:
        library: initialised.
        handle: of a GPU or MIG device.
        kind: a key of `LISTS`.
        alive: whether a pid exists; None if the pid namespace is not that of the host.
    """
    last = NVMLError(LISTS[kind], Code.FUNCTION_NOT_FOUND)
    for suffix in ("_v3", "_v2"):
        try:
            data, count = _fetch(library, LISTS[kind] + suffix, handle)
        except NVMLError as error:
            if error.code not in (Code.FUNCTION_NOT_FOUND, Code.ARGUMENT_VERSION_MISMATCH):
                raise
            last = error
        else:
            return _decode(data, count, kind, alive)
    raise last


def _fetch(library: Library, symbol: str, handle: Handle) -> tuple[bytes, int]:
    count = ctypes.c_uint(0)
    code = library.raw(symbol, handle, ctypes.byref(count), None)
    for _ in range(_SIZING_ROUNDS):
        if code == Code.SUCCESS:
            return b"", 0
        if code != Code.INSUFFICIENT_SIZE or count.value > _MAX_ROWS:
            raise NVMLError(symbol, code)
        room = count.value * 2 + 5
        count.value = room
        buffer = ctypes.create_string_buffer(room * _STRIDE_R535)
        code = library.raw(symbol, handle, ctypes.byref(count), buffer)
        if code == Code.SUCCESS:
            return buffer.raw, min(count.value, room)
    raise NVMLError(symbol, code)


def _decode(
    data: bytes, count: int, kind: str, alive: Callable[[int], bool] | None
) -> list[RunningProcess]:
    rows = _rows(data, count, kind, _STRIDE)
    good = [row for row in rows if _is_plausible(row.pid, alive)]
    if len(good) == len(rows):
        return good
    wide = _rows(data, count, kind, _STRIDE_R535)
    other = [row for row in wide if _is_plausible(row.pid, alive)]
    if len(other) > len(good):
        return other
    # Rows with unknown pids stay, so that the caller sees that attribution is impossible.
    return rows if alive else good


def _rows(data: bytes, count: int, kind: str, stride: int) -> list[RunningProcess]:
    found = []
    for index in range(count):
        pid, memory, gi, ci = _PROCESS_INFO.unpack_from(data, index * stride)
        found.append(
            RunningProcess(
                pid,
                kind,
                None if memory == _MEMORY_UNKNOWN else memory,
                None if gi == _NO_INSTANCE else gi,
                None if ci == _NO_INSTANCE else ci,
            )
        )
    return found


def _is_plausible(pid: int, alive: Callable[[int], bool] | None) -> bool:
    return 0 < pid <= _MAX_PID and (alive is None or alive(pid))


def utilization(library: Library, handle: Handle, last_seen: int) -> list[UtilizationSample]:
    """One or more samples for each process that computed since `last_seen` (the driver's µs).

    An idle GPU gives none. Drivers ask for 100 rows, however many processes there are.

    Raises:
        NVMLError: NOT_SUPPORTED on MIG devices and many virtual GPUs.
    """
    symbol = "nvmlDeviceGetProcessUtilization"
    count, since = ctypes.c_uint(0), ctypes.c_ulonglong(last_seen)
    code = library.raw(symbol, handle, None, ctypes.byref(count), since)
    for _ in range(_SIZING_ROUNDS):
        if code in (Code.SUCCESS, Code.NOT_FOUND):
            return []
        if code != Code.INSUFFICIENT_SIZE or count.value > _MAX_ROWS:
            raise NVMLError(symbol, code)
        room = count.value + 16
        count.value = room
        buffer = ctypes.create_string_buffer(room * _PROCESS_UTILIZATION.size)
        code = library.raw(symbol, handle, buffer, ctypes.byref(count), since)
        if code == Code.SUCCESS:
            rows = _PROCESS_UTILIZATION.iter_unpack(buffer.raw)
            found = (
                UtilizationSample(*row) for row in itertools.islice(rows, min(count.value, room))
            )
            return [one for one in found if one.pid]
    raise NVMLError(symbol, code)
