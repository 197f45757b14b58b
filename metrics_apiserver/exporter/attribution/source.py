"""The sources of allocations behind one interface: the kubelet, the own pod, or none.

`refresh` may block and is called by a thread of its own; `allocations` never blocks and is called
by the sampling thread.
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
from metrics_apiserver.exporter.attribution.settings import AttributionSettings
from metrics_apiserver.exporter.attribution.sidecar import Sidecar
from metrics_apiserver.exporter.model import NodeAllocations, Pod, Reading
from metrics_apiserver.exporter.telemetry import ExporterTelemetry

_logger = logging.getLogger(__name__)


class AllocationSource(Protocol):
    """Where allocations come from."""

    def refresh(self) -> None:
        """Fetches the allocations again; never raises."""

    def allocations(
        self, readings: Iterable[Reading], active: frozenset[tuple[str, Pod]], now: float
    ) -> NodeAllocations:
        """As of the last refresh; see `AllocationCache.allocations`."""


class NoAllocationSource:
    """Attribution is disabled: no series names a pod."""

    def refresh(self) -> None:
        """Does nothing."""

    def allocations(
        self, readings: Iterable[Reading], active: frozenset[tuple[str, Pod]], now: float
    ) -> NodeAllocations:
        """No known allocations."""
        del readings, active, now
        return NodeAllocations()


class KubeletSource:
    """The kubelet's pod-resources service, and ResourceSlices for devices of ResourceClaims.

    Args:
        clock: monotonic seconds.
        wall: epoch seconds.
    """

    def __init__(
        self,
        settings: AttributionSettings,
        telemetry: ExporterTelemetry,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._client = PodResourcesClient(settings.socket, settings.resource_names)
        self._telemetry = telemetry
        self._clock = clock
        self._wall = wall
        self._slices = ResourceSlices(settings.node, clock) if settings.resource_slices else None
        own_pod = Pod(settings.namespace, settings.pod) if settings.pod else None
        self._cache = AllocationCache(self._resolve, own_pod, self._count)
        self._last_error = ""

    def _resolve(self, claimed: ClaimedDevice) -> str | None:
        return self._slices.find(claimed) if self._slices else None

    def _count(self, reason: str) -> None:
        self._telemetry.attribution_errors.labels(reason).inc()

    def refresh(self) -> None:
        """Calls the kubelet; after an error the last response stays in use."""
        try:
            response = self._client.fetch()
        except KubeletUnavailable as failure:
            self._count(failure.reason)
            self._log_change(str(failure))
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
        self._log_change("")

    def _log_change(self, text: str) -> None:
        if text != self._last_error:
            self._last_error = text
            if text:
                _logger.warning("cannot fetch GPU allocations", extra={"error": text})
            else:
                _logger.info("GPU allocations are available again")

    def allocations(
        self, readings: Iterable[Reading], active: frozenset[tuple[str, Pod]], now: float
    ) -> NodeAllocations:
        """As of the last response, for up to five minutes."""
        devices = DeviceIndex(reading.device for reading in readings)
        return self._cache.allocations(devices, active, now)


class SidecarSource:
    """The pod the exporter runs in."""

    def __init__(
        self, settings: AttributionSettings, telemetry: ExporterTelemetry, wall: Callable[[], float]
    ) -> None:
        pod = Pod(settings.namespace, settings.pod)
        self._sidecar = Sidecar(pod, settings.gpu_uuids, settings.proc)
        self._telemetry = telemetry
        self._wall = wall

    def refresh(self) -> None:
        """Discovers the GPUs of the pod."""
        self._sidecar.refresh()
        self._telemetry.attribution_success.labels("sidecar").set(self._wall())

    def allocations(
        self, readings: Iterable[Reading], active: frozenset[tuple[str, Pod]], now: float
    ) -> NodeAllocations:
        """As found at the last refresh."""
        del active, now
        known = list(readings)
        foreign = frozenset(
            one.device.uuid for one in known if self._sidecar.is_foreign(one.memory or ())
        )
        return self._sidecar.allocations(DeviceIndex(one.device for one in known), foreign)
