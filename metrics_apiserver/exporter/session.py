"""NVML from initialisation to shutdown, and when to retry after an error.

Without a driver, initialisation is retried with a growing delay. A library older than the driver,
or missing device nodes, cannot be repaired by this process: `FatalError`. A GPU whose MIG mode is
about to change is released for a while, since open handles block the change and only a shutdown
closes them.
"""

from __future__ import annotations

import contextlib
import logging

from metrics_apiserver.base.backoff import Backoff, no_jitter
from metrics_apiserver.exporter import inventory
from metrics_apiserver.exporter.device_caller import RAISED, NVMLContext
from metrics_apiserver.exporter.inventory import Inventory
from metrics_apiserver.exporter.nvml import events
from metrics_apiserver.exporter.nvml.library import Code, DriverVersions, NVMLError

_logger = logging.getLogger(__name__)

BROKEN_LIMIT = 3
RESTART_SECONDS = 5.0  # between two initialisations
_RETRY_SECONDS = 30.0
_RETRY_MAX_SECONDS = 300.0
_PAUSE_SECONDS = 30.0
_EVENTS_SECONDS = 5.0  # between two event sets; doubled while waiting on them fails
_EVENTS_MAX_SECONDS = 300.0
_EVENTS_GOOD_SECONDS = 60.0
_STUCK = "the wait for events does not return"
_UNRECOVERABLE = (Code.OPERATING_SYSTEM, Code.UNKNOWN)


class FatalError(Exception):
    """Only a new process can read the GPUs again."""


class NVMLSession:
    """Initialises NVML and shuts it down.

    Args:
        now: monotonic seconds.

    Attributes:
        inventory: the GPUs, while NVML is initialised.
        reporting: UUIDs of the GPUs that report events.
        opened_at: time of the last initialisation.
    """

    def __init__(self, context: NVMLContext, now: float) -> None:
        self.context = context
        self.watcher = events.EventWatcher()
        self.inventory: Inventory | None = None
        self.reporting: frozenset[str] = frozenset()
        self.versions = DriverVersions()
        self.opened_at = float("-inf")
        self._retry_at = now
        self._backoff = Backoff(first=_RETRY_SECONDS, last=_RETRY_MAX_SECONDS, jitter=no_jitter)
        self._events_at = now
        self._events_backoff = Backoff(
            first=_EVENTS_SECONDS, last=_EVENTS_MAX_SECONDS, jitter=no_jitter
        )
        self._without_driver_since: float | None = None
        self._unrecoverable_errors = 0
        self._paused: dict[int, float] = {}

    def open(self, now: float) -> bool:
        """Initialises NVML if it is time to; True while NVML is initialised.

        Raises:
            FatalError: see the class.
        """
        if self.inventory is not None:
            return True
        if now < self._retry_at:
            return False
        library = self.context.library
        try:
            library.init()
        except NVMLError as error:
            self._handle_error(error, now)
            return False
        try:
            self.versions = library.versions()
            self.context.capabilities.clear()
            found = self._enumerate(now)
            self.reporting = self._start_event_watcher(found)
        except NVMLError as error:
            with contextlib.suppress(NVMLError):
                library.shutdown()
            self._handle_error(error, now)
            return False
        self.inventory = found
        self.opened_at = now
        self._backoff.reset()
        self._without_driver_since = None
        self._unrecoverable_errors = 0
        versions = {"driver": self.versions.driver, "gpus": found.count}
        _logger.info("NVML is initialised", extra=versions)
        return True

    def close(self, now: float) -> None:
        """Shuts NVML down; it may be opened again at once.

        Raises:
            FatalError: the wait for events hangs in the driver.
        """
        if not self.watcher.stop():
            raise FatalError(_STUCK)
        if self.inventory is not None:
            self.inventory.close()
        self.inventory = None
        self._retry_at = now
        with contextlib.suppress(NVMLError):
            self.context.library.shutdown()

    def check_event_watcher(self, now: float) -> frozenset[str] | None:
        """Restarts the event watcher if it failed, with growing delays.

        Returns:
            None while it works, else the UUIDs of the GPUs that report events now.

        Raises:
            FatalError, NVMLError: as `restart_event_watcher`.
        """
        error = self.watcher.error
        if error is None:
            if now - self._events_at > _EVENTS_GOOD_SECONDS:
                self._events_backoff.reset()
            return None
        if now < self._events_at:
            return frozenset()
        self.count_error(error)
        self._events_at = now + self._events_backoff.next()
        self.restart_event_watcher()
        return self.reporting

    def restart_event_watcher(self) -> None:
        """Creates a new event set after waiting on the previous one failed.

        Raises:
            FatalError: the wait for events hangs in the driver.
            NVMLError: an error that concerns the whole library.
        """
        if not self.watcher.stop():
            raise FatalError(_STUCK)
        self.reporting = self._start_event_watcher(self.inventory or Inventory())

    def pause(self, index: int, now: float) -> None:
        """Does not open this GPU for a while, from the next initialisation on."""
        self._paused[index] = now + _PAUSE_SECONDS

    def is_paused(self, index: int) -> bool:
        """Whether the GPU must not be opened now."""
        return index in self._paused

    def end_pauses(self, now: float) -> bool:
        """Whether a pause ended, so that NVML must be initialised again."""
        over = [index for index, until in self._paused.items() if until <= now]
        for index in over:
            del self._paused[index]
        return bool(over)

    def _enumerate(self, now: float) -> Inventory:
        self.end_pauses(now)
        found = inventory.enumerate_gpus(self.context, now, self.is_paused)
        pending = [gpu.device.index for gpu in found.gpus.values() if gpu.is_mig_pending]
        if not pending:
            return found
        for index in pending:
            self.pause(index, now)
        self.context.library.shutdown()
        self.context.library.init()
        return inventory.enumerate_gpus(self.context, now, self.is_paused)

    def _start_event_watcher(self, found: Inventory) -> frozenset[str]:
        handles = {uuid: gpu.handle for uuid, gpu in found.gpus.items()}
        try:
            return self.watcher.start(self.context.library, handles)
        except NVMLError as error:
            if error.code in RAISED:
                raise
            _logger.info("this driver reports no events", extra={"error": str(error)})
            return frozenset()

    def _handle_error(self, error: NVMLError, now: float) -> None:
        self.count_error(error)
        if error.code in _UNRECOVERABLE:
            self._unrecoverable_errors += 1
            if self._unrecoverable_errors >= BROKEN_LIMIT:
                raise FatalError(
                    f"{error}, {self._unrecoverable_errors} times: the device nodes may be missing"
                )
            self._retry_at = now + RESTART_SECONDS
            return
        if self._without_driver_since is None:
            self._without_driver_since = now
            _logger.warning("NVML is not available", extra={"error": str(error)})
        limit = self.context.settings.exit_without_driver_seconds
        if limit is not None and now - self._without_driver_since >= limit:
            raise FatalError(f"{error}: no driver for {limit:.0f} s")
        self._retry_at = now + self._backoff.next()

    def count_error(self, error: NVMLError) -> None:
        """Counts an error that concerns more than one value.

        Raises:
            FatalError: the driver was replaced while the library was loaded.
        """
        errors = self.context.telemetry.nvml_errors
        errors.labels(error.call, str(int(error.code))).inc()
        if error.code == Code.LIB_RM_VERSION_MISMATCH:
            raise FatalError(f"{error}: the driver was replaced while the library was loaded")
