"""One interface over the ways to learn who holds what; `refresh` blocks, `allocations` does not.

`refresh` belongs to a worker thread, `allocations` to the sampling thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from metrics_apiserver.exporter.attribution.allocations import AllocationCache
from metrics_apiserver.exporter.attribution.deviceids import DeviceIndex
from metrics_apiserver.exporter.attribution.podresources import (
    ClaimedDevice,
    KubeletUnavailable,
    PodResourcesClient,
)
from metrics_apiserver.exporter.attribution.resourceslices import ResourceSlices
from metrics_apiserver.exporter.attribution.sidecar import Sidecar
from metrics_apiserver.exporter.model import NodeAllocations, Pod, Reading
from metrics_apiserver.exporter.settings import Holders
from metrics_apiserver.exporter.telemetry import ExporterTelemetry

_logger = logging.getLogger(__name__)


class AllocationSource(Protocol):
    """Where allocations come from."""

    def refresh(self) -> None:
        """Looks again; never raises."""

    def allocations(
        self, readings: Iterable[Reading], working: frozenset[tuple[str, Pod]], now: float
    ) -> NodeAllocations:
        """As of the last look; see `AllocationCache.allocations`."""


class NoAllocationSource:
    """Attribution is switched off: every series is the device's."""

    def refresh(self) -> None:
        """There is nothing to look at."""

    def allocations(
        self, readings: Iterable[Reading], working: frozenset[tuple[str, Pod]], now: float
    ) -> NodeAllocations:
        """Nobody is known."""
        del readings, working, now
        return NodeAllocations()


class KubeletSource:
    """The kubelet's pod-resources service, and ResourceSlices where devices are claimed.

    Args:
        clock, wall: monotonic and epoch seconds.
    """

    def __init__(
        self,
        settings: Holders,
        telemetry: ExporterTelemetry,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._client = PodResourcesClient(settings.socket, settings.resource_names)
        self._telemetry = telemetry
        self._clock = clock
        self._wall = wall
        self._slices = ResourceSlices(settings.node, clock) if settings.resource_slices else None
        itself = Pod(settings.namespace, settings.pod) if settings.pod else None
        self._cache = AllocationCache(self._resolve, itself, self._count)
        self._complaint = ""

    def _resolve(self, claimed: ClaimedDevice) -> str | None:
        return self._slices.find(claimed) if self._slices else None

    def _count(self, reason: str) -> None:
        self._telemetry.attribution_errors.labels(reason).inc()

    def refresh(self) -> None:
        """Asks the kubelet; its failure keeps the last response."""
        try:
            response = self._client.fetch()
        except KubeletUnavailable as failure:
            self._count(failure.reason)
            self._complain(str(failure))
            return
        if self._slices is not None:
            claimed = {
                (c.pool, c.device) for resources in response.containers for c in resources.claimed
            }
            try:
                self._slices.refresh(claimed)
            except (OSError, ValueError, KeyError) as error:
                self._count("resource_slices")
                _logger.warning("cannot read ResourceSlices", extra={"error": str(error)})
        self._cache.store(response, self._clock())
        self._telemetry.attribution_success.labels("daemonset").set(self._wall())
        self._complain("")

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            if text:
                _logger.warning("holders of GPUs are not known", extra={"error": text})
            else:
                _logger.info("holders of GPUs are known again")

    def allocations(
        self, readings: Iterable[Reading], working: frozenset[tuple[str, Pod]], now: float
    ) -> NodeAllocations:
        """As of the last response, for five minutes."""
        devices = DeviceIndex(reading.device for reading in readings)
        return self._cache.allocations(devices, working, now)


class SidecarSource:
    """Our own pod."""

    def __init__(
        self, settings: Holders, telemetry: ExporterTelemetry, wall: Callable[[], float]
    ) -> None:
        pod = Pod(settings.namespace, settings.pod)
        self._sidecar = Sidecar(pod, settings.gpu_uuids, settings.proc)
        self._telemetry = telemetry
        self._wall = wall

    def refresh(self) -> None:
        """Looks around in the pod."""
        self._sidecar.refresh()
        self._telemetry.attribution_success.labels("sidecar").set(self._wall())

    def allocations(
        self, readings: Iterable[Reading], working: frozenset[tuple[str, Pod]], now: float
    ) -> NodeAllocations:
        """What the environment says is ours."""
        del working, now
        known = list(readings)
        foreign = frozenset(
            one.device.uuid for one in known if self._sidecar.is_foreign(one.memory or ())
        )
        return self._sidecar.allocations(DeviceIndex(one.device for one in known), foreign)
