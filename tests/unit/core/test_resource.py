from __future__ import annotations

import math

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import resource
from metrics_apiserver.core.model import Sample
from metrics_apiserver.core.objects import PodMetrics, ResourceUsage
from metrics_apiserver.core.registry import CompiledResourceRules
from metrics_apiserver.core.resource import Frame, MeasuredObject
from metrics_apiserver.core.values import ValueCounts
from tests.fakes import snapshots

RULES = """\
resourceRules:
  cpu:
    containerQuery: sum(rate(cpu{<<.LabelMatchers>>}[30s])) by (<<.GroupBy>>)
    nodeQuery: sum(rate(cpu{<<.LabelMatchers>>,id='/'}[30s])) by (<<.GroupBy>>)
    resources: {overrides: {OVERRIDES}}
    containerLabel: container
  memory:
    containerQuery: sum(memory{<<.LabelMatchers>>}) by (<<.GroupBy>>)
    nodeQuery: sum(memory{<<.LabelMatchers>>,id='/'}) by (<<.GroupBy>>)
    resources: {overrides: {OVERRIDES}}
    containerLabel: box
  window: 30s
"""
OVERRIDES = "node: {resource: node}, ns: {resource: namespace}, pod: {resource: pod}"
FRAME = Frame("30s", 1000.9, "container", "box")
POD = MeasuredObject("prod", "web-0", {"app": "web"})
NODE = MeasuredObject("", "node-a", {})


def compiled(overrides: str = OVERRIDES) -> CompiledResourceRules:
    rules = snapshots.snapshot(RULES.replace("OVERRIDES", overrides)).resource_rules
    assert rules is not None
    return rules


def cpu(value: float, container: str = "main", at: float = 900.0) -> Sample:
    return Sample({"container": container, "pod": "web-0"}, value, at)


def memory(value: float, container: str = "main", at: float = 900.0) -> Sample:
    return Sample({"box": container, "pod": "web-0"}, value, at)


def pod(cpus: list[Sample], memories: list[Sample]) -> tuple[PodMetrics | None, ValueCounts]:
    counts = ValueCounts()
    return resource.pod_metrics(POD, cpus, memories, FRAME, counts), counts


def containers(cpus: list[Sample], memories: list[Sample]) -> dict[str, ResourceUsage]:
    item, _ = pod(cpus, memories)
    assert item is not None
    return {found["name"]: found["usage"] for found in item["containers"]}


def test_the_pod_question_groups_by_the_container_too() -> None:
    rules = compiled()
    plan = resource.pod_plan(rules.cpu)
    assert plan.resource_label == "pod"
    assert plan.namespace_label == "ns"
    assert plan.extra_group_by == ("container",)
    assert plan.selector.empty
    assert resource.pod_plan(rules.memory).extra_group_by == ("box",)


def test_the_node_question_has_no_namespace() -> None:
    plan = resource.node_plan(compiled().memory)
    assert (plan.resource_label, plan.namespace_label) == ("node", "")
    assert plan.extra_group_by == ()


def test_a_rule_that_maps_no_label_says_so() -> None:
    rules = compiled("pod: {resource: pod}")
    with pytest.raises(errors.Internal, match=r"resourceRules.cpu: no label is mapped to nodes"):
        resource.node_plan(rules.cpu)
    with pytest.raises(errors.Internal, match="no label is mapped to namespaces") as refused:
        resource.pod_plan(rules.cpu)
    assert refused.value.detail


def test_a_pod_with_its_containers_sorted() -> None:
    item, counts = pod(
        [cpu(0.25, "side", 899.5), cpu(1.5)], [memory(1536.0, "side"), memory(2**28, at=899.7)]
    )
    assert item == {
        "metadata": {
            "name": "web-0",
            "namespace": "prod",
            "creationTimestamp": "1970-01-01T00:16:40Z",
            "labels": {"app": "web"},
        },
        "timestamp": "1970-01-01T00:14:59Z",
        "window": "30s",
        "containers": [
            {"name": "main", "usage": {"cpu": "1500m", "memory": "256Mi"}},
            {"name": "side", "usage": {"cpu": "250m", "memory": "1536"}},
        ],
    }
    assert counts == ValueCounts()


@pytest.mark.parametrize(("cpus", "memories"), [([], [memory(1)]), ([cpu(1)], []), ([], [])])
def test_a_pod_with_one_half_missing_is_left_out(
    cpus: list[Sample], memories: list[Sample]
) -> None:
    assert pod(cpus, memories) == (None, ValueCounts())


