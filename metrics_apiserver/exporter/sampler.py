"""The thread that owns NVML: a tick each second, and whatever it takes to keep NVML usable.

Nothing else calls into the driver, save the wait for events. A lost GPU leaves the others alone;
a driver that was reloaded, GPUs that came or went and a changed MIG layout mean to shut NVML down
and begin anew (`opening`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from metrics_apiserver.exporter import inventory
from metrics_apiserver.exporter.asking import Context
from metrics_apiserver.exporter.capability import Capabilities
from metrics_apiserver.exporter.device import Gpu
from metrics_apiserver.exporter.inventory import Inventory
from metrics_apiserver.exporter.journal import Journal
from metrics_apiserver.exporter.model import DeviceState, Reading
from metrics_apiserver.exporter.nvml import events
from metrics_apiserver.exporter.nvml.library import Code, Failure, Library, Versions
from metrics_apiserver.exporter.opening import BROKEN_LIMIT, REBUILD_SECONDS, Fatal, Opening
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.telemetry import Telemetry
from metrics_apiserver.exporter.watchdog import Pulse

_logger = logging.getLogger(__name__)

_LOST_PROBE_SECONDS = 30.0
_MIG_CHECK_SECONDS = 5.0
_PLUG_CHECK_SECONDS = 60.0
_EVENTS_SECONDS = 5.0  # between two event sets; doubled while the wait on them fails
_EVENTS_MAX_SECONDS = 300.0
_EVENTS_GOOD_SECONDS = 60.0


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
        library = Library(pulse.beat, settings.library)
        context = Context(library, Capabilities(telemetry), telemetry, settings, alive)
        self.opening = Opening(context, now)
        self._context = context
        self._library = library
        self._wall = wall
        self._journal = Journal()
        self._broken_ticks = 0
        self._rebuild = ""
        self._lost: dict[str, float] = {}
        self._indices: dict[str, int] = {}
        self._gone: frozenset[str] = frozenset()  # known before, and lost when NVML began anew
        self._mig_check_at = self._plug_check_at = self._absent_check_at = now
        self._events_at = now
        self._events_pause = _EVENTS_SECONDS

    # --- one tick ----------------------------------------------------------------------------

    def turn(self, now: float) -> Pass:
        """Reads everything once.

        Raises:
            Fatal: see `opening`.
        """
        if self._rebuild and now - self.opening.opened_at >= REBUILD_SECONDS:
            self._context.telemetry.nvml_restarts.labels(self._rebuild).inc()
            self.opening.close(now)
        was_open = self.opening.inventory is not None
        if not self.opening.open(now):
            return Pass(is_up=False)
        found = self.opening.inventory or Inventory()
        if not was_open:
            self._begin(found, now)
        try:
            self._take_events(now)
            self._check(found, now)
            readings = self._read_all(found, now)
        except Failure as failure:
            self.opening.count(failure)
            self._rebuild = "uninitialized" if failure.code == Code.UNINITIALIZED else "failure"
            return Pass(is_up=False)
        return Pass(
            is_up=True,
            readings=tuple(readings),
            states=self._states(found, now),
            count=found.count,
            absent=self._absent(found),
            versions=self.opening.versions,
        )

    def restart_windows(self, uuid: str) -> None:
        """A unit changed hands."""
        for gpu in self.opening.inventory.gpus.values() if self.opening.inventory else ():
            gpu.restart(uuid)

    def close(self, now: float = 0.0) -> None:
        """Gives everything back to the driver."""
        if self.opening.inventory is not None:
            with contextlib.suppress(Fatal):
                self.opening.close(now)

    def _begin(self, found: Inventory, now: float) -> None:
        self._journal.begin(found.gpus, self.opening.reporting)
        self._gone = frozenset(
            uuid
            for uuid, index in self._indices.items()
            if found.absent.get(index) == "lost" and uuid not in found.gpus
        )
        gone = {uuid: self._indices[uuid] for uuid in self._gone}
        self._indices = gone | {uuid: gpu.unit.index for uuid, gpu in found.gpus.items()}
        self._lost.clear()
        self._rebuild = ""
        self._plug_check_at = now + _PLUG_CHECK_SECONDS
        self._absent_check_at = now + _LOST_PROBE_SECONDS
        self._mig_check_at = now + _MIG_CHECK_SECONDS

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
        self._broken_ticks = self._broken_ticks + 1 if broken and all(broken) else 0
        if self._broken_ticks >= BROKEN_LIMIT:
            raise Fatal("every GPU answers with unknown errors: the device nodes may be gone")
        return readings

    def _lose(self, uuid: str, failure: Failure, now: float) -> None:
        if failure.code in (Code.GPU_IS_LOST, Code.RESET_REQUIRED):
            self.opening.count(failure)
            if uuid not in self._lost:
                _logger.error("GPU is lost", extra={"uuid": uuid, "error": str(failure)})
            self._lost[uuid] = now + _LOST_PROBE_SECONDS
        elif failure.code == Code.INVALID_ARGUMENT:
            self._rebuild = "stale_handle"
        else:
            raise failure

    def _check(self, found: Inventory, now: float) -> None:
        """Whether the devices are still those that were opened."""
        self._mend_events(found, now)
        if now >= self._plug_check_at:
            self._plug_check_at = now + _PLUG_CHECK_SECONDS
            addresses = inventory.list_pci_addresses(self._context.settings.driver_proc)
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
        if self.opening.end_pauses(now):
            self._rebuild = "mig"

    def _mend_events(self, found: Inventory, now: float) -> None:
        failure = self.opening.watch.failure
        if failure is None:
            if now - self._events_at > _EVENTS_GOOD_SECONDS:
                self._events_pause = _EVENTS_SECONDS
        elif now >= self._events_at:
            self.opening.count(failure)
            self._events_at = now + self._events_pause
            self._events_pause = min(2 * self._events_pause, _EVENTS_MAX_SECONDS)
            self.opening.watch_again()
            self._journal.begin(found.gpus, self.opening.reporting)
        else:
            # Nothing would arrive: an XID of 0 were made up.
            self._journal.begin(found.gpus, frozenset())

    def _is_back(self, index: int) -> bool:
        if self.opening.is_paused(index):
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
            self.opening.pause(gpu.unit.index, now)
        if change:
            self._rebuild = "mig"

    def _take_events(self, now: float) -> None:
        for event in self.opening.watch.take():
            if event.kind == events.MIG_CHANGE:
                self._mig_check_at = float("-inf")
            self._journal.add(event, now, self._wall())

    def _states(self, found: Inventory, now: float) -> tuple[DeviceState, ...]:
        present = (
            replace(
                self._journal.state(uuid, now),
                is_lost=uuid in self._lost,
                is_mig=gpu.is_mig,
                capabilities=self._context.capabilities.of(uuid),
            )
            for uuid, gpu in found.gpus.items()
        )
        gone = (replace(self._journal.state(uuid, now), is_lost=True) for uuid in self._gone)
        return (*present, *gone)

    def _absent(self, found: Inventory) -> tuple[str, ...]:
        """Conditions of GPUs that no state tells of."""
        told = {self._indices[uuid] for uuid in self._gone}
        return tuple(one for index, one in found.absent.items() if index not in told)
