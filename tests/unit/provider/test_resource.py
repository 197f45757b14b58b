from __future__ import annotations

import math
import re

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import selector
from metrics_apiserver.core.model import Sample
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.values import ValueCounts
from metrics_apiserver.options.prometheus import EvaluationSettings
from metrics_apiserver.provider.evaluation.evaluator import Evaluator
from metrics_apiserver.provider.resource import ResourceProvider
from tests.fakes import snapshots
from tests.fakes.evaluation import FakeBackend, FakeClock
from tests.fakes.listing import FakeLister, Labels

HALF = """
    containerQuery: sum(METRIC{<<.LabelMatchers>>}) by (<<.GroupBy>>)
    nodeQuery: sum(METRIC{<<.LabelMatchers>>,id="/"}) by (<<.GroupBy>>)
    resources:
      overrides: {node: {resource: node}, ns: {resource: namespace}, pod: {resource: pod}}
    containerLabel: container
"""
RULES = (
    "resourceRules:\n  cpu:"
    + HALF.replace("METRIC", "cpu")
    + "  memory:"
    + HALF.replace("METRIC", "memory")
    + "  window: 5m\n"
)
OBJECTS: dict[str, list[tuple[str, str, Labels]]] = {
    "pods": [
        ("prod", "web-0", {"app": "web"}),
        ("prod", "web-1", {"app": "web"}),
        ("dev", "web-0", {"app": "web"}),
        ("dev", "idle", {"app": "idle"}),
    ],
    "nodes": [("", "n1", {"zone": "a"}), ("", "n2", {"zone": "b"})],
}


class Environment:
    """A provider with all that it was given."""

    def __init__(self, freshness: float = 5.0) -> None:
        self.snapshot: Snapshot | None = snapshots.snapshot(RULES)
        self.backend = FakeBackend(self.answer)
        self.objects = FakeLister(OBJECTS)
        self.counted: list[tuple[str, ValueCounts]] = []
        self.pods = {("prod", "web-0"): 0.5, ("prod", "web-1"): 1.0, ("dev", "web-0"): 7.0}
        self.nodes = {"n1": 2.0, "n2": 3.0}
        evaluator = Evaluator(
            self.backend,
            EvaluationSettings(freshness, 10.0),
            spawn=lambda work, _name: work.close(),
            clock=FakeClock(),
        )
        self.provider = ResourceProvider(
            self,
            self.objects,
            evaluator,
            wall=lambda: 1000.0,
            count=lambda rule, counts: self.counted.append((rule, counts)),
        )

    def answer(self, text: str) -> list[Sample]:
        scale = 1024.0 if "memory" in text else 1.0
        if 'id="/"' in text:
            return [Sample({"node": n}, value * scale, 900.0) for n, value in self.nodes.items()]
        spaces = re.search(r'ns=~?"([^"]*)"', text)
        assert spaces is not None
        return [
            Sample({"ns": space, "pod": pod, "container": "main"}, value * scale, 900.0)
            for (space, pod), value in self.pods.items()
            if space in spaces[1].split("|")
        ]

    async def list_pods(self, namespace: str = "", selects: str = "", name: str = "") -> list[str]:
        items = await self.provider.pods(namespace, selector.parse(selects), name)
        return [
            f"{item['metadata']['namespace']}/{item['metadata']['name']} "
            f"{item['containers'][0]['usage']}"
            for item in items
        ]

    async def list_nodes(self, selects: str = "", name: str = "") -> list[str]:
        items = await self.provider.nodes(selector.parse(selects), name)
        return [f"{item['metadata']['name']} {item['usage']}" for item in items]


async def test_pods_of_all_namespaces_cost_one_query_for_each_half() -> None:
    environment = Environment()
    assert await environment.list_pods() == [
        "dev/web-0 {'cpu': '7', 'memory': '7Ki'}",
        "prod/web-0 {'cpu': '500m', 'memory': '512'}",
        "prod/web-1 {'cpu': '1', 'memory': '1Ki'}",
    ]
    assert sorted(environment.backend.asked) == [
        'sum(cpu{ns=~"dev|prod",pod!=""}) by (pod,container,ns)',
        'sum(memory{ns=~"dev|prod",pod!=""}) by (pod,container,ns)',
    ]
    assert environment.counted == [("resourceRules", ValueCounts())]


