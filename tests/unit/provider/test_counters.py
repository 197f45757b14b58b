"""What is counted of evaluations, values left out, relists and reloads."""

from __future__ import annotations

import pytest

from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.core import values
from metrics_apiserver.provider.counters import EVALUATIONS, ProviderMetrics
from metrics_apiserver.provider.relist import RelistReport
from tests.fakes import snapshots

RULES = """
rules:
- seriesQuery: load
  resources: {template: "<<.Resource>>"}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
- seriesQuery: lost
  resources: {overrides: {w: {group: example.com, resource: widget}}}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
"""


class Case:
    def __init__(self) -> None:
        self.telemetry = Telemetry()
        self.subject = ProviderMetrics(self.telemetry)

    def counted(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"metrics_apiserver_{name}", labels)


@pytest.fixture
def case() -> Case:
    return Case()


def test_every_kind_of_evaluation_counts_from_the_start(case: Case) -> None:
    case.subject.count_evaluation("shared")
    counts = {kind: case.counted("evaluations_total", kind=kind) for kind in EVALUATIONS}
    assert counts == {"bulk": 0, "exact": 0, "shared": 1, "fallback": 0}


def test_values_left_out_are_counted_by_rule_and_reason(case: Case) -> None:
    case.subject.count_left_out("rules[0]", values.ValueCounts(nan=2, duplicate=1))
    left_out = "samples_left_out_total"
    assert case.counted(left_out, rule="rules[0]", reason="nan") == 2
    assert case.counted(left_out, rule="rules[0]", reason="duplicate") == 1
    assert case.counted(left_out, rule="rules[0]", reason="infinite") is None


def test_a_relist_counts_failures_metrics_and_diagnostics(case: Case) -> None:
    rules = snapshots.parse(RULES)
    failed = RelistReport(failed={"lost": "503"}, seconds=1.5)
    case.subject.count_relist(rules, failed, None)
    assert case.counted("relist_failures_total", rule="rules[1]") == 1
    assert case.counted("relist_failures_total", rule="rules[0]") is None
    assert case.counted("relist_duration_seconds") == 1.5
    assert case.counted("metrics", api="custom") is None
    snapshot = snapshots.snapshot(RULES, [snapshots.series("load", "pod", "namespace")])
    case.subject.count_relist(rules, RelistReport(seconds=0.5), snapshot)
    assert case.counted("metrics", api="custom") == len(snapshot.custom)
    assert case.counted("metrics", api="external") == 0
    assert case.counted("rule_problems", kind="waiting") == 1


def test_a_reload_that_fails_keeps_the_time_of_the_last_good_one(case: Case) -> None:
    stamp = "config_last_reload_success_timestamp_seconds"
    case.subject.count_reload(False)
    assert (case.counted("config_last_reload_successful"), case.counted(stamp)) == (0, 0)
    case.subject.count_reload(True)
    assert case.counted("config_last_reload_successful") == 1
    assert (case.counted(stamp) or 0) > 1e9
