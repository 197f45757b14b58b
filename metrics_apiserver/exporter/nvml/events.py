"""XIDs and MIG reconfiguration as they happen, from the one other thread that calls NVML.

The thread waits for events and queues them for the sampling thread, with the device they belong to.
Before NVML is shut down, `stop` ends the thread and frees the event set. NVML does not report
errors from before the registration.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from metrics_apiserver.exporter.nvml.library import Code, Handle, Library, NVMLError

_logger = logging.getLogger(__name__)

XID = 0x8
DOUBLE_BIT_ERROR = 0x2
MIG_CHANGE = 0x100
_WANTED = (XID | DOUBLE_BIT_ERROR | MIG_CHANGE, XID | DOUBLE_BIT_ERROR, XID)
_WAIT_MS = 100
_PENDING = 1024


@dataclass(frozen=True, slots=True)
class NVMLEvent:
    """An event of a device.

    Attributes:
        key: the key of its handle in `start`.
        kind: NVML's event type.
        data: the XID, for XID events.
    """

    key: str
    kind: int
    data: int


class EventWatcher:
    """Owns the event set and its thread between `start` and `stop`.

    Args:
        stop_timeout_seconds: how long to wait for the thread to end.

    Attributes:
        error: why the thread ended by itself, else None.
    """

    def __init__(self, stop_timeout_seconds: float = 5.0) -> None:
        self._stop_timeout_seconds = stop_timeout_seconds
        self._events: queue.Queue[NVMLEvent] = queue.Queue(_PENDING)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._keys: dict[int, str] = {}
        self.error: NVMLError | None = None

    def start(self, library: Library, handles: Mapping[str, Handle]) -> frozenset[str]:
        """Registers the devices and starts to wait; returns the keys of those that report events.

        Called by the sampling thread. If no device reports events, no thread is started.
        """
        self.error = None
        self._stopping.clear()
        event_set = library.call("nvmlEventSetCreate")
        able = [key for key, handle in handles.items() if _register(library, handle, event_set)]
        if not able:
            library.call("nvmlEventSetFree", event_set)
            return frozenset()
        self._keys = {_address(handles[key]): key for key in able}
        # A library of its own: this thread must not record heartbeats for the sampling thread.
        own = Library()
        arguments = (own, event_set)
        self._thread = threading.Thread(
            target=self._wait, args=arguments, name="nvml-events", daemon=True
        )
        self._thread.start()
        return frozenset(able)

    def stop(self) -> bool:
        """Ends the thread; False if it hangs in NVML."""
        if self._thread is None:
            return True
        self._stopping.set()
        self._thread.join(self._stop_timeout_seconds)
        stuck = self._thread.is_alive()
        self._thread = None
        return not stuck

    def drain(self) -> list[NVMLEvent]:
        """All events since the last call."""
        found: list[NVMLEvent] = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._events.get_nowait())
        return found

    def _wait(self, library: Library, event_set: Handle) -> None:
        while not self._stopping.is_set():
            try:
                data = library.call("nvmlEventSetWait_v2", event_set, _WAIT_MS)
            except NVMLError as error:
                if error.code == Code.TIMEOUT:
                    continue
                # The sampling thread creates a new event set.
                _logger.warning("waiting for events failed", extra={"error": str(error)})
                self.error = error
                break
            event = NVMLEvent(
                self._keys.get(_address(data.device), ""), int(data.eventType), int(data.eventData)
            )
            with contextlib.suppress(queue.Full):
                self._events.put_nowait(event)
        with contextlib.suppress(NVMLError):
            library.call("nvmlEventSetFree", event_set)


def _register(library: Library, handle: Handle, event_set: Handle) -> bool:
    try:
        supported = int(library.call("nvmlDeviceGetSupportedEventTypes", handle))
    except NVMLError:
        return False
    for wanted in _WANTED:
        types = wanted & supported
        if not types & XID:
            return False
        with contextlib.suppress(NVMLError):
            library.call("nvmlDeviceRegisterEvents", handle, types, event_set)
            return True
    return False


def _address(handle: Handle) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0
