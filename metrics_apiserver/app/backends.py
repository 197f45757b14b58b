"""Everything between the rule file, Prometheus and the three columns, wired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metrics_apiserver.api.handler import Columns
from metrics_apiserver.base.clock import wall_clock
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.core import diagnostics, values
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules.config import RuleFile
from metrics_apiserver.options.settings import ServeSettings
from metrics_apiserver.prometheus import credentials
from metrics_apiserver.prometheus.client import PrometheusClient
from metrics_apiserver.prometheus.credentials import PrometheusCredentials
from metrics_apiserver.provider import reload
from metrics_apiserver.provider.custom import CustomProvider
from metrics_apiserver.provider.evaluation.evaluator import Evaluator, Spawn
from metrics_apiserver.provider.external import ExternalProvider
from metrics_apiserver.provider.listing import ObjectLister
from metrics_apiserver.provider.names import MappedLabels, NameDiscovery
from metrics_apiserver.provider.relist import Relister, RelistReport
from metrics_apiserver.provider.reload import Reloader
from metrics_apiserver.provider.resource import ResourceProvider

_PATHS = {
    "query": "/api/v1/query",
    "series": "/api/v1/series",
    "label_values": "/api/v1/label/:name/values",
    "label_names": "/api/v1/labels",
}
_EVALUATIONS = ("bulk", "exact", "shared", "fallback")


def make_prometheus(
    settings: ServeSettings, telemetry: Telemetry, kubeconfig: PrometheusCredentials | None
) -> PrometheusClient:
    """The Prometheus client.

    Raises:
        errors.ConfigError: a file that a flag names cannot be used.
    """

    def observe(endpoint: str, outcome: str, seconds: float) -> None:
        telemetry.prometheus_requests.labels(endpoint, outcome).inc()
        telemetry.prometheus_seconds.labels(_PATHS[endpoint], settings.prometheus.url).observe(
            seconds
        )
        if outcome == "partial":
            telemetry.prometheus_warnings.inc()

    return PrometheusClient(
        settings.prometheus,
        credentials.from_settings(settings.prometheus, kubeconfig),
        observe=observe,
    )


def load_rules(settings: ServeSettings) -> None:
    """Validates the rule file without using it.

    Raises:
        errors.ConfigError: the file cannot be read or holds faults.
    """
    reload.load(Path(settings.config))


@dataclass(slots=True)
class Sources:
    """What is known, and the loops that keep it so."""

    reloader: Reloader
    relister: Relister


def make_sources(
    settings: ServeSettings,
    telemetry: Telemetry,
    prometheus: PrometheusClient,
    mapper: Callable[[], RESTMapper | None],
    on_snapshot: Callable[[Snapshot | None], None],
) -> Sources:
    """The reloader and the relister, the rule file not yet loaded."""

    def report(outcome: RelistReport, snapshot: Snapshot | None) -> None:
        telemetry.relist_seconds.set(outcome.seconds)
        telemetry.relist_timestamp.set_to_current_time()
        _report_failures(telemetry, relister.rules, outcome)
        if snapshot is not None:
            _report_snapshot(telemetry, snapshot)
        on_snapshot(snapshot)

    def reloaded(good: bool) -> None:
        telemetry.config_reload_ok.set(good)
        if good:
            telemetry.config_reload_timestamp.set_to_current_time()

    labels = MappedLabels(lambda: relister.rules, mapper)
    discovery = NameDiscovery(prometheus, labels, settings.relist.max_age_seconds)
    relister = Relister(discovery, mapper, settings.relist, report=report, wall=wall_clock)
    reloader = Reloader(Path(settings.config), relister.use, report=reloaded)
    return Sources(reloader, relister)


def _report_failures(telemetry: Telemetry, rules: RuleFile, outcome: RelistReport) -> None:
    for rule in (*rules.rules, *rules.external_rules):
        if rule.series_query in outcome.failed:
            telemetry.relist_failures.labels(rule.path).inc()


def _report_snapshot(telemetry: Telemetry, snapshot: Snapshot) -> None:
    telemetry.metrics.labels("custom").set(len(snapshot.custom))
    telemetry.metrics.labels("external").set(len(snapshot.external))
    telemetry.rule_problems.clear()
    for found in snapshot.diagnostics:
        telemetry.rule_problems.labels(diagnostics.CATALOGUE[found.code].name).inc()


def make_columns(
    settings: ServeSettings,
    telemetry: Telemetry,
    prometheus: PrometheusClient,
    snapshot: Callable[[], Snapshot | None],
    objects: ObjectLister,
    spawn: Spawn,
) -> Columns:
    """The providers over one evaluator."""

    def count(rule: str, counts: values.ValueCounts) -> None:
        for reason in ("nan", "infinite", "duplicate", "saturated"):
            number = getattr(counts, reason)
            if number:
                telemetry.samples_left_out.labels(rule, reason).inc(number)

    # From the start, so that a rate knows the time before the first of a kind.
    evaluations = {kind: telemetry.evaluations.labels(kind).inc for kind in _EVALUATIONS}
    evaluator = Evaluator(
        prometheus, settings.evaluation, spawn=spawn, observe=lambda kind: evaluations[kind]()
    )
    return Columns(
        CustomProvider(snapshot, objects, evaluator, count),
        ExternalProvider(snapshot, evaluator, count),
        ResourceProvider(snapshot, objects, evaluator, wall=wall_clock, count=count),
    )
