"""NVML from its initialisation to its shutdown, and when to try again after a refusal.

No driver is a state that is asked again more and more seldom. A library that is older than the
driver, or device nodes that were taken away, are beyond what this process can mend: `Fatal`. A
GPU whose MIG mode is about to change is let go for a while, since open handles block the change
and only a shutdown closes them.
"""

from __future__ import annotations

import contextlib
import logging

from metrics_apiserver.exporter import inventory
from metrics_apiserver.exporter.asking import RAISED, Context
from metrics_apiserver.exporter.inventory import Inventory
from metrics_apiserver.exporter.nvml import events
from metrics_apiserver.exporter.nvml.library import Code, Failure, Versions

_logger = logging.getLogger(__name__)

BROKEN_LIMIT = 3
REBUILD_SECONDS = 5.0  # between two initialisations
_RETRY_SECONDS = 30.0
_RETRY_MAX_SECONDS = 300.0
_PAUSE_SECONDS = 30.0
_STUCK = "the wait for events does not come back"
_HOPELESS = (Code.OPERATING_SYSTEM, Code.UNKNOWN)


class Fatal(Exception):
    """Only another process can read the GPUs again."""


class Opening:
    """Opens NVML and closes it.

    Args:
        now: monotonic seconds.

    Attributes:
        inventory: the GPUs, while NVML is open.
        reporting: UUIDs of those that report events.
        opened_at: when it was opened last.
    """

    def __init__(self, context: Context, now: float) -> None:
        self.context = context
        self.watch = events.Watch()
        self.inventory: Inventory | None = None
        self.reporting: frozenset[str] = frozenset()
        self.versions = Versions()
        self.opened_at = float("-inf")
        self._retry_at = now
        self._retry_seconds = _RETRY_SECONDS
        self._without_driver_since: float | None = None
        self._refusals = 0
        self._paused: dict[int, float] = {}

    def open(self, now: float) -> bool:
        """Tries to, if it is time; True when NVML is open.

        Raises:
            Fatal: see the class.
        """
        if self.inventory is not None:
            return True
        if now < self._retry_at:
            return False
        library = self.context.library
        try:
            library.init()
        except Failure as failure:
            self._refuse(failure, now)
            return False
        try:
            self.versions = library.versions()
            self.context.capabilities.clear()
            found = self._enumerate(now)
            self.reporting = self._watch_events(found)
        except Failure as failure:
            with contextlib.suppress(Failure):
                library.shutdown()
            self._refuse(failure, now)
            return False
        self.inventory = found
        self.opened_at = now
        self._retry_seconds = _RETRY_SECONDS
        self._without_driver_since = None
        self._refusals = 0
        versions = {"driver": self.versions.driver, "gpus": found.count}
        _logger.info("NVML is initialised", extra=versions)
        return True

    def close(self, now: float) -> None:
        """Gives everything back to the driver; it may be opened again at once.

        Raises:
            Fatal: the wait for events is stuck in the driver.
        """
        if not self.watch.stop():
            raise Fatal(_STUCK)
        if self.inventory is not None:
            self.inventory.close()
        self.inventory = None
        self._retry_at = now
        with contextlib.suppress(Failure):
            self.context.library.shutdown()

    def watch_again(self) -> None:
        """A new set of events, after the wait on the one before failed.

        Raises:
            Fatal: the wait for events is stuck in the driver.
            Failure: what concerns the whole library.
        """
        if not self.watch.stop():
            raise Fatal(_STUCK)
        self.reporting = self._watch_events(self.inventory or Inventory())

    def pause(self, index: int, now: float) -> None:
        """Leaves a GPU alone from the next opening on, for a while."""
        self._paused[index] = now + _PAUSE_SECONDS

    def is_paused(self, index: int) -> bool:
        """Whether the GPU is left alone."""
        return index in self._paused

    def end_pauses(self, now: float) -> bool:
        """Whether a GPU may be opened again, which takes a new opening."""
        over = [index for index, until in self._paused.items() if until <= now]
        for index in over:
            del self._paused[index]
        return bool(over)

    def _enumerate(self, now: float) -> Inventory:
        self.end_pauses(now)
        found = inventory.enumerate_gpus(self.context, now, self.is_paused)
        pending = [gpu.unit.index for gpu in found.gpus.values() if gpu.is_mig_pending]
        if not pending:
            return found
        for index in pending:
            self.pause(index, now)
        self.context.library.shutdown()
        self.context.library.init()
        return inventory.enumerate_gpus(self.context, now, self.is_paused)

    def _watch_events(self, found: Inventory) -> frozenset[str]:
        handles = {uuid: gpu.handle for uuid, gpu in found.gpus.items()}
        try:
            return self.watch.start(self.context.library, handles)
        except Failure as failure:
            if failure.code in RAISED:
                raise
            _logger.info("no events from this driver", extra={"error": str(failure)})
            return frozenset()

    def _refuse(self, failure: Failure, now: float) -> None:
        self.count(failure)
        if failure.code in _HOPELESS:
            self._refusals += 1
            if self._refusals >= BROKEN_LIMIT:
                raise Fatal(f"{failure}, {self._refusals} times: the device nodes may be gone")
            self._retry_at = now + REBUILD_SECONDS
            return
        if self._without_driver_since is None:
            self._without_driver_since = now
            _logger.warning("no GPU can be read", extra={"error": str(failure)})
        limit = self.context.settings.exit_without_driver_seconds
        if limit is not None and now - self._without_driver_since >= limit:
            raise Fatal(f"{failure}: no driver for {limit:.0f} s")
        self._retry_at = now + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, _RETRY_MAX_SECONDS)

    def count(self, failure: Failure) -> None:
        """Counts a refusal that concerns more than one value.

        Raises:
            Fatal: the driver was replaced under the library.
        """
        errors = self.context.telemetry.nvml_errors
        errors.labels(failure.call, str(int(failure.code))).inc()
        if failure.code == Code.LIB_RM_VERSION_MISMATCH:
            raise Fatal(f"{failure}: the driver was replaced under the library")
