"""One server process: made whole or not at all, run, drained."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import time

from metrics_apiserver import __version__
from metrics_apiserver.api import health, server
from metrics_apiserver.api.connection import Limits
from metrics_apiserver.api.counters import ServingMetrics
from metrics_apiserver.api.handler import Columns
from metrics_apiserver.api.health import ProcessState
from metrics_apiserver.api.server import Server
from metrics_apiserver.app import backends, cluster, http, standalone, upstream
from metrics_apiserver.app.environment import Environment
from metrics_apiserver.app.lag import LagMeter
from metrics_apiserver.app.periodic import PeriodicWork
from metrics_apiserver.app.supervisor import Loop, Supervisor
from metrics_apiserver.base.collect import ErrorCollector
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.certs.serving import ServingContext
from metrics_apiserver.controllers import serving_pair
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.options.settings import ServeSettings
from metrics_apiserver.prometheus.client import PrometheusClient
from metrics_apiserver.provider.counters import ProviderMetrics

log = logging.getLogger(__name__)

FINISH_SECONDS = 30.0
GC_THRESHOLDS = (20_000, 20, 50)
RELIST_TURN_SECONDS = 120.0  # more than the budgets of one turn's calls together


class Process:
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
        self._metrics = ProviderMetrics(self.telemetry)
        self.telemetry.build.labels(__version__).set(1)
        faults = ErrorCollector()
        paths = faults.of(lambda: http.make_allowed_paths(settings))
        prometheus = self._make_prometheus(faults)
        environment = None if settings.standalone else self._make_cluster(faults)
        if faults.errors:
            # Nothing more is made; what can be validated still is.
            faults.of(lambda: backends.load_rules(settings))
            _validate_serving(settings, faults)
        self._prometheus = faults.settle(prometheus)
        self._sources = backends.make_sources(
            settings, self._metrics, self._prometheus, self._mapper, self._on_snapshot
        )
        relister = self._sources.relister
        faults.of(self._sources.reloader.load_first)
        if settings.standalone:
            environment = faults.of(
                lambda: standalone.build_environment(settings, relister, self._prometheus)
            )
        if faults.errors:
            _validate_serving(settings, faults)
        self._environment: Environment = faults.settle(environment)
        self._serving = faults.settle(faults.of(self._make_serving))
        self._lag = LagMeter(self.telemetry.loop_lag_seconds.set)
        self._periodic = PeriodicWork(
            settings, self.telemetry, self._environment, self._serving, relister
        )
        self._requests = ServingMetrics(self.telemetry, self._environment.watched)
        gate = http.make_gate(settings, self._environment, faults.settle(paths), self._requests)
        probes = health.make_health(self._state(), self._environment.checks)
        self._api = http.make_api(settings, gate, self._make_columns(), probes, self._requests)

    def _make_prometheus(self, faults: ErrorCollector) -> PrometheusClient | None:
        settings = self._settings
        credentials = faults.of(lambda: upstream.from_kubeconfig(settings))
        return faults.of(lambda: backends.make_prometheus(settings, self.telemetry, credentials))

    def _make_cluster(self, faults: ErrorCollector) -> Environment | None:
        return cluster.build_environment(
            self._settings,
            faults,
            self.telemetry,
            self._supervisor.spawn,
            self._on_mapper,
            # At once, so that readiness is not reported before the next handshake knows them.
            self._on_trust,
        )

    def _make_columns(self) -> Columns:
        return backends.make_columns(
            self._settings,
            self._metrics,
            self._prometheus,
            self._sources.relister.current,
            self._environment.objects,
            self._supervisor.spawn,
        )

    def _state(self) -> ProcessState:
        return ProcessState(
            is_stopping=self._stop.is_set,
            loop_ticked=lambda: self._lag.ticked,
            relisted=lambda: self._sources.relister.snapshot is not None,
            relist_overdue=self._is_relist_overdue,
        )

    def _make_serving(self) -> ServingContext:
        environment = self._environment
        return serving_pair.make_serving(
            self._settings, environment.pair_paths, environment.client_authorities
        )

    def _mapper(self) -> RESTMapper | None:
        return self._environment.mapper()

    def _on_trust(self) -> None:
        self._serving.reload_once()

    def _on_mapper(self, _mapper: RESTMapper) -> None:
        self._sources.relister.wake()

    def _on_snapshot(self, snapshot: Snapshot | None) -> None:
        self._api.discovery.update(snapshot)

    def _is_relist_overdue(self) -> bool:
        """A turn and its wait are bounded; far beyond both, the loop hangs."""
        relister = self._sources.relister
        limit = self._settings.relist.interval_seconds * 1.5 + RELIST_TURN_SECONDS
        return time.monotonic() - max(relister.last_turn, self._started) > limit

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
            listener = server.bind(settings.serving.bind_address, settings.serving.port)
        except OSError as error:
            log.critical(
                "cannot listen",
                extra={
                    "address": f"{settings.serving.bind_address}:{settings.serving.port}",
                    "error": error.strerror or str(error),
                },
            )
            await self._close()
            return 1
        http_server = Server(
            self._api.handler,
            self._serving.current,
            Limits(connections=settings.serving.max_connections),
        )
        self._requests.export_gauges(http_server, self._api.in_flight)
        self._handle_signals()
        # What start-up made stays: no collection needs to walk it again.
        gc.collect()
        gc.freeze()
        # Answers are trees without cycles: looking for garbage in them each time only stalls.
        gc.set_threshold(*GC_THRESHOLDS)
        return await self._serve(http_server, listener)

    async def _serve(self, http_server: Server, listener: socket.socket) -> int:
        host, port = listener.getsockname()[:2]
        log.info("serving", extra={"address": f"{host}:{port}", "version": __version__})
        ended = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(http_server.serve(listener))
                work = group.create_task(self._supervisor.run(self._loops(http_server), ended))
                stop = group.create_task(self._stop.wait())
                await asyncio.wait((stop, work), return_when=asyncio.FIRST_COMPLETED)
                good = not work.done()
                stop.cancel()
                await self._drain(http_server, quick=not good)
                ended.set()
                await serving
                good = await work and good
        finally:
            await self._close()
        log.info("stopped", extra={"clean": good})
        return 0 if good else 1

    def _loops(self, http_server: Server) -> dict[str, Loop]:
        def after_reload() -> None:
            http_server.close_outdated()
            self._requests.count_refusals(http_server, self._api.in_flight)

        return {
            **self._environment.loops,
            **self._periodic.loops(after_reload),
            "rule reload": self._sources.reloader.run,
            "relist": self._sources.relister.run,
            "event loop lag": self._lag.run,
        }

    async def _drain(self, http_server: Server, *, quick: bool) -> None:
        """Readiness fails first, then answers close their connections, then nothing is taken."""
        http_server.begin_drain()
        if not quick:
            await asyncio.sleep(self._settings.serving.drain_seconds)
        await http_server.finish(FINISH_SECONDS)

    async def _close(self) -> None:
        await self._prometheus.close()
        await self._environment.close()

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


def _validate_serving(settings: ServeSettings, faults: ErrorCollector) -> None:
    """Validates a given pair; one of its own is not made for a process that will not serve."""
    if settings.serving.cert_file:
        faults.of(lambda: serving_pair.make_serving(settings, None, lambda: b""))
