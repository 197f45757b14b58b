from __future__ import annotations

import math

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import external, registry, selector
from metrics_apiserver.core.external import ExternalTarget
from metrics_apiserver.core.model import QueryResult, Sample
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.values import ValueCounts
from tests.fakes import snapshots

RULES = """\
externalRules:
- seriesQuery: 'queue_depth'
  resources: {overrides: {namespace: {resource: namespace}}}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (queue)
- seriesQuery: 'Backlog'
  resources: {namespaced: false}
  metricsQuery: max(<<.Series>>{<<.LabelMatchers>>})
  onNaN: POLICY
- seriesQuery: 'unmapped'
  resources: {overrides: {pod: {resource: pod}}}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>})
- seriesQuery: 'broken'
  resources: {namespaced: false}
  metricsQuery: <<if .LabelMatchers>>sum(<<.Series>>{<<.LabelMatchers>>})<<end>>
- seriesQuery: 'by_value'
  resources: {overrides: {namespace: {resource: namespace}}}
  metricsQuery: >-
    <<.Series>>{queue=~"<<.LabelValuesByName.queue>>",ns="<<.LabelValuesByName.namespace>>"}
"""
NAMES = ("queue_depth", "Backlog", "unmapped", "broken", "by_value")


def environment(policy: str = "drop") -> Snapshot:
    """Each rule with its own series."""
    text = RULES.replace("POLICY", policy)
    rules = snapshots.parse(text)
    found = {name: (snapshots.series(name, "queue", "namespace"),) for name in NAMES}
    return registry.build(rules, snapshots.mapper(), found, 1)


def resolve(metric: str, text: str = "", namespace: str = "prod") -> ExternalTarget:
    return external.resolve(environment(), metric, namespace, selector.parse(text))


def test_the_query_holds_selector_and_namespace() -> None:
    target = resolve("queue_depth", "queue in (a.b,c),sls.project=x,!gone")
    assert target.query == (
        'sum(queue_depth{gone="",queue=~"a\\\\.b|c",sls_project="x",namespace="prod"}) by (queue)'
    )
    assert target.metric == "queue_depth"


def test_a_rule_may_leave_the_namespace_out() -> None:
    assert resolve("Backlog", "queue!=a").query == 'max(Backlog{queue!="a"})'


def test_no_namespace_matches_none() -> None:
    assert resolve("queue_depth", namespace="").query == "sum(queue_depth{}) by (queue)"


def test_a_selector_cannot_reach_into_another_namespace() -> None:
    query = resolve("queue_depth", "namespace=victim").query
    assert query == 'sum(queue_depth{namespace="victim",namespace="prod"}) by (queue)'


def test_names_are_found_without_regard_to_case() -> None:
    assert resolve("backlog").metric == "Backlog"
    assert resolve("Backlog").metric == "Backlog"
    assert resolve("QUEUE_DEPTH").metric == "queue_depth"


def test_values_by_name_keep_the_selector_s_keys() -> None:
    query = resolve("by_value", "queue in (x,y.z)").query
    assert query == 'by_value{queue=~"x|y\\\\.z",ns="prod"}'


@pytest.mark.parametrize(
    ("namespace", "where"), [("default", "namespaces"), ("prod", "namespace prod")]
)
def test_an_unknown_metric_begins_as_the_predecessor_says_it(namespace: str, where: str) -> None:
    with pytest.raises(errors.MetricNotFound) as refused:
        resolve("nope", namespace=namespace)
    assert refused.value.message.startswith(
        f"the server could not find the metric nope for {where}: no external rule gives it"
    )


def test_operators_that_promql_lacks_are_the_caller_s_error() -> None:
    with pytest.raises(errors.BadRequest, match="not supported in metric selectors"):
        resolve("queue_depth", "queue>5")


def test_a_rule_without_a_namespace_label_says_what_to_do() -> None:
    with pytest.raises(errors.MetricNotFound) as refused:
        resolve("unmapped")
    assert refused.value.message.startswith("the server could not find the metric unmapped for ")
    assert "externalRules[2] maps no label to the namespace" in refused.value.message
    assert "resources.namespaced: false" in refused.value.message


def test_a_template_that_fails_on_the_request_names_the_rule() -> None:
    with pytest.raises(errors.Internal, match=r"build the query of externalRules\[3\]$") as refused:
        resolve("broken")
    assert refused.value.detail


def assemble(
    samples: list[Sample], *, policy: str = "drop", scalar: bool = False
) -> tuple[list[tuple[str, object]], ValueCounts]:
    target = external.resolve(environment(policy), "Backlog", "prod", selector.parse(""))
    counts = ValueCounts()
    result = QueryResult("scalar" if scalar else "vector", samples)
    items = external.assemble(target, result, counts)
    assert all(item["metricName"] == "Backlog" for item in items)
    assert all(item["timestamp"] == "1970-01-01T00:00:07Z" for item in items)
    return [(item["value"], item["metricLabels"]) for item in items], counts


def sample(value: float, **labels: str) -> Sample:
    return Sample(labels, value, 7.9)


def test_one_item_for_each_series_sorted_by_labels() -> None:
    found, counts = assemble([sample(2.5, queue="b"), sample(1.0, queue="a"), sample(3.0)])
    assert found == [("3", {}), ("1", {"queue": "a"}), ("2500m", {"queue": "b"})]
    assert counts == ValueCounts()


def test_a_scalar_has_no_labels() -> None:
    assert assemble([sample(4.0)], scalar=True)[0] == [("4", None)]


def test_what_is_not_finite_is_left_out_and_counted() -> None:
    found, counts = assemble(
        [sample(math.nan, q="a"), sample(math.inf, q="b"), sample(-math.inf, q="c"), sample(1)]
    )
    assert found == [("1", {})]
    assert counts == ValueCounts(nan=1, infinite=2)


def test_nan_follows_the_rule() -> None:
    assert assemble([sample(math.nan)], policy="zero")[0] == [("0", {})]
    with pytest.raises(errors.Internal, match="Backlog: its value is NaN"):
        assemble([sample(math.nan)], policy="error")


def test_large_values_saturate() -> None:
    found, counts = assemble([sample(1e18)])
    assert found == [("9223372036854775807m", {})]
    assert counts == ValueCounts(saturated=1)


def test_the_list() -> None:
    made = external.build_list([])
    assert made["kind"] == "ExternalMetricValueList"
    assert made["apiVersion"] == "external.metrics.k8s.io/v1beta1"
    assert (made["metadata"], made["items"]) == ({}, [])


def test_while_prometheus_has_never_answered_a_read_is_503_with_the_cause() -> None:
    rules = snapshots.parse(RULES.replace("POLICY", "drop"))
    silent = registry.build(rules, snapshots.mapper(), {}, 1, "Prometheus has not answered")
    with pytest.raises(errors.UpstreamError, match="Prometheus has not answered") as caught:
        external.resolve(silent, "queue_depth", "prod", selector.parse(""))
    assert caught.value.kind == "unreachable"
