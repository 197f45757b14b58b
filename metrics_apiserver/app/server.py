"""One server process: made whole or not at all, run, drained."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import TypeVar

from metrics_apiserver import __version__
from metrics_apiserver.api import door
from metrics_apiserver.api.connection import Limits
from metrics_apiserver.api.door import Door
from metrics_apiserver.app import alone, backends, cluster, site, tls, upstream
from metrics_apiserver.app.lag import LagMeter
from metrics_apiserver.app.site import Vitals
from metrics_apiserver.app.supervisor import Loop, Supervisor
from metrics_apiserver.app.world import World
from metrics_apiserver.certs.serving import ServingContext
from metrics_apiserver.core import errors
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.settings import ServeSettings
from metrics_apiserver.telemetry import Telemetry

log = logging.getLogger(__name__)

FINISH_SECONDS = 30.0
WAITING_SECONDS = 30.0
RELIST_TURN_SECONDS = 120.0  # more than the budgets of one turn's calls together

T = TypeVar("T")


class _Faults:
    """Gathers what cannot be used, so that all of it is said at once."""

    def __init__(self) -> None:
        self.errors: list[errors.ConfigError] = []

    def of(self, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except errors.ConfigError as error:
            self.errors.append(error)
            return None

    def raise_any(self) -> None:
        if self.errors:
            raise ExceptionGroup("start refused", self.errors)


class Server:
    """Everything of one process.

    Args:
        settings: what the flags say.

    Raises:
        ExceptionGroup: of errors.ConfigError, everything that cannot be used.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._started = time.monotonic()
        self._stop = asyncio.Event()
        self._supervisor = Supervisor()
        self.telemetry = Telemetry()
        self.telemetry.build.labels(__version__).set(1)
        faults = _Faults()
        credentials = faults.of(lambda: upstream.from_kubeconfig(settings))
        prometheus = faults.of(
            lambda: backends.make_prometheus(settings, self.telemetry, credentials)
        )
        world = None if settings.standalone else faults.of(self._make_cluster)
        if prometheus is None or (world is None and not settings.standalone):
            faults.of(lambda: backends.load_rules(settings))
            faults.of(lambda: tls.make_serving(settings, None, lambda: b""))
            faults.raise_any()
            raise AssertionError("unreachable: nothing is missing without a fault")
        self._prometheus = prometheus
        self._sources = backends.make_sources(
            settings, self.telemetry, prometheus, self._mapper, self._on_snapshot
        )
        faults.of(self._sources.reloader.load_first)
        self._world = world or alone.make_world(
            settings, lambda: self._sources.relister.rules, prometheus
        )
        serving = faults.of(lambda: tls.make_serving(settings, self._world.where, self._client_ca))
        faults.raise_any()
        if serving is None:
            raise AssertionError("unreachable: nothing is missing without a fault")
        self._serving: ServingContext = serving
        self._lag = LagMeter(self.telemetry.loop_lag_seconds.set)
        columns = backends.make_columns(
            settings,
            self.telemetry,
            prometheus,
            lambda: self._sources.relister.snapshot,
            self._world.objects,
            self._supervisor.spawn,
        )
        relister = self._sources.relister
        vitals = Vitals(
            is_stopping=self._stop.is_set,
            loop_ticked=lambda: self._lag.ticked,
            relisted=lambda: relister.turns > 0,
            relist_overdue=self._is_relist_overdue,
        )
        front = faults.of(
            lambda: site.make_front(settings, self._world, columns, vitals, self.telemetry)
        )
        faults.raise_any()
        if front is None:
            raise AssertionError("unreachable: nothing is missing without a fault")
        self._front: site.Front = front

    def _make_cluster(self) -> World:
        return cluster.make_world(
            self._settings,
            self._supervisor.spawn,
            self._on_mapper,
            # At once, so that nobody is told "ready" before the next handshake knows them.
            self._on_trust,
        )

    def _mapper(self) -> RESTMapper | None:
        return self._world.mapper()

    def _on_trust(self) -> None:
        self._serving.reload_once()

    def _on_mapper(self, _mapper: RESTMapper) -> None:
        self._sources.relister.wake()

    def _on_snapshot(self, snapshot: Snapshot | None) -> None:
        self._front.discovery.update(snapshot)

    def _is_relist_overdue(self) -> bool:
        """A turn and its wait are bounded; far beyond both, the loop hangs."""
        relister = self._sources.relister
        limit = self._settings.relist.interval_seconds * 1.5 + RELIST_TURN_SECONDS
        return time.monotonic() - max(relister.last_turn, self._started) > limit

    def _client_ca(self) -> bytes:
        trusted = self._world.authentication()
        return trusted.client_ca + b"\n" + trusted.requestheader_ca

    # --- life ------------------------------------------------------------------------------

    async def run(self) -> int:
        """Serves until a signal; 0 after a drain, 1 when a loop ended or the port is taken."""
        settings = self._settings
        if settings.ignored_flags:
            log.warning(
                "flags without a meaning here",
                extra={"flags": " ".join(f"--{name}" for name in settings.ignored_flags)},
            )
        try:
            listener = door.bind(settings.serving.bind_address, settings.serving.port)
        except OSError as error:
            log.critical(
                "cannot listen",
                extra={
                    "address": f"{settings.serving.bind_address}:{settings.serving.port}",
                    "error": error.strerror or str(error),
                },
            )
            return 1
        entrance = Door(
            self._front.site,
            lambda: self._serving.context,
            Limits(connections=settings.serving.max_connections),
        )
        site.export_door(entrance, self._front.in_flight, self.telemetry)
        self._handle_signals()
        # What start-up made stays: no collection needs to walk it again.
        gc.collect()
        gc.freeze()
        return await self._serve(entrance, listener)

    async def _serve(self, entrance: Door, listener: socket.socket) -> int:
        host, port = listener.getsockname()[:2]
        log.info("serving", extra={"address": f"{host}:{port}", "version": __version__})
        ended = asyncio.Event()
        loops: dict[str, Loop] = {
            **self._world.loops,
            "rule reload": self._sources.reloader.run,
            "relist": self._sources.relister.run,
            "serving certificate": lambda: self._run_serving(entrance),
            "event loop lag": self._lag.run,
            "waiting rules": self._run_waiting,
        }
        try:
            async with asyncio.TaskGroup() as group:
                door_task = group.create_task(entrance.serve(listener))
                work = group.create_task(self._supervisor.run(loops, ended))
                stop = group.create_task(self._stop.wait())
                await asyncio.wait((stop, work), return_when=asyncio.FIRST_COMPLETED)
                good = not work.done()
                stop.cancel()
                await self._drain(entrance, quick=not good)
                ended.set()
                await door_task
                good = await work and good
        finally:
            await self._prometheus.close()
            await self._world.close()
        log.info("stopped", extra={"clean": good})
        return 0 if good else 1

    async def _drain(self, entrance: Door, *, quick: bool) -> None:
        """Readiness fails first, then answers close their connections, then nothing is taken."""
        entrance.begin_drain()
        if not quick:
            await asyncio.sleep(self._settings.serving.drain_seconds)
        await entrance.finish(FINISH_SECONDS)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)

    def _on_stop(self) -> None:
        if self._stop.is_set():
            # Asked twice: whoever asks does not want to wait.
            os._exit(1)
        log.info("stopping", extra={"drain_seconds": self._settings.serving.drain_seconds})
        self._stop.set()

    def _on_hangup(self) -> None:
        self._sources.reloader.wake()
        self._serving.reload_once()

    async def _run_serving(self, entrance: Door) -> None:
        while True:
            self._serving.reload_once()
            self.telemetry.certificate_expiry.set(self._serving.not_after)
            self.telemetry.certificate_reload_ok.set(self._serving.last_reload_successful)
            site.count_refusals(entrance, self._front.in_flight, self.telemetry)
            await asyncio.sleep(0.5)

    async def _run_waiting(self) -> None:
        """While a rule waits for a resource, the cluster is asked for it now and then."""
        while True:
            await asyncio.sleep(WAITING_SECONDS)
            snapshot = self._sources.relister.snapshot
            if snapshot is not None and any(p.kind == "waiting" for p in snapshot.problems):
                self._world.ask_mapper()
