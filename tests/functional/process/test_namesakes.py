"""Two namespaces with a pod of one name, and a query that does not ask for the namespace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import backfill, process, prometheus
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubediscovery import NAMESPACES, PODS
from tests.fakes.process import ADMIN, ServerProcess, items
from tests.fakes.prometheus import Backend

GROUP = "/apis/custom.metrics.k8s.io/v1beta1"
RULES = """
rules:
- seriesQuery: 'oven_heat{namespace!="",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  metricsQuery: last_over_time(<<.Series>>[1m])
- seriesQuery: 'oven_heat{namespace!="",pod!=""}'
  name: {as: heat_by_pod}
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  metricsQuery: max(<<.Series>>) by (pod)
"""
SERIES = """
oven_heat{namespace="arcade",pod="till-a"} 90
oven_heat{namespace="annex",pod="till-a"} 5
oven_heat{namespace="arcade",pod="till-b"} 7
"""


@pytest.fixture
def bakery(tmp_path: Path) -> Iterator[Backend]:
    if not prometheus.is_installed("prometheus"):
        pytest.skip("prometheus is not on PATH")
    directory = tmp_path / "bakery"
    directory.mkdir()
    with backfill.running(directory, SERIES) as backend:
        yield backend


async def test_a_namesake_of_another_namespace_is_no_answer(
    tmp_path: Path, kube: FakeKubeAPI, bakery: Backend
) -> None:
    for namespace in ("arcade", "annex", "cellar"):
        kube.put(NAMESPACES.group_resource, "", namespace)
        kube.put(PODS.group_resource, namespace, "till-a")
    kube.put(PODS.group_resource, "annex", "till-b")
    async with ServerProcess(
        tmp_path, process.flags(tmp_path, kube, bakery.url, rules=RULES)
    ) as server:
        await server.agrees(GROUP, lambda reply: b"oven_heat" in reply.body, certified=[ADMIN])
        read = f"{GROUP}/namespaces/%s/pods/%s/oven_heat"
        assert items(await server.ask(read % ("arcade", "till-a"))) == {"till-a": "90"}
        assert items(await server.ask(read % ("annex", "till-a"))) == {"till-a": "5"}
        assert items(await server.ask(read % ("annex", "*"))) == {"till-a": "5"}
        silent = await server.ask(read % ("cellar", "till-a"))
        assert silent.status == 404
        assert b"LabelMatchers" in silent.body
        # Without the label there is nothing to compare.
        by_pod = f"{GROUP}/namespaces/cellar/pods/till-a/heat_by_pod"
        assert items(await server.ask(by_pod)) == {"till-a": "90"}
        counted = await server.metrics()
        left_out = "metrics_apiserver_samples_left_out_total"
        # One of two for arcade, of two for annex, then those of all pods there; two for cellar.
        assert counted[f'{left_out}{{reason="namesake",rule="rules[0]"}}'] == 6
