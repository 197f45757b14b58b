"""One interface over the ways to learn who holds what; `refresh` blocks, `allocation` does not.

`refresh` belongs to a worker thread, `allocation` to the sampling thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from metrics_apiserver.exporter.attribution.deviceids import Units
from metrics_apiserver.exporter.attribution.ledger import Ledger
from metrics_apiserver.exporter.attribution.podresources import Claimed, Client, Unavailable
from metrics_apiserver.exporter.attribution.resourceslices import ResourceSlices
from metrics_apiserver.exporter.attribution.sidecar import Sidecar
from metrics_apiserver.exporter.model import Allocation, Pod, Reading
from metrics_apiserver.exporter.settings import Holders
from metrics_apiserver.exporter.telemetry import Telemetry

_logger = logging.getLogger(__name__)


class Source(Protocol):
    """Where holdings come from."""

    def refresh(self) -> None:
        """Looks again; never raises."""

    def allocation(
        self, readings: Iterable[Reading], working: frozenset[tuple[str, Pod]], now: float
    ) -> Allocation:
        """As of the last look; see `Ledger.allocation`."""


class NoSource:
    """Attribution is switched off: every series is the device's."""

    def refresh(self) -> None:
        """There is nothing to look at."""

    def allocation(
        self, readings: Iterable[Reading], working: frozenset[tuple[str, Pod]], now: float
    ) -> Allocation:
        """Nobody is known."""
        del readings, working, now
        return Allocation()


class KubeletSource:
    """The kubelet's pod-resources service, and ResourceSlices where devices are claimed.

    Args:
        clock, wall: monotonic and epoch seconds.
    """

    def __init__(
        self,
        settings: Holders,
        telemetry: Telemetry,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._client = Client(settings.socket, settings.resource_names)
        self._telemetry = telemetry
        self._clock = clock
        self._wall = wall
        self._slices = ResourceSlices(settings.node, clock) if settings.resource_slices else None
        itself = Pod(settings.namespace, settings.pod) if settings.pod else None
        self._ledger = Ledger(self._resolve, itself, self._count)
        self._complaint = ""

    def _resolve(self, claimed: Claimed) -> str | None:
        return self._slices.find(claimed) if self._slices else None

    def _count(self, reason: str) -> None:
        self._telemetry.attribution_errors.labels(reason).inc()

    def refresh(self) -> None:
        """Asks the kubelet; its failure keeps the last answer."""
        try:
            answer = self._client.look()
        except Unavailable as failure:
            self._count(failure.reason)
            self._complain(str(failure))
            return
        if self._slices is not None:
            claimed = {(c.pool, c.device) for grant in answer.grants for c in grant.claimed}
            try:
                self._slices.refresh(claimed)
            except (OSError, ValueError, KeyError) as error:
                self._count("resource_slices")
                _logger.warning("cannot read ResourceSlices", extra={"error": str(error)})
        self._ledger.take(answer, self._clock())
        self._telemetry.attribution_success.labels("daemonset").set(self._wall())
        self._complain("")

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            if text:
                _logger.warning("holders of GPUs are not known", extra={"error": text})
            else:
                _logger.info("holders of GPUs are known again")

    def allocation(
        self, readings: Iterable[Reading], working: frozenset[tuple[str, Pod]], now: float
    ) -> Allocation:
        """As of the last answer, for five minutes."""
        units = Units(reading.unit for reading in readings)
        return self._ledger.allocation(units, working, now)


class SidecarSource:
    """Our own pod."""

    def __init__(self, settings: Holders, telemetry: Telemetry, wall: Callable[[], float]) -> None:
        pod = Pod(settings.namespace, settings.pod)
        self._sidecar = Sidecar(pod, settings.gpu_uuids, settings.proc)
        self._telemetry = telemetry
        self._wall = wall

    def refresh(self) -> None:
        """Looks around in the pod."""
        self._sidecar.look()
        self._telemetry.attribution_success.labels("sidecar").set(self._wall())

    def allocation(
        self, readings: Iterable[Reading], working: frozenset[tuple[str, Pod]], now: float
    ) -> Allocation:
        """What the environment says is ours."""
        del working, now
        known = list(readings)
        foreign = frozenset(
            one.unit.uuid for one in known if self._sidecar.is_foreign(one.memory or ())
        )
        return self._sidecar.allocation(Units(one.unit for one in known), foreign)
