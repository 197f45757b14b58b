"""The values of one device by key: what is nonsense is left out and counted, never clamped.

Drivers say 4294967295 % or 9.2e18 when they know nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from metrics_apiserver.exporter import probes
from metrics_apiserver.exporter.nvml.library import MemoryInfo

_ANY = (0.0, float("inf"))


class Values(dict[str, float]):
    """Key -> value, of those that are known.

    Args:
        drop: told the key of a value that cannot be true.
    """

    def __init__(self, drop: Callable[[str], None]) -> None:
        super().__init__()
        self._drop = drop

    def keep(self, key: str, value: float | None) -> None:
        """Stores a value; None, or one out of its range, takes away what was there."""
        if value is not None:
            low, high = probes.RANGES.get(key, _ANY)
            if low <= value <= high:
                self[key] = value
                return
            self._drop(key)
        self.pop(key, None)

    def keep_memory(self, found: MemoryInfo | None, first: MemoryInfo | None) -> None:
        """Bytes by the newest version that the driver knows, and `used` by the first."""
        self.keep("memory_used_v1", first.used if first else None)
        self.keep("memory_total", found.total if found else None)
        self.keep("memory_used", found.used if found else None)
        self.keep("memory_free", found.free if found else None)
        self.keep("memory_reserved", found.reserved if found else None)
        usable = found.total - (found.reserved or 0) if found else 0
        self.keep("memory_used_share", found.used / usable if found and usable > 0 else None)
