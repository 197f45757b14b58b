"""Builds one server process from its settings: everything, or nothing and every error at once.

Nothing is asked, listened on or started here. Where something cannot be used, no more is built,
but what can still be validated is, so that one start names all errors. What is built early
reaches what is built later through the builder.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from metrics_apiserver import __version__
from metrics_apiserver.api import health
from metrics_apiserver.api.counters import ServingMetrics
from metrics_apiserver.api.handler import Columns
from metrics_apiserver.api.health import ProcessState
from metrics_apiserver.app import backends, cluster, http, standalone, upstream
from metrics_apiserver.app.backends import Sources
from metrics_apiserver.app.environment import Environment
from metrics_apiserver.app.http import HTTPAPI
from metrics_apiserver.app.lag import LagMeter
from metrics_apiserver.app.periodic import PeriodicWork
from metrics_apiserver.app.supervisor import Supervisor
from metrics_apiserver.base.collect import ErrorCollector
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.certs.serving import ServingContext
from metrics_apiserver.controllers import serving_pair
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.options.settings import ServeSettings
from metrics_apiserver.prometheus.client import PrometheusClient
from metrics_apiserver.provider.counters import ProviderMetrics
from metrics_apiserver.provider.relist import Relister

RELIST_TURN_SECONDS = 120.0  # more than the budgets of one turn's calls together


@dataclass(frozen=True, slots=True)
class Components:
    """What a process runs, drains and closes.

    Attributes:
        settings: what the flags say.
        stopping: set when the process was asked to end; readiness fails from then on.
        supervisor: for the long-lived tasks, and for the work that they start.
        environment: cluster or standalone.
        prometheus: the client.
        sources: the reloader and the relister.
        serving: the TLS context.
        lag: measures the event loop.
        periodic: small work that comes again and again.
        requests: counts for the HTTP side.
        api: the handler of the Server.
    """

    settings: ServeSettings
    stopping: asyncio.Event
    supervisor: Supervisor
    environment: Environment
    prometheus: PrometheusClient
    sources: Sources
    serving: ServingContext
    lag: LagMeter
    periodic: PeriodicWork
    requests: ServingMetrics
    api: HTTPAPI


def build(settings: ServeSettings) -> Components:
    """Everything of one process.

    Raises:
        ExceptionGroup: of errors.ConfigError, everything that cannot be used.
    """
    return _ProcessBuilder(settings).build()


class _ProcessBuilder:
    """What is built so far."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._started = time.monotonic()
        self._stopping = asyncio.Event()
        self._supervisor = Supervisor()
        self._telemetry = Telemetry()
        self._telemetry.build.labels(__version__).set(1)
        self._metrics = ProviderMetrics(self._telemetry)
        self._lag = LagMeter(self._telemetry.loop_lag_seconds.set)

    def build(self) -> Components:
        settings, collected = self._settings, ErrorCollector()
        paths = collected.of(lambda: http.make_allowed_paths(settings))
        prometheus = self._make_prometheus(collected)
        environment = None if settings.standalone else self._make_cluster(collected)
        if collected.errors:
            collected.of(lambda: backends.load_rules(settings))
            _validate_serving(settings, collected)
        self._prometheus = collected.settle(prometheus)
        self._sources = self._make_sources()
        collected.of(self._sources.reloader.load_first)
        if settings.standalone:
            environment = collected.of(self._make_standalone)
        if collected.errors:
            _validate_serving(settings, collected)
        self._environment: Environment = collected.settle(environment)
        self._serving = collected.settle(collected.of(self._make_serving))
        requests = ServingMetrics(self._telemetry, self._environment.watched)
        gate = http.make_gate(settings, self._environment, collected.settle(paths), requests)
        probes = health.make_health(self._make_state(), self._environment.checks)
        self._api = http.make_api(settings, gate, self._make_columns(), probes, requests)
        return Components(
            settings=settings,
            stopping=self._stopping,
            supervisor=self._supervisor,
            environment=self._environment,
            prometheus=self._prometheus,
            sources=self._sources,
            serving=self._serving,
            lag=self._lag,
            periodic=self._make_periodic(),
            requests=requests,
            api=self._api,
        )

    def _make_prometheus(self, collected: ErrorCollector) -> PrometheusClient | None:
        settings = self._settings
        credentials = collected.of(lambda: upstream.from_kubeconfig(settings))
        return collected.of(
            lambda: backends.make_prometheus(settings, self._telemetry, credentials)
        )

    def _make_cluster(self, collected: ErrorCollector) -> Environment | None:
        def on_mapper(_mapper: RESTMapper) -> None:
            self._sources.relister.wake()

        def on_trust() -> None:
            # At once, so that readiness is not reported before the next handshake knows them.
            self._serving.reload_once()

        return cluster.build_environment(
            self._settings,
            collected,
            self._telemetry,
            self._supervisor.spawn,
            on_mapper,
            on_trust,
        )

    def _make_standalone(self) -> Environment:
        return standalone.build_environment(
            self._settings, self._sources.relister, self._prometheus
        )

    def _make_sources(self) -> Sources:
        def mapper() -> RESTMapper | None:
            return self._environment.mapper()

        def on_snapshot(snapshot: Snapshot | None) -> None:
            self._api.discovery.update(snapshot)

        return backends.make_sources(
            self._settings, self._metrics, self._prometheus, mapper, on_snapshot
        )

    def _make_serving(self) -> ServingContext:
        environment = self._environment
        return serving_pair.make_serving(
            self._settings, environment.pair_paths, environment.client_authorities
        )

    def _make_columns(self) -> Columns:
        return backends.make_columns(
            self._settings,
            self._metrics,
            self._prometheus,
            self._sources.relister,
            self._environment.objects,
            self._supervisor.spawn,
        )

    def _make_periodic(self) -> PeriodicWork:
        return PeriodicWork(
            self._settings,
            self._telemetry,
            self._environment,
            self._serving,
            self._sources.relister,
        )

    def _make_state(self) -> ProcessState:
        relister, interval = self._sources.relister, self._settings.relist.interval_seconds
        return ProcessState(
            is_stopping=self._stopping.is_set,
            loop_ticked=lambda: self._lag.ticked,
            relisted=lambda: relister.snapshot is not None,
            relist_overdue=lambda: is_relist_overdue(
                relister, interval, self._started, time.monotonic()
            ),
        )


def is_relist_overdue(
    relister: Relister, interval_seconds: float, started: float, now: float
) -> bool:
    """Whether the relist loop hangs: a turn and its wait are bounded, and this is far beyond both.

    Args:
        relister: knows its last turn.
        interval_seconds: between turns.
        started: when the process began, on the clock of `now`.
        now: monotonic seconds.
    """
    limit = interval_seconds * 1.5 + RELIST_TURN_SECONDS
    return now - max(relister.last_turn, started) > limit


def _validate_serving(settings: ServeSettings, collected: ErrorCollector) -> None:
    """Validates a given pair; one of its own is not made for a process that will not serve."""
    if settings.serving.cert_file:
        collected.of(lambda: serving_pair.make_serving(settings, None, lambda: b""))
