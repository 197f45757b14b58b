"""The thread that owns NVML: a tick each second, and whatever it takes to keep NVML usable.

Nothing else calls into the driver, save the wait for events. A lost GPU leaves the others alone;
a driver that was reloaded or a changed MIG layout means to shut NVML down and begin anew; no
driver at all is a state, asked again now and then. What only a new container can cure (device
nodes taken away, a library older than the driver) ends the process: `Fatal`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from metrics_apiserver.exporter import inventory
from metrics_apiserver.exporter.asking import RAISED, Context
from metrics_apiserver.exporter.capability import Capabilities
from metrics_apiserver.exporter.device import Gpu
from metrics_apiserver.exporter.inventory import Inventory
from metrics_apiserver.exporter.journal import Journal
from metrics_apiserver.exporter.model import DeviceState, Reading
from metrics_apiserver.exporter.nvml import events
from metrics_apiserver.exporter.nvml.library import Code, Failure, Library, Versions
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.telemetry import Telemetry
from metrics_apiserver.exporter.watchdog import Pulse

_logger = logging.getLogger(__name__)

_RETRY_SECONDS = 30.0
_RETRY_MAX_SECONDS = 300.0
_REBUILD_SECONDS = 5.0  # between two initialisations
_LOST_PROBE_SECONDS = 30.0
_MIG_CHECK_SECONDS = 5.0
_PAUSE_SECONDS = 30.0
_PLUG_CHECK_SECONDS = 60.0
_BROKEN_LIMIT = 3
_HOPELESS = (Code.OPERATING_SYSTEM, Code.UNKNOWN)


class Fatal(Exception):
    """Only another process can read the GPUs again."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one tick found.

    Attributes:
        is_up: NVML is initialised.
        count: GPUs by NVML's count; None while it is not initialised.
    """

    is_up: bool
    readings: tuple[Reading, ...] = ()
    states: tuple[DeviceState, ...] = ()
    count: int | None = None
    absent: tuple[str, ...] = ()
    versions: Versions = field(default_factory=Versions)


class Sampler:
    """NVML's owner; `turn` is one tick.

    Args:
        settings: how to read.
        telemetry: counts.
        pulse: stamped before each call.
        alive: tells whether a pid exists, where pids are the host's.
        wall: epoch seconds.
        now: monotonic seconds.
    """

    def __init__(
        self,
        settings: Sampling,
        telemetry: Telemetry,
        pulse: Pulse,
        *,
        alive: Callable[[int], bool] | None = None,
        wall: Callable[[], float],
        now: float,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._library = Library(pulse.beat, settings.library)
        self._context = Context(self._library, Capabilities(telemetry), telemetry, settings, alive)
        self._watch = events.Watch()
        self._inventory: Inventory | None = None
        self._versions = Versions()
        self._wall = wall
        self._journal = Journal()
        self._retry_at = now
        self._retry_seconds = _RETRY_SECONDS
        self._without_driver_since: float | None = None
        self._hopeless = 0
        self._rebuild: str = ""
        self._built_at = float("-inf")
        self._lost: dict[str, float] = {}
        self._paused: dict[int, float] = {}
        self._mig_check_at = self._plug_check_at = self._absent_check_at = now

    # --- one tick ----------------------------------------------------------------------------

    def turn(self, now: float) -> Pass:
        """Reads everything once.

        Raises:
            Fatal: see the class.
        """
        if self._rebuild and now - self._built_at >= _REBUILD_SECONDS:
            self._telemetry.nvml_restarts.labels(self._rebuild).inc()
            self._shutdown()
            self._retry_at = now
        if self._inventory is None and (now < self._retry_at or not self._start(now)):
            return Pass(is_up=False, states=self._states(None, now))
        found = self._inventory
        if found is None:
            return Pass(is_up=False)
        try:
            self._take_events(now)
            self._check(found, now)
            readings = self._read_all(found, now)
        except Failure as failure:
            self._judge(failure)
            return Pass(is_up=False, states=self._states(None, now))
        return Pass(
            is_up=True,
            readings=tuple(readings),
            states=self._states(found, now),
            count=found.count,
            absent=tuple(found.absent.values()),
            versions=self._versions,
        )

    def restart_windows(self, uuid: str) -> None:
        """A unit changed hands."""
        for gpu in self._inventory.gpus.values() if self._inventory else ():
            gpu.restart(uuid)

    def close(self) -> None:
        """Gives everything back to the driver."""
        if self._inventory is not None:
            with contextlib.suppress(Fatal):
                self._shutdown()

    # --- beginning and ending ----------------------------------------------------------------

    def _start(self, now: float) -> bool:
        try:
            self._library.init()
        except Failure as failure:
            self._refuse_start(failure, now)
            return False
        try:
            self._versions = self._library.versions()
            self._context.capabilities.clear()
            found = self._enumerate(now)
            able = self._watch_events(found)
        except Failure as failure:
            with contextlib.suppress(Failure):
                self._library.shutdown()
            self._refuse_start(failure, now)
            return False
        self._inventory = found
        self._journal.begin(found.gpus, able)
        self._lost.clear()
        self._rebuild = ""
        self._built_at = now
        self._retry_seconds = _RETRY_SECONDS
        self._without_driver_since = None
        self._plug_check_at = now + _PLUG_CHECK_SECONDS
        self._absent_check_at = now + _LOST_PROBE_SECONDS
        self._mig_check_at = now + _MIG_CHECK_SECONDS
        _logger.info(
            "NVML is initialised",
            extra={"driver": self._versions.driver, "gpus": found.count},
        )
        return True

    def _enumerate(self, now: float) -> Inventory:
        found = inventory.enumerate_gpus(self._context, now, self._is_paused(now))
        pending = [gpu.unit.index for gpu in found.gpus.values() if gpu.is_mig_pending]
        if not pending:
            return found
        # Only a shutdown closes the handles that block the change.
        self._paused |= dict.fromkeys(pending, now + _PAUSE_SECONDS)
        self._library.shutdown()
        self._library.init()
        return inventory.enumerate_gpus(self._context, now, self._is_paused(now))

    def _refuse_start(self, failure: Failure, now: float) -> None:
        self._telemetry.nvml_errors.labels(failure.call, str(int(failure.code))).inc()
        if failure.code == Code.LIB_RM_VERSION_MISMATCH:
            raise Fatal(f"{failure}: the driver was replaced under the library")
        if failure.code in _HOPELESS:
            self._hopeless += 1
            if self._hopeless >= _BROKEN_LIMIT:
                raise Fatal(f"{failure}, {self._hopeless} times: the device nodes may be gone")
            self._retry_at = now + _REBUILD_SECONDS
            return
        since = self._without_driver_since = self._without_driver_since or now
        limit = self._settings.exit_without_driver_seconds
        if limit is not None and now - since >= limit:
            raise Fatal(f"{failure}: no driver for {limit:.0f} s")
        if since == now:
            _logger.warning("no GPU can be read", extra={"error": str(failure)})
        self._retry_at = now + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, _RETRY_MAX_SECONDS)

    def _watch_events(self, found: Inventory) -> frozenset[str]:
        try:
            return self._watch.start(
                self._library, {uuid: gpu.handle for uuid, gpu in found.gpus.items()}
            )
        except Failure as failure:
            if failure.code in RAISED:
                raise
            _logger.info("no events from this driver", extra={"error": str(failure)})
            return frozenset()

    def _shutdown(self) -> None:
        if not self._watch.stop():
            raise Fatal("the wait for events does not come back")
        if self._inventory is not None:
            self._inventory.close()
        self._inventory = None
        self._rebuild = ""
        with contextlib.suppress(Failure):
            self._library.shutdown()

    # --- the devices -------------------------------------------------------------------------

    def _read_all(self, found: Inventory, now: float) -> list[Reading]:
        readings: list[Reading] = []
        broken = []
        for uuid, gpu in found.gpus.items():
            if now < self._lost.get(uuid, now):
                continue
            try:
                part = gpu.read(now)
            except Failure as failure:
                self._lose(uuid, failure, now)
                continue
            if self._lost.pop(uuid, None) is not None:
                self._rebuild = "device_back"
                continue
            broken.append(gpu.is_broken)
            self._journal.observe(uuid, part[0].values, now)
            readings += [self._journal.complete(part[0]), *part[1:]]
        self._hopeless = self._hopeless + 1 if broken and all(broken) else 0
        if self._hopeless >= _BROKEN_LIMIT:
            raise Fatal("every GPU answers with unknown errors: the device nodes may be gone")
        return readings

    def _lose(self, uuid: str, failure: Failure, now: float) -> None:
        if failure.code in (Code.GPU_IS_LOST, Code.RESET_REQUIRED):
            self._telemetry.nvml_errors.labels(failure.call, str(int(failure.code))).inc()
            if uuid not in self._lost:
                _logger.error("GPU is lost", extra={"uuid": uuid, "error": str(failure)})
            self._lost[uuid] = now + _LOST_PROBE_SECONDS
        elif failure.code == Code.INVALID_ARGUMENT:
            self._rebuild = "stale_handle"
        else:
            raise failure

    def _judge(self, failure: Failure) -> None:
        self._telemetry.nvml_errors.labels(failure.call, str(int(failure.code))).inc()
        if failure.code == Code.LIB_RM_VERSION_MISMATCH:
            raise Fatal(f"{failure}: the driver was replaced under the library")
        self._rebuild = "uninitialized" if failure.code == Code.UNINITIALIZED else "failure"

    def _check(self, found: Inventory, now: float) -> None:
        """Whether the devices are still those that were opened."""
        if self._watch.failed:
            self._rebuild = "events"
        if now >= self._plug_check_at:
            self._plug_check_at = now + _PLUG_CHECK_SECONDS
            addresses = inventory.list_pci_addresses(self._settings.driver_proc)
            count = int(self._library.call("nvmlDeviceGetCount"))
            if count != found.count or addresses != found.pci_addresses:
                self._rebuild = "hot_plug"
        if now >= self._mig_check_at:
            self._mig_check_at = now + _MIG_CHECK_SECONDS
            for uuid, gpu in found.gpus.items():
                if uuid not in self._lost:
                    self._check_mig(gpu, now)
        if now >= self._absent_check_at:
            self._absent_check_at = now + _LOST_PROBE_SECONDS
            if any(self._is_back(index) for index in found.absent):
                self._rebuild = "device_back"
        if any(until <= now for until in self._paused.values()):
            self._paused = {index: until for index, until in self._paused.items() if until > now}
            self._rebuild = "mig"

    def _is_back(self, index: int) -> bool:
        if index in self._paused:
            return False
        try:
            self._library.call("nvmlDeviceGetHandleByIndex", index)
        except Failure:
            return False
        return True

    def _check_mig(self, gpu: Gpu, now: float) -> None:
        try:
            change = inventory.mig_changed(self._library, gpu)
        except Failure as failure:
            if failure.code in (Code.UNINITIALIZED, Code.LIB_RM_VERSION_MISMATCH):
                raise
            return  # reading the GPU says it better
        if change == "pending":
            # Our handles block the change: let go of this GPU and look again later.
            self._paused[gpu.unit.index] = now + _PAUSE_SECONDS
        if change:
            self._rebuild = "mig"

    def _is_paused(self, now: float) -> Callable[[int], bool]:
        return lambda index: self._paused.get(index, now) > now

    def _take_events(self, now: float) -> None:
        for event in self._watch.take():
            if event.kind == events.MIG_CHANGE:
                self._mig_check_at = float("-inf")
            self._journal.add(event, now, self._wall())

    def _states(self, found: Inventory | None, now: float) -> tuple[DeviceState, ...]:
        return tuple(
            replace(
                self._journal.state(uuid, now),
                is_lost=uuid in self._lost,
                is_mig=gpu.is_mig,
                capabilities=self._context.capabilities.of(uuid),
            )
            for uuid, gpu in (found.gpus if found else {}).items()
        )
