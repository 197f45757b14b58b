"""The sampler: reads all GPUs once a round, and keeps NVML usable.

It runs in the only thread that calls NVML, apart from the wait for events. A lost GPU does not
affect the others. After a driver reload, added or removed GPUs, or a changed MIG layout, NVML is
shut down and initialised again (`session`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from metrics_apiserver.exporter import inventory
from metrics_apiserver.exporter.capability import Capabilities
from metrics_apiserver.exporter.device import Gpu
from metrics_apiserver.exporter.device_caller import NVMLContext
from metrics_apiserver.exporter.device_history import DeviceHistory
from metrics_apiserver.exporter.inventory import Inventory
from metrics_apiserver.exporter.model import DeviceState, Reading
from metrics_apiserver.exporter.nvml import events
from metrics_apiserver.exporter.nvml.library import Code, DriverVersions, Library, NVMLError
from metrics_apiserver.exporter.session import (
    BROKEN_LIMIT,
    RESTART_SECONDS,
    FatalError,
    NVMLSession,
)
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from metrics_apiserver.exporter.watchdog import Heartbeat

_logger = logging.getLogger(__name__)

_LOST_PROBE_SECONDS = 30.0
_MIG_CHECK_SECONDS = 5.0
_HOT_PLUG_CHECK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SamplingRound:
    """The result of one sampling round.

    Attributes:
        is_up: NVML is initialised.
        count: number of GPUs according to NVML; None while it is not initialised.
        absent: conditions of GPUs that could not be opened.
    """

    is_up: bool
    readings: tuple[Reading, ...] = ()
    states: tuple[DeviceState, ...] = ()
    count: int | None = None
    absent: tuple[str, ...] = ()
    versions: DriverVersions = field(default_factory=DriverVersions)


class Sampler:
    """Owns NVML; `sample` runs one round.

    Args:
        settings: how to sample.
        telemetry: self-metrics.
        heartbeat: recorded before each NVML call.
        alive: whether a pid exists; None if pids are not those of the host.
        wall: epoch seconds.
        now: monotonic seconds.
    """

    def __init__(
        self,
        settings: Sampling,
        telemetry: ExporterTelemetry,
        heartbeat: Heartbeat,
        *,
        alive: Callable[[int], bool] | None = None,
        wall: Callable[[], float],
        now: float,
    ) -> None:
        library = Library(heartbeat.beat, settings.library)
        context = NVMLContext(library, Capabilities(telemetry), telemetry, settings, alive)
        self.session = NVMLSession(context, now)
        self._context = context
        self._library = library
        self._wall = wall
        self._history = DeviceHistory()
        self._broken_rounds = 0
        self._restart_reason = ""
        self._lost: dict[str, float] = {}
        self._indices: dict[str, int] = {}
        self._gone: frozenset[str] = frozenset()  # lost when NVML was initialised again
        self._mig_check_at = self._hot_plug_check_at = self._absent_check_at = now

    # --- one round --------------------------------------------------------------------------

    def sample(self, now: float) -> SamplingRound:
        """Reads every GPU once.

        Raises:
            FatalError: see `session`.
        """
        if self._restart_reason and now - self.session.opened_at >= RESTART_SECONDS:
            self._context.telemetry.nvml_restarts.labels(self._restart_reason).inc()
            self.session.close(now)
        was_open = self.session.inventory is not None
        if not self.session.open(now):
            return SamplingRound(is_up=False)
        found = self.session.inventory or Inventory()
        if not was_open:
            self._begin(found, now)
        try:
            self._take_events(now)
            self._check(found, now)
            readings = self._read_all(found, now)
        except NVMLError as error:
            self.session.count_error(error)
            self._restart_reason = (
                "uninitialized" if error.code == Code.UNINITIALIZED else "failure"
            )
            return SamplingRound(is_up=False)
        return SamplingRound(
            is_up=True,
            readings=tuple(readings),
            states=self._states(found, now),
            count=found.count,
            absent=self._absent(found),
            versions=self.session.versions,
        )

    def restart_windows(self, uuid: str) -> None:
        """Clears the windows of a device that was reallocated."""
        for gpu in self.session.inventory.gpus.values() if self.session.inventory else ():
            gpu.restart(uuid)

    def close(self, now: float = 0.0) -> None:
        """Shuts NVML down."""
        if self.session.inventory is not None:
            with contextlib.suppress(FatalError):
                self.session.close(now)

    def _begin(self, found: Inventory, now: float) -> None:
        self._history.begin(found.gpus, self.session.reporting)
        self._gone = frozenset(
            uuid
            for uuid, index in self._indices.items()
            if found.absent.get(index) == "lost" and uuid not in found.gpus
        )
        gone = {uuid: self._indices[uuid] for uuid in self._gone}
        self._indices = gone | {uuid: gpu.device.index for uuid, gpu in found.gpus.items()}
        self._lost.clear()
        self._restart_reason = ""
        self._hot_plug_check_at = now + _HOT_PLUG_CHECK_SECONDS
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
            except NVMLError as error:
                self._handle_device_error(uuid, error, now)
                continue
            if self._lost.pop(uuid, None) is not None:
                self._restart_reason = "device_back"
                continue
            broken.append(gpu.is_broken)
            self._history.observe(uuid, part[0].values, now)
            readings += [self._history.complete(part[0]), *part[1:]]
        self._broken_rounds = self._broken_rounds + 1 if broken and all(broken) else 0
        if self._broken_rounds >= BROKEN_LIMIT:
            raise FatalError("all GPUs return unknown errors: the device nodes may be missing")
        return readings

    def _handle_device_error(self, uuid: str, error: NVMLError, now: float) -> None:
        if error.code in (Code.GPU_IS_LOST, Code.RESET_REQUIRED):
            self.session.count_error(error)
            if uuid not in self._lost:
                _logger.error("GPU is lost", extra={"uuid": uuid, "error": str(error)})
            self._lost[uuid] = now + _LOST_PROBE_SECONDS
        elif error.code == Code.INVALID_ARGUMENT:
            self._restart_reason = "stale_handle"
        else:
            raise error

    def _check(self, found: Inventory, now: float) -> None:
        """Checks whether the devices are still those that were opened."""
        if (reporting := self.session.check_event_watcher(now)) is not None:
            # While no event can arrive, an XID of 0 would be a guess.
            self._history.begin(found.gpus, reporting)
        if now >= self._hot_plug_check_at:
            self._hot_plug_check_at = now + _HOT_PLUG_CHECK_SECONDS
            addresses = inventory.list_pci_addresses(self._context.settings.driver_proc)
            count = int(self._library.call("nvmlDeviceGetCount"))
            if count != found.count or addresses != found.pci_addresses:
                self._restart_reason = "hot_plug"
        if now >= self._mig_check_at:
            self._mig_check_at = now + _MIG_CHECK_SECONDS
            for uuid, gpu in found.gpus.items():
                if uuid not in self._lost:
                    self._check_mig(gpu, now)
        if now >= self._absent_check_at:
            self._absent_check_at = now + _LOST_PROBE_SECONDS
            if any(self._is_back(index) for index in found.absent):
                self._restart_reason = "device_back"
        if self.session.end_pauses(now):
            self._restart_reason = "mig"

    def _is_back(self, index: int) -> bool:
        if self.session.is_paused(index):
            return False
        try:
            self._library.call("nvmlDeviceGetHandleByIndex", index)
        except NVMLError:
            return False
        return True

    def _check_mig(self, gpu: Gpu, now: float) -> None:
        try:
            change = inventory.mig_changed(self._library, gpu)
        except NVMLError as error:
            if error.code in (Code.UNINITIALIZED, Code.LIB_RM_VERSION_MISMATCH):
                raise
            return  # reading the GPU reports the error
        if change == "pending":
            # Open handles block the change: release this GPU and try again later.
            self.session.pause(gpu.device.index, now)
        if change:
            self._restart_reason = "mig"

    def _take_events(self, now: float) -> None:
        for event in self.session.watcher.drain():
            if event.kind == events.MIG_CHANGE:
                self._mig_check_at = float("-inf")
            self._history.add(event, now, self._wall())

    def _states(self, found: Inventory, now: float) -> tuple[DeviceState, ...]:
        present = (
            replace(
                self._history.state(uuid, now),
                is_lost=uuid in self._lost,
                is_mig=gpu.is_mig,
                capabilities=self._context.capabilities.of(uuid),
            )
            for uuid, gpu in found.gpus.items()
        )
        gone = (replace(self._history.state(uuid, now), is_lost=True) for uuid in self._gone)
        return (*present, *gone)

    def _absent(self, found: Inventory) -> tuple[str, ...]:
        """Conditions of the absent GPUs that have no state."""
        with_state = {self._indices[uuid] for uuid in self._gone}
        return tuple(one for index, one in found.absent.items() if index not in with_state)
