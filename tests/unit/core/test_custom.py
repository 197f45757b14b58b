from __future__ import annotations

import math

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import custom, registry, selector
from metrics_apiserver.core.custom import CustomRequest, Target
from metrics_apiserver.core.model import GroupResource, Sample
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.values import ValueCounts
from tests.fakes import snapshots

RULES = """\
rules:
- seriesQuery: 'm'
  resources:
    overrides:
      ns: {resource: namespace}
      pod: {resource: pod}
      node: {resource: node}
      deploy: {group: apps, resource: deployment}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)
  onNaN: NAN
  onDuplicate: DUPLICATE
- seriesQuery: 'homeless'
  resources: {overrides: {pod: {resource: pod}}}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)
"""


def environment(on_nan: str = "zero", on_duplicate: str = "max") -> Snapshot:
    rules = snapshots.parse(RULES.replace("NAN", on_nan).replace("DUPLICATE", on_duplicate))
    found = {
        "m": (snapshots.series("m", "ns", "pod", "node", "deploy"),),
        "homeless": (snapshots.series("homeless", "pod"),),
    }
    return registry.build(rules, snapshots.mapper(), found, 1)


def request(
    resource: str = "pods",
    name: str = "*",
    *,
    metric: str = "m",
    namespace: str = "prod",
    selects: str = "",
) -> CustomRequest:
    return CustomRequest(
        resource=GroupResource.parse(resource),
        namespace=namespace,
        name=name,
        metric=metric,
        object_selector=selector.parse("app=web"),
        metric_selector=selector.parse(selects),
    )


# --- resolve -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "label", "namespace_label", "namespace", "kind"),
    [
        (request(), "pod", "ns", "prod", "Pod"),
        (request("Pod", "x"), "pod", "ns", "prod", "Pod"),
        (request("deployments.apps"), "deploy", "ns", "prod", "Deployment"),
        (request("deployment"), "deploy", "ns", "prod", "Deployment"),
        (request("nodes", "n"), "node", "", "", "Node"),
        (request("nodes", "n", namespace=""), "node", "", "", "Node"),
        (request("namespaces", "prod", namespace=""), "ns", "", "", "Namespace"),
        (request("namespaces", "*", namespace=""), "ns", "", "", "Namespace"),
        (request("namespaces", "prod"), "ns", "", "", "Namespace"),
    ],
)
def test_a_request_finds_its_question(
    asked: CustomRequest, label: str, namespace_label: str, namespace: str, kind: str
) -> None:
    target = custom.resolve(environment(), asked)
    assert target.mapped.kind == kind
    assert target.namespace == namespace
    assert target.request is asked
    assert target.plan.series == "m"
    assert target.plan.resource_label == label
    assert target.plan.namespace_label == namespace_label
    assert target.plan.selector is asked.metric_selector
    assert target.plan.template is target.source.rule.template


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (request("unicorns"), "metric m for unicorns: the cluster has no such resource"),
        (request("unicorns.zoo", "x"), "metric m for unicorns.zoo x: the cluster has no"),
        (request(metric="nope"), "metric nope for pods: no rule gives this metric"),
        (request("services", "web"), "metric m for services web: no rule gives this metric"),
        (request("pods", "x", namespace=""), "metric m for pods x: the resource is namespaced"),
        (request("namespaces", "victim"), "metric m for namespaces victim: a namespace's own"),
        (request("namespaces", "*"), "metric m for namespaces: a namespace's own"),
    ],
)
def test_what_there_is_not_begins_as_the_predecessor_says_it(
    asked: CustomRequest, message: str
) -> None:
    with pytest.raises(errors.MetricNotFound) as refused:
        custom.resolve(environment(), asked)
    assert refused.value.message.startswith(f"the server could not find the {message}")


def test_a_rule_without_a_namespace_label_says_so() -> None:
    with pytest.raises(errors.MetricNotFound) as refused:
        custom.resolve(environment(), request(metric="homeless"))
    assert refused.value.message == (
        "the server could not find the metric homeless for pods: rules[1] maps no label to the "
        "namespace, which each query needs: add the label to resources.overrides, such as "
        "`namespace: {resource: namespace}`"
    )


# --- samples -------------------------------------------------------------------------------


def sample(value: float, at: float = 5.5, **labels: str) -> Sample:
    return Sample(labels, value, at)


def test_samples_are_grouped_by_the_object_s_label() -> None:
    first, second, third = sample(1, pod="a"), sample(2, pod="b"), sample(3, pod="a", gpu="1")
    grouped = custom.group_samples([first, sample(9), second, sample(8, pod=""), third], "pod")
    assert grouped == {"a": [first, third], "b": [second]}


def assemble(
    asked: CustomRequest,
    names: list[str],
    samples: dict[str, list[Sample]],
    *,
    on_nan: str = "zero",
    on_duplicate: str = "max",
) -> tuple[list[tuple[str, str, str]], ValueCounts]:
    counts = ValueCounts()
    target = custom.resolve(environment(on_nan, on_duplicate), asked)
    return custom.assemble(target, names, samples, counts), counts