def test_a_container_that_has_just_begun_shows_no_zero() -> None:
    """Nor is it left out: the others alone would be a partial sum."""
    found = containers([cpu(1.0)], [memory(1024.0), memory(2048.0, "no-cpu")])
    assert found == {"main": {"cpu": "1", "memory": "1Ki"}, "no-cpu": {"memory": "2Ki"}}


@pytest.mark.parametrize(
    ("cpus", "memories"),
    [
        ([], [memory(0.0, "init")]),
        ([], [memory(-1.0, "init")]),
        ([], [memory(math.nan, "init")]),
        ([], [memory(0.0, "init"), memory(0.0, "init")]),
        ([cpu(0.5, "init")], []),
        ([cpu(0.0, "init")], []),
        ([cpu(math.inf, "init")], []),
    ],
)
def test_a_container_that_does_not_run_is_left_out(
    cpus: list[Sample], memories: list[Sample]
) -> None:
    item, counts = pod([cpu(1.0), *cpus], [memory(1024.0), *memories])
    assert item is not None
    assert item["containers"] == [{"name": "main", "usage": {"cpu": "1", "memory": "1Ki"}}]
    assert counts == ValueCounts()
    assert pod([cpu(1.0, "other"), *cpus], memories) == (None, ValueCounts())


def test_a_container_that_does_not_run_has_no_part_in_the_time() -> None:
    item, _ = pod(
        [cpu(1.0, at=900.0), cpu(1.0, "cpu-left", at=10.0)],
        [memory(1024.0, at=901.0), memory(0.0, "cgroup-left", at=20.0)],
    )
    assert item is not None
    assert item["timestamp"] == "1970-01-01T00:15:00Z"


def test_of_duplicates_one_with_memory_is_enough() -> None:
    assert containers([cpu(1.0, "x")], [memory(0.0), memory(1.0)]) == {"main": {"memory": "1"}}


@pytest.mark.parametrize("value", [math.nan, -0.5, -0.0, 0.0])
def test_nan_and_negatives_are_zero(value: float) -> None:
    assert containers([cpu(value)], [memory(value)]) == {"main": {"cpu": "0", "memory": "0"}}


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_an_infinite_value_counts_as_missing(value: float) -> None:
    item, counts = pod([cpu(value)], [memory(1.0)])
    assert item is not None
    assert item["containers"] == [{"name": "main", "usage": {"memory": "1"}}]
    assert counts == ValueCounts(infinite=1)


def test_infinite_memory_is_not_taken_for_none() -> None:
    found = containers([cpu(1.0)], [memory(1.0), memory(math.inf, "odd")])
    assert found == {"main": {"cpu": "1", "memory": "1"}, "odd": {}}


def test_of_duplicates_the_largest_is_taken_and_counted() -> None:
    item, counts = pod([cpu(1.0), cpu(3.0), cpu(math.nan)], [memory(1.0), memory(2.0)])
    assert item is not None
    assert item["containers"] == [{"name": "main", "usage": {"cpu": "3", "memory": "2"}}]
    assert counts == ValueCounts(duplicate=2)


def test_a_sample_without_the_container_label_has_the_empty_name() -> None:
    assert containers([Sample({}, 1.0, 0.0)], [Sample({}, 2.0, 0.0)]) == {
        "": {"cpu": "1", "memory": "2"}
    }


def test_a_node() -> None:
    counts = ValueCounts()
    item = resource.node_metrics(NODE, [cpu(2.0, at=1.5)], [memory(2.0**33)], FRAME, counts)
    assert item == {
        "metadata": {"name": "node-a", "creationTimestamp": "1970-01-01T00:16:40Z"},
        "timestamp": "1970-01-01T00:00:01Z",
        "window": "30s",
        "usage": {"cpu": "2", "memory": "8Gi"},
    }
    assert counts == ValueCounts()


@pytest.mark.parametrize(
    ("cpus", "memories"),
    [([], [memory(1)]), ([cpu(1)], []), ([cpu(math.inf)], [memory(1)]), ([], [])],
)
def test_a_node_with_one_half_missing_is_left_out(
    cpus: list[Sample], memories: list[Sample]
) -> None:
    assert resource.node_metrics(NODE, cpus, memories, FRAME, ValueCounts()) is None
