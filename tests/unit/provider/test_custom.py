from __future__ import annotations

import math
import re

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import selector
from metrics_apiserver.core.custom import CustomRequest
from metrics_apiserver.core.model import GroupResource, Sample
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.values import ValueCounts
from metrics_apiserver.options.prometheus import EvaluationSettings
from metrics_apiserver.provider.custom import CustomProvider
from metrics_apiserver.provider.evaluation.evaluator import Evaluator
from tests.fakes import snapshots
from tests.fakes.evaluation import FakeBackend, FakeClock
from tests.fakes.listing import FakeLister, Labels

RULES = """\
rules:
- seriesQuery: 'm'
  resources:
    overrides: {ns: {resource: namespace}, pod: {resource: pod}, node: {resource: node}}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)
  onDuplicate: DUPLICATE
"""
OBJECTS: dict[str, list[tuple[str, str, Labels]]] = {
    "pods": [
        ("prod", "web-0", {"app": "web"}),
        ("prod", "web-1", {"app": "web"}),
        ("prod", "db-0", {"app": "db"}),
        ("dev", "web-0", {"app": "web"}),
    ],
    "nodes": [("", "n1", {})],
    "namespaces": [("", "dev", {}), ("", "prod", {})],
}
SAMPLES = [
    Sample({"ns": "prod", "pod": "web-0"}, 1.5, 100.0),
    Sample({"ns": "prod", "pod": "web-1"}, 2.0, 100.0),
    Sample({"ns": "prod", "pod": "stranger"}, 9.0, 100.0),
    Sample({"ns": "dev", "pod": "web-0"}, 7.0, 100.0),
]


class Environment:
    """A provider with all that it was given."""

    def __init__(self, duplicate: str = "max") -> None:
        self.snapshot: Snapshot | None = snapshots.snapshot(
            RULES.replace("DUPLICATE", duplicate), [snapshots.series("m", "ns", "pod", "node")]
        )
        self.samples = list(SAMPLES)
        self.backend = FakeBackend(self.answer)
        self.objects = FakeLister(OBJECTS)
        self.counted: list[tuple[str, ValueCounts]] = []
        evaluator = Evaluator(
            self.backend,
            EvaluationSettings(5.0, 10.0),
            spawn=lambda work, _name: work.close(),
            clock=FakeClock(),
        )
        self.provider = CustomProvider(
            self,
            self.objects,
            evaluator,
            lambda rule, counts: self.counted.append((rule, counts)),
        )

    def answer(self, text: str) -> list[Sample]:
        spaces = re.search(r'ns=~?"([^"]*)"', text)
        wanted = spaces[1].split("|") if spaces else None
        return [s for s in self.samples if wanted is None or s.labels.get("ns") in wanted]

    async def read(
        self, resource: str, name: str, namespace: str = "prod", *, selects: str = ""
    ) -> list[tuple[str, str, str]]:
        request = CustomRequest(
            resource=GroupResource.parse(resource),
            namespace=namespace,
            name=name,
            metric="m",
            object_selector=selector.parse(selects),
            metric_selector=selector.parse(""),
        )
        return list((await self.provider.read(request)).items)


async def test_all_objects_that_the_selector_picks() -> None:
    environment = Environment()
    assert await environment.read("pods", "*", selects="app=web") == [
        ("web-0", "1970-01-01T00:01:40Z", "1500m"),
        ("web-1", "1970-01-01T00:01:40Z", "2"),
    ]
    assert environment.objects.asked == [("pods", "prod", "app=web")]
    assert environment.backend.asked == ['sum(m{ns="prod",pod!=""}) by (pod,ns)']
    assert environment.counted == [("rules[0]", ValueCounts())]


async def test_objects_without_a_sample_and_samples_without_an_object_are_left_out() -> None:
    environment = Environment()
    assert [name for name, _, _ in await environment.read("pods", "*")] == ["web-0", "web-1"]
    assert await environment.read("pods", "*", selects="app=db") == []


async def test_a_selector_that_picks_nothing_is_not_found_and_not_asked() -> None:
    environment = Environment()
    with pytest.raises(errors.MetricNotFound) as refused:
        await environment.read("pods", "*", selects="app=none")
    assert refused.value.message == (
        "the server could not find the metric m for pods: the selector matches no object"
    )
    assert environment.backend.asked == []


async def test_a_named_object_is_not_listed() -> None:
    environment = Environment()
    assert [value for _, _, value in await environment.read("pods", "web-1")] == ["2"]
    assert environment.objects.asked == []


async def test_a_named_object_without_a_value_is_not_found() -> None:
    with pytest.raises(errors.MetricNotFound, match="metric m for pods db-0: Prometheus has no"):
        await Environment().read("pods", "db-0")


async def test_a_cluster_scoped_object_ignores_the_namespace() -> None:
    environment = Environment()
    environment.samples = [Sample({"node": "n1"}, 3.0, 0.0)]
    assert [value for _, _, value in await environment.read("nodes", "n1", "prod")] == ["3"]
    assert [value for _, _, value in await environment.read("nodes", "*", "")] == ["3"]
    assert environment.objects.asked == [("nodes", "", "")]


async def test_namespaces_themselves() -> None:
    environment = Environment()
    environment.samples = [Sample({"ns": "prod"}, 3.0, 0.0), Sample({"ns": "dev"}, 4.0, 0.0)]
    found = await environment.read("namespaces", "*", "")
    assert [(name, value) for name, _, value in found] == [("dev", "4"), ("prod", "3")]


async def test_what_was_left_out_is_counted_even_when_the_read_fails() -> None:
    environment = Environment("error")
    environment.samples = [Sample({"ns": "prod", "pod": "web-0"}, 1.0, 0.0)] * 2
    with pytest.raises(errors.Internal):
        await environment.read("pods", "web-0")
    assert environment.counted == [("rules[0]", ValueCounts(duplicate=1))]
    environment.samples = [Sample({"ns": "dev", "pod": "web-0"}, math.inf, 0.0)]
    with pytest.raises(errors.MetricNotFound, match="infinite"):
        await environment.read("pods", "web-0", "dev")
    assert environment.counted[1] == ("rules[0]", ValueCounts(infinite=1))


async def test_an_error_of_prometheus_is_the_reader_s() -> None:
    environment = Environment()
    environment.backend.answer = errors.UpstreamError(
        "unable to fetch metrics: down", kind="unreachable"
    )
    with pytest.raises(errors.UpstreamError, match="unable to fetch metrics: down"):
        await environment.read("pods", "*")


async def test_before_the_cluster_is_known_reads_are_unavailable() -> None:
    environment = Environment()
    environment.snapshot = None
    with pytest.raises(errors.Unavailable, match="not known yet"):
        await environment.read("pods", "*")


async def test_each_read_takes_the_snapshot_of_its_moment() -> None:
    environment = Environment()
    await environment.read("pods", "web-0")
    environment.snapshot = snapshots.snapshot(RULES.replace("DUPLICATE", "max"), [])
    with pytest.raises(errors.MetricNotFound, match="no rule gives this metric"):
        await environment.read("pods", "web-0")