def test_names_keep_their_order_and_those_without_samples_are_left_out() -> None:
    found, counts = assemble(
        request(),
        ["b", "gone", "a"],
        {"a": [sample(1.5)], "b": [sample(2, at=61.0)], "stranger": [sample(7)], "gone": []},
    )
    assert found == [("b", "1970-01-01T00:01:01Z", "2"), ("a", "1970-01-01T00:00:05Z", "1500m")]
    assert counts == ValueCounts()


def test_values_that_are_not_served_as_they_are_are_counted() -> None:
    found, counts = assemble(
        request(),
        ["nan", "inf", "two", "huge"],
        {
            "nan": [sample(math.nan)],
            "inf": [sample(math.inf)],
            "two": [sample(1, at=3.0), sample(4, at=2.0)],
            "huge": [sample(1e300)],
        },
    )
    assert [(name, value) for name, _, value in found] == [
        ("nan", "0"),
        ("two", "4"),
        ("huge", "9223372036854775807m"),
    ]
    assert found[1][1] == "1970-01-01T00:00:02Z"
    assert counts == ValueCounts(nan=1, infinite=1, duplicate=1, saturated=1)


def test_a_selector_whose_objects_have_no_samples_gives_an_empty_list() -> None:
    assert assemble(request(), ["a"], {}) == ([], ValueCounts())


@pytest.mark.parametrize(
    ("samples", "on_nan", "why"),
    [
        ({}, "zero", "Prometheus has no series for it"),
        ({"other": [sample(1)]}, "zero", "Prometheus has no series for it"),
        ({"x": [sample(math.inf)]}, "zero", "its value is infinite"),
        ({"x": [sample(math.nan)]}, "drop", "its value is NaN"),
    ],
)
def test_a_named_object_without_a_value_is_not_found(
    samples: dict[str, list[Sample]], on_nan: str, why: str
) -> None:
    with pytest.raises(errors.MetricNotFound) as refused:
        assemble(request("pods", "x"), ["x"], samples, on_nan=on_nan)
    prefix = "the server could not find the metric m for pods x: "
    assert refused.value.message.startswith(prefix + why)


def test_a_rule_may_refuse_what_is_ambiguous() -> None:
    with pytest.raises(errors.Internal, match="m of pods x: 2 series where one is expected"):
        assemble(request(), ["x"], {"x": [sample(1), sample(2)]}, on_duplicate="error")
    with pytest.raises(errors.Internal, match="m of deployments x: its value is NaN"):
        assemble(request("deployments.apps"), ["x"], {"x": [sample(math.nan)]}, on_nan="error")


# --- lists ---------------------------------------------------------------------------------


def target(asked: CustomRequest) -> Target:
    return custom.resolve(environment(), asked)


def test_the_list_of_v1beta1() -> None:
    items = [("x", "T", "1500m")]
    assert custom.build_list("v1beta1", target(request(selects="q=a,r in (b,c)")), items) == {
        "kind": "MetricValueList",
        "apiVersion": "custom.metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [
            {
                "describedObject": {
                    "kind": "Pod",
                    "namespace": "prod",
                    "name": "x",
                    "apiVersion": "/v1",
                },
                "metricName": "m",
                "timestamp": "T",
                "value": "1500m",
                "selector": {
                    "matchLabels": {"q": "a"},
                    "matchExpressions": [{"key": "r", "operator": "In", "values": ["b", "c"]}],
                },
            }
        ],
    }


def test_the_list_of_v1beta2() -> None:
    made = custom.build_list("v1beta2", target(request("deployments.apps")), [("x", "T", "1")])
    assert made["apiVersion"] == "custom.metrics.k8s.io/v1beta2"
    assert made["items"] == [
        {
            "describedObject": {
                "kind": "Deployment",
                "namespace": "prod",
                "name": "x",
                "apiVersion": "apps/v1",
            },
            "metric": {"name": "m", "selector": None},
            "timestamp": "T",
            "value": "1",
        }
    ]


def test_a_cluster_scoped_object_has_no_namespace() -> None:
    made = custom.build_list("v1beta1", target(request("nodes")), [("n", "T", "1")])
    assert made["items"][0]["describedObject"] == {
        "kind": "Node",
        "name": "n",
        "apiVersion": "/v1",
    }
    assert made["items"][0]["selector"] is None  # type: ignore[typeddict-item]  # v1beta1's shape


def test_an_empty_list_has_items() -> None:
    assert custom.build_list("v1beta2", target(request()), [])["items"] == []


def test_a_value_only_of_another_namespace_says_what_to_do() -> None:
    target = custom.resolve(environment(), request(name="x"))
    with pytest.raises(errors.MetricNotFound, match=r"use <<\.LabelMatchers>> in"):
        custom.assemble(target, ["x"], {}, ValueCounts(namesake=1))


def test_while_prometheus_has_never_answered_a_read_is_503_with_the_cause() -> None:
    rules = snapshots.parse(RULES.replace("NAN", "zero").replace("DUPLICATE", "max"))
    silent = registry.build(rules, snapshots.mapper(), {}, 1, "Prometheus has not answered")
    with pytest.raises(
        errors.UpstreamError, match="metrics: Prometheus has not answered"
    ) as caught:
        custom.resolve(silent, request())
    assert caught.value.kind == "unreachable"
