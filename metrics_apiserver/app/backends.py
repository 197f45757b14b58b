"""Everything between the rule file, Prometheus and the three columns, wired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metrics_apiserver.api.handler import Columns
from metrics_apiserver.base.clock import wall_clock
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.core.registry import Snapshot, SnapshotSource
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.options.settings import ServeSettings
from metrics_apiserver.prometheus import credentials
from metrics_apiserver.prometheus.client import PrometheusClient
from metrics_apiserver.prometheus.counters import PrometheusMetrics
from metrics_apiserver.prometheus.credentials import PrometheusCredentials
from metrics_apiserver.prometheus.refusals import Refusals
from metrics_apiserver.provider import reload
from metrics_apiserver.provider.counters import ProviderMetrics
from metrics_apiserver.provider.custom import CustomProvider
from metrics_apiserver.provider.evaluation.evaluator import Evaluator, Spawn
from metrics_apiserver.provider.external import ExternalProvider
from metrics_apiserver.provider.listing import ObjectLister
from metrics_apiserver.provider.names import MappedLabels, NameDiscovery
from metrics_apiserver.provider.relist import Relister, RelistReport
from metrics_apiserver.provider.reload import Reloader
from metrics_apiserver.provider.resource import ResourceProvider


def make_prometheus(
    settings: ServeSettings, telemetry: Telemetry, kubeconfig: PrometheusCredentials | None
) -> PrometheusClient:
    """The Prometheus client.

    Raises:
        errors.ConfigError: a file that a flag names cannot be used.
    """
    metrics = PrometheusMetrics(telemetry, settings.prometheus.url)
    return PrometheusClient(
        settings.prometheus,
        credentials.from_settings(settings.prometheus, kubeconfig),
        observe=metrics.observe,
        refusals=Refusals(metrics.refused),
    )


def load_rules(settings: ServeSettings) -> None:
    """Validates the rule file without using it.

    Raises:
        errors.ConfigError: the file as a whole cannot be used.
    """
    reload.load(Path(settings.config), quarantine=True)


@dataclass(slots=True)
class Sources:
    """What is known, and the loops that keep it so."""

    reloader: Reloader
    relister: Relister


def make_sources(
    settings: ServeSettings,
    metrics: ProviderMetrics,
    prometheus: PrometheusClient,
    mapper: Callable[[], RESTMapper | None],
    on_snapshot: Callable[[Snapshot | None], None],
) -> Sources:
    """The reloader and the relister, the rule file not yet loaded."""

    def report(outcome: RelistReport, snapshot: Snapshot | None) -> None:
        metrics.count_relist(relister.rules, outcome, snapshot)
        on_snapshot(snapshot)

    labels = MappedLabels(lambda: relister.rules, mapper)
    discovery = NameDiscovery(prometheus, labels, settings.relist.max_age_seconds)
    relister = Relister(discovery, mapper, settings.relist, report=report, wall=wall_clock)
    reloader = Reloader(Path(settings.config), relister.use, report=metrics.count_reload)
    return Sources(reloader, relister)


def make_columns(
    settings: ServeSettings,
    metrics: ProviderMetrics,
    prometheus: PrometheusClient,
    snapshots: SnapshotSource,
    objects: ObjectLister,
    spawn: Spawn,
) -> Columns:
    """The providers over one evaluator."""
    evaluator = Evaluator(
        prometheus, settings.evaluation, spawn=spawn, observe=metrics.count_evaluation
    )
    count = metrics.count_left_out
    return Columns(
        CustomProvider(snapshots, objects, evaluator, count),
        ExternalProvider(snapshots, evaluator, count),
        ResourceProvider(snapshots, objects, evaluator, wall=wall_clock, count=count),
    )
