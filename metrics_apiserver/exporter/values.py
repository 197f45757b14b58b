"""The values of one device by key: invalid values are dropped and counted, never clamped.

Drivers return values such as 4294967295 % or 9.2e18 for what they do not know.
"""

from __future__ import annotations

from collections.abc import Callable

from metrics_apiserver.exporter import probes
from metrics_apiserver.exporter.nvml.library import MemoryInfo

_ANY = (0.0, float("inf"))


class Values(dict[str, float]):
    """Key -> value, for known values only.

    Args:
        drop: called with the key of each invalid value.
    """

    def __init__(self, drop: Callable[[str], None]) -> None:
        super().__init__()
        self._drop = drop

    def keep(self, key: str, value: float | None) -> None:
        """Stores a value; None or a value out of range removes the previous one."""
        if value is not None:
            low, high = probes.RANGES.get(key, _ANY)
            if low <= value <= high:
                self[key] = value
                return
            self._drop(key)
        self.pop(key, None)

    def keep_memory(self, found: MemoryInfo | None, first: MemoryInfo | None) -> None:
        """Memory by the newest API version of the driver, and `memory_used_v1` by the first."""
        self.keep("memory_used_v1", first.used if first else None)
        self.keep("memory_total", found.total if found else None)
        self.keep("memory_used", found.used if found else None)
        self.keep("memory_free", found.free if found else None)
        self.keep("memory_reserved", found.reserved if found else None)
        usable = found.total - (found.reserved or 0) if found else 0
        self.keep("memory_used_share", found.used / usable if found and usable > 0 else None)
