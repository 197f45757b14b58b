"""Calls into libnvidia-ml.so.1 through pynvml; each is reported to the watchdog before it is made.

Every error becomes an `NVMLError` with NVML's return code: pynvml's mismatch error is not an
NVMLError of pynvml, its errors cannot be hashed or compared with None, and text that is not UTF-8
raises. Functions that an older pynvml or driver lacks fail as FUNCTION_NOT_FOUND. Nothing here is
thread-safe; the sampling thread owns it (events.py uses an object of its own).
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import pynvml

Handle = Any  # an opaque ctypes pointer of NVML

_TEXT_BYTES = 96  # NVML_DEVICE_UUID_V2_BUFFER_SIZE and NVML_DEVICE_NAME_V2_BUFFER_SIZE
_SYSTEM_TEXT_BYTES = 80


class Code(IntEnum):
    """NVML return codes that the exporter distinguishes."""

    SUCCESS = 0
    UNINITIALIZED = 1
    INVALID_ARGUMENT = 2
    NOT_SUPPORTED = 3
    NO_PERMISSION = 4
    NOT_FOUND = 6
    INSUFFICIENT_SIZE = 7
    DRIVER_NOT_LOADED = 9
    TIMEOUT = 10
    LIBRARY_NOT_FOUND = 12
    FUNCTION_NOT_FOUND = 13
    CORRUPTED_INFOROM = 14
    GPU_IS_LOST = 15
    RESET_REQUIRED = 16
    OPERATING_SYSTEM = 17
    LIB_RM_VERSION_MISMATCH = 18
    ARGUMENT_VERSION_MISMATCH = 25
    UNKNOWN = 999


class NVMLError(Exception):
    """An NVML call failed.

    Attributes:
        call: the C function.
        code: NVML's return code, which need not be in `Code`.
    """

    def __init__(self, call: str, code: int) -> None:
        name = Code(code).name if code in Code.__members__.values() else f"code {code}"
        super().__init__(f"{call}: {name}")
        self.call = call
        self.code = code


def _no_beat(call: str, /) -> None:
    del call


@dataclass(frozen=True, slots=True)
class MemoryInfo:
    """Bytes. `used` includes reserved memory in version 1 of the API, and not in version 2."""

    total: int
    used: int
    free: int
    reserved: int | None = None


@dataclass(frozen=True, slots=True)
class DriverVersions:
    """Versions for `build_info`; empty if NVML does not report them."""

    driver: str = ""
    nvml: str = ""
    cuda: str = ""


class Library:
    """The loaded library.

    Args:
        beat: called with the name of each call just before it is made.
        path: library file to load instead of the one that the dynamic linker finds.
    """

    def __init__(self, beat: Callable[[str], None] = _no_beat, path: str | None = None) -> None:
        self._beat = beat
        self._path = path
        self._without_memory_v2 = False

    def init(self) -> None:
        """Loads and initialises NVML; may be retried after an error."""
        if self._path is not None and pynvml.nvmlLib is None:
            try:
                pynvml.nvmlLib = ctypes.CDLL(self._path)
            except OSError:
                raise NVMLError("nvmlInitWithFlags", Code.LIBRARY_NOT_FOUND) from None
        self.call("nvmlInitWithFlags", 0)
        self._without_memory_v2 = False

    def shutdown(self) -> None:
        """Releases all handles; the library stays loaded."""
        self.call("nvmlShutdown")

    def call(self, name: str, *arguments: Any) -> Any:
        """Calls one function of pynvml.

        Raises:
            NVMLError: for any error.
        """
        self._beat(name)
        function: Callable[..., Any] | None = getattr(pynvml, name, None)
        if function is None:
            raise NVMLError(name, Code.FUNCTION_NOT_FOUND)
        try:
            return function(*arguments)
        except pynvml.NVMLError as error:
            raise NVMLError(name, int(error.value)) from None
        except pynvml.NVMLLibraryMismatchError:
            raise NVMLError(name, Code.FUNCTION_NOT_FOUND) from None
        except UnicodeDecodeError:
            raise NVMLError(name, Code.UNKNOWN) from None

    def raw(self, symbol: str, *arguments: Any) -> int:
        """Calls one C function and returns its return code."""
        self._beat(symbol)
        try:
            function = getattr(pynvml.nvmlLib, symbol)
        except AttributeError:
            return Code.FUNCTION_NOT_FOUND
        return int(function(*arguments))

    def check(self, symbol: str, *arguments: Any) -> None:
        """Calls one C function.

        Raises:
            NVMLError: if it fails.
        """
        code = self.raw(symbol, *arguments)
        if code != Code.SUCCESS:
            raise NVMLError(symbol, code)

    def text(self, symbol: str, handle: Handle, size: int = _TEXT_BYTES) -> str:
        """A string of a device; bytes that are not UTF-8 are replaced."""
        buffer = ctypes.create_string_buffer(size)
        self.check(symbol, handle, buffer, ctypes.c_uint(size))
        return buffer.value.decode(errors="replace")

    def versions(self) -> DriverVersions:
        """Driver, NVML and CUDA versions."""
        cuda = ctypes.c_int()
        code = self.raw("nvmlSystemGetCudaDriverVersion_v2", ctypes.byref(cuda))
        number = cuda.value if code == Code.SUCCESS else 0
        return DriverVersions(
            self._system_text("nvmlSystemGetDriverVersion"),
            self._system_text("nvmlSystemGetNVMLVersion"),
            f"{number // 1000}.{number % 1000 // 10}" if number else "",
        )

    def _system_text(self, symbol: str) -> str:
        buffer = ctypes.create_string_buffer(_SYSTEM_TEXT_BYTES)
        code = self.raw(symbol, buffer, ctypes.c_uint(_SYSTEM_TEXT_BYTES))
        return buffer.value.decode(errors="replace") if code == Code.SUCCESS else ""

    def memory(self, handle: Handle) -> MemoryInfo:
        """By version 2 of the API if the driver supports it, else by version 1."""
        if not self._without_memory_v2:
            try:
                found = self.call("nvmlDeviceGetMemoryInfo", handle, pynvml.nvmlMemory_v2)
            except NVMLError as error:
                unknown = (Code.FUNCTION_NOT_FOUND, Code.ARGUMENT_VERSION_MISMATCH)
                if error.code not in unknown:
                    raise
                self._without_memory_v2 = True
            else:
                return MemoryInfo(found.total, found.used, found.free, found.reserved)
        return self.memory_v1(handle)

    def memory_v1(self, handle: Handle) -> MemoryInfo:
        """By version 1 of the API, whose `used` is what older exporters show."""
        found = self.call("nvmlDeviceGetMemoryInfo", handle)
        return MemoryInfo(found.total, found.used, found.free)

    def field_values(self, handle: Handle, ids: Sequence[int]) -> dict[int, float | NVMLError]:
        """Many fields with one call; each has a value or an error of its own."""
        name = "nvmlDeviceGetFieldValues"
        found = self.call(name, handle, [(field, _SCOPES.get(field, 0)) for field in ids])
        result: dict[int, float | NVMLError] = {}
        for field, value_type, code, value in _FIELD_VALUE.iter_unpack(found):
            if code:
                result[field] = NVMLError(f"{name}.{field}", code)
            else:
                result[field] = _number(value, _TYPES.get(field, value_type))
        return result


# fieldId, valueType, nvmlReturn and the union of nvmlFieldValue_t.
_FIELD_VALUE = struct.Struct("<I20xII8s")
# NVLink counters: all links. For power fields, scope 0 is the GPU.
_SCOPES = {138: 0xFFFFFFFF, 139: 0xFFFFFFFF}
# R545 reports a wrong type for the memory temperature, which is an unsigned int.
_TYPES = {82: 1}
# double, unsigned int, unsigned long, unsigned long long, signed long long, signed int
_UNION = [struct.Struct(f"<{form}") for form in ("d", "I4x", "Q", "Q", "q", "i4x")]


def _number(union: bytes, value_type: int) -> float:
    """The member of an nvmlValue_t that its type names."""
    member = _UNION[value_type] if value_type < len(_UNION) else _UNION[3]
    value: float = member.unpack(union)[0]
    return value
