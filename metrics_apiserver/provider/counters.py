"""The self-metrics of the providers: evaluations, values left out, relists and reloads."""

from __future__ import annotations

from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.core import diagnostics, values
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.rules.config import RuleFile
from metrics_apiserver.provider.relist import RelistReport

EVALUATIONS = ("bulk", "exact", "shared", "fallback")
_REASONS = ("nan", "infinite", "duplicate", "saturated", "namesake")


class ProviderMetrics:
    """Counts for the evaluator, the columns, the relister and the reloader.

    Args:
        telemetry: takes what is counted.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        # From the start, so that a rate knows the time before the first of a kind.
        self._evaluations = {kind: telemetry.evaluations.labels(kind).inc for kind in EVALUATIONS}

    def count_evaluation(self, kind: str) -> None:
        """Counts one use of an evaluation, one of `EVALUATIONS`."""
        self._evaluations[kind]()

    def count_left_out(self, rule: str, counts: values.ValueCounts) -> None:
        """Counts the values that one answer does not serve as they were."""
        telemetry = self._telemetry
        for reason in _REASONS:
            number = getattr(counts, reason)
            if number:
                telemetry.samples_left_out.labels(rule, reason).inc(number)

    def count_relist(
        self, rules: RuleFile, outcome: RelistReport, snapshot: Snapshot | None
    ) -> None:
        """Counts one turn of the relister.

        Args:
            rules: those of the turn.
            outcome: what failed, and how long it took.
            snapshot: what it made; None where there is nothing yet.
        """
        telemetry = self._telemetry
        telemetry.relist_seconds.set(outcome.seconds)
        telemetry.relist_timestamp.set_to_current_time()
        for rule in (*rules.rules, *rules.external_rules):
            if rule.series_query in outcome.failed:
                telemetry.relist_failures.labels(rule.path).inc()
        if snapshot is None:
            return
        telemetry.metrics.labels("custom").set(len(snapshot.custom))
        telemetry.metrics.labels("external").set(len(snapshot.external))
        telemetry.rule_problems.clear()
        for found in snapshot.diagnostics:
            telemetry.rule_problems.labels(diagnostics.CATALOGUE[found.code].name).inc()

    def count_reload(self, good: bool) -> None:
        """Counts one attempt to load the rule file."""
        telemetry = self._telemetry
        telemetry.config_reload_ok.set(good)
        if good:
            telemetry.config_reload_timestamp.set_to_current_time()