async def test_pods_of_one_namespace_that_a_selector_picks() -> None:
    environment = Environment()
    assert [line[:10] for line in await environment.list_pods("prod", "app=web")] == [
        "prod/web-0",
        "prod/web-1",
    ]
    assert environment.objects.asked == [("pods", "prod", "app=web")]


async def test_window_time_and_labels_of_an_item() -> None:
    [item] = await Environment().provider.pods("prod", selector.parse(""), "web-1")
    assert item["window"] == "5m0s"
    assert item["timestamp"] == "1970-01-01T00:15:00Z"
    assert item["metadata"] == {
        "name": "web-1",
        "namespace": "prod",
        "creationTimestamp": "1970-01-01T00:16:40Z",
        "labels": {"app": "web"},
    }


async def test_without_a_window_exact_queries_give_the_same() -> None:
    bulk, exact = Environment(), Environment(freshness=0.0)
    assert await bulk.list_pods() == await exact.list_pods()
    assert len(exact.backend.asked) == 4


async def test_a_selector_that_picks_nothing_asks_nothing() -> None:
    environment = Environment()
    assert await environment.list_pods("nowhere") == []
    assert await environment.list_nodes("zone=c") == []
    assert environment.backend.asked == []


async def test_a_pod_that_does_not_exist() -> None:
    environment = Environment()
    with pytest.raises(errors.NotFound, match=r'^pods "ghost" not found$') as refused:
        await environment.list_pods("prod", name="ghost")
    assert (refused.value.name, refused.value.kind) == ("ghost", "pods")
    assert environment.backend.asked == []


async def test_a_pod_without_samples_has_no_item() -> None:
    assert await Environment().list_pods("dev", name="idle") == []


async def test_nodes() -> None:
    environment = Environment()
    assert await environment.list_nodes() == [
        "n1 {'cpu': '2', 'memory': '2Ki'}",
        "n2 {'cpu': '3', 'memory': '3Ki'}",
    ]
    assert await environment.list_nodes("zone=b") == ["n2 {'cpu': '3', 'memory': '3Ki'}"]
    assert await environment.list_nodes(name="n1") == ["n1 {'cpu': '2', 'memory': '2Ki'}"]
    assert len(environment.backend.asked) == 2


async def test_a_node_that_does_not_exist() -> None:
    with pytest.raises(errors.NotFound, match=r'^node "ghost" not found$') as refused:
        await Environment().list_nodes(name="ghost")
    assert (refused.value.name, refused.value.kind) == ("ghost", "node")


async def test_what_was_left_out_is_counted() -> None:
    environment = Environment()
    environment.nodes["n1"] = math.inf
    assert await environment.list_nodes() == ["n2 {'cpu': '3', 'memory': '3Ki'}"]
    assert environment.counted == [("resourceRules", ValueCounts(infinite=2))]


async def test_an_error_of_either_half_is_the_reader_s() -> None:
    """A list without the failing half, or an empty one, would be obeyed."""
    environment = Environment()

    def half(text: str) -> list[Sample]:
        if "memory" in text:
            raise errors.UpstreamError("down", kind="unreachable")
        return environment.answer(text)

    environment.backend.answer = half
    with pytest.raises(errors.UpstreamError, match="down"):
        await environment.list_pods()
    with pytest.raises(errors.UpstreamError, match="down"):
        await environment.list_nodes()


async def test_without_resource_rules_there_is_no_such_api() -> None:
    environment = Environment()
    environment.snapshot = snapshots.snapshot("rules: []")
    with pytest.raises(errors.NotFound):
        await environment.list_pods()


async def test_before_the_cluster_is_known_reads_are_unavailable() -> None:
    environment = Environment()
    environment.snapshot = None
    with pytest.raises(errors.Unavailable, match="not known yet"):
        await environment.list_nodes()


async def test_a_cluster_without_pods_says_so() -> None:
    environment = Environment()
    environment.snapshot = snapshots.snapshot(RULES, mapper=snapshots.mapper("pods"))
    with pytest.raises(errors.Unavailable, match="does not list the resource pods"):
        await environment.list_pods()
