"""Wiring: builds the parts, starts the threads, serves HTTP, and shuts everything down.

On SIGTERM it stops accepting connections, shuts NVML down and exits within two seconds. It exits by
itself with code 1 if only a new process can help: an unrecoverable NVML error, or a thread that has
hung in the driver for two minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    ProcessCollector,
    disable_created_metrics,
)

from metrics_apiserver.base import logs
from metrics_apiserver.base.clock import wall_clock
from metrics_apiserver.exporter.attribution.owners import ProcessOwners
from metrics_apiserver.exporter.attribution.podlogs import PodLogs
from metrics_apiserver.exporter.attribution.source import (
    AllocationSource,
    KubeletSource,
    NoAllocationSource,
    SidecarSource,
)
from metrics_apiserver.exporter.composer import Composer, ComposerInputs
from metrics_apiserver.exporter.exposition import ExpositionStore
from metrics_apiserver.exporter.families.dcgmtable import UNSUPPORTED
from metrics_apiserver.exporter.sampler import Sampler
from metrics_apiserver.exporter.settings import ExporterSettings
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from metrics_apiserver.exporter.threads import AttributionThread, SamplingThread
from metrics_apiserver.exporter.usage import UsageMeter
from metrics_apiserver.exporter.watchdog import Heartbeat
from metrics_apiserver.exporter.web.config import WebConfigError
from metrics_apiserver.exporter.web.handlers import Handlers
from metrics_apiserver.exporter.web.listeners import Listeners, open_sockets

_logger = logging.getLogger(__name__)

_STOP_SECONDS = 1.5
# A scrape must not wait for a whole GIL switch interval of the sampling thread (default 5 ms).
_SWITCH_SECONDS = 0.0005


@dataclass(frozen=True, slots=True)
class Exporter:
    """The parts of one process."""

    store: ExpositionStore
    telemetry: ExporterTelemetry
    sampling: SamplingThread
    attribution: AttributionThread


def build(settings: ExporterSettings, ended: Callable[[], None]) -> Exporter:
    """Builds everything but HTTP and starts nothing.

    Args:
        settings: of the whole exporter.
        ended: called from the sampling thread when it ends by itself.
    """
    clock = time.monotonic
    telemetry = ExporterTelemetry(CollectorRegistry())
    heartbeat = Heartbeat(clock)
    store = ExpositionStore(settings.sampling, heartbeat, clock)
    holders = settings.holders
    owners = None
    if settings.sampling.processes:
        names = PodLogs(holders.pod_logs, holders.container_logs, clock)
        owners = ProcessOwners(holders.proc, names, clock)
    source = _source(settings, telemetry)
    attribution = AttributionThread(source, holders.poll_seconds)
    sampler = Sampler(
        settings.sampling,
        telemetry,
        heartbeat,
        alive=owners.is_alive if owners else None,
        wall=wall_clock,
        now=clock(),
    )

    def count_error(reason: str) -> None:
        telemetry.attribution_errors.labels(reason).inc()

    window = settings.sampling.window_seconds
    inputs = ComposerInputs(
        source=source,
        meter=UsageMeter(window, owners.find if owners else None, count_error),
        telemetry=telemetry,
        restart_windows=sampler.restart_windows,
        wake=attribution.wake,
        wants_gzip=store.wants_gzip,
        wall=wall_clock,
    )
    sampling = SamplingThread(
        sampler,
        Composer(settings.exposition, inputs, window),
        store,
        telemetry,
        interval_seconds=settings.sampling.interval_seconds,
        ended=ended,
        clock=clock,
    )
    return Exporter(store, telemetry, sampling, attribution)


def _source(settings: ExporterSettings, telemetry: ExporterTelemetry) -> AllocationSource:
    holders = settings.holders
    if holders.attribution == "daemonset":
        return KubeletSource(holders, telemetry, time.monotonic, wall_clock)
    if holders.attribution == "sidecar":
        return SidecarSource(holders, telemetry, wall_clock)
    return NoAllocationSource()


def run(settings: ExporterSettings) -> int:
    """Serves until it is stopped; returns the exit code."""
    logs.configure_level(settings.log_level, settings.log_format)
    disable_created_metrics()  # type: ignore[no-untyped-call] # the library left it untyped
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        return asyncio.run(_serve(settings))
    except (OSError, WebConfigError) as error:
        _logger.critical("cannot serve", extra={"error": str(error)})
        return 1


async def _serve(settings: ExporterSettings) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def end() -> None:
        # The loop may be closed already while the process exits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    exporter = build(settings, end)
    ProcessCollector(registry=exporter.telemetry.registry)
    GCCollector(registry=exporter.telemetry.registry)
    handlers = Handlers(exporter.store, exporter.telemetry, settings.web.telemetry_path)
    listeners = Listeners(
        settings.web, handlers.application, exporter.telemetry, open_sockets(settings.web.listen)
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    _logger.info("metrics that NVML cannot supply", extra={"metrics": ", ".join(UNSUPPORTED)})
    exporter.attribution.start()
    exporter.sampling.start()
    try:
        await listeners.start()
        async with asyncio.TaskGroup() as group:
            loops = [
                group.create_task(listeners.run(), name="web configuration"),
                group.create_task(_watch(exporter.store), name="watchdog"),
            ]
            await ended.wait()
            for one in loops:
                one.cancel()
    finally:
        deadline = time.monotonic() + _STOP_SECONDS
        exporter.attribution.stop()
        exporter.sampling.stop()
        await listeners.close()
    await _join(exporter.sampling, deadline)
    failure = exporter.sampling.failure
    if failure is not None:
        _logger.critical("exporter exits", extra={"error": failure})
        return 1
    return 0


async def _join(thread: SamplingThread, deadline: float) -> None:
    while thread.is_alive() and time.monotonic() < deadline:  # noqa: ASYNC110 - a thread has no event
        await asyncio.sleep(0.02)
    if thread.is_alive():
        _logger.warning("the sampling thread does not end", extra={"in": "NVML"})


async def _watch(store: ExpositionStore) -> None:
    """Exits the process when its sampling thread is dead."""
    while True:
        await asyncio.sleep(1.0)
        if store.heartbeat.state == "dead":
            _logger.critical(
                "sampling hangs; exporter exits", extra={"call": store.heartbeat.doing}
            )
            # Skips every exit handler that would wait for the thread.
            os._exit(1)
