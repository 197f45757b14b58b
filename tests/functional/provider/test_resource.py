"""metrics.k8s.io over a real Prometheus and a watch of pods: what runs is shown, nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from metrics_apiserver.api import requestinfo, resource, status
from metrics_apiserver.base import errors
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.objects import PODS, ObjectCache
from metrics_apiserver.options.prometheus import EvaluationSettings, PrometheusSettings
from metrics_apiserver.prometheus import credentials
from metrics_apiserver.prometheus.client import PrometheusClient
from metrics_apiserver.provider.evaluation.evaluator import Evaluator
from metrics_apiserver.provider.resource import ResourceProvider
from tests.fakes import backfill, recorded, snapshots
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.prometheus import Backend
from tests.fakes.waiting import running, spawning, until

_OVERRIDES = "{ns: {resource: namespace}, pod: {resource: pod}, node: {resource: node}}"
RULES = f"""\
resourceRules:
  window: 1m
  cpu:
    containerLabel: part
    containerQuery: sum by (<<.GroupBy>>) (rate(used_seconds_total{{<<.LabelMatchers>>}}[1m]))
    nodeQuery: sum by (<<.GroupBy>>) (rate(node_seconds_total{{<<.LabelMatchers>>}}[1m]))
    resources: {{overrides: {_OVERRIDES}}}
  memory:
    containerLabel: part
    containerQuery: sum by (<<.GroupBy>>) (held_bytes{{<<.LabelMatchers>>}})
    nodeQuery: sum by (<<.GroupBy>>) (node_held_bytes{{<<.LabelMatchers>>}})
    resources: {{overrides: {_OVERRIDES}}}
"""
SERIES = """
# an init container that ended minutes ago: only its cgroup is left
used_seconds_total{ns="lab",pod="ended",part="main"} rate=0.75 base=10
held_bytes{ns="lab",pod="ended",part="main"} 1048576
held_bytes{ns="lab",pod="ended",part="migrate"} 0
# one that ended seconds ago: its counter is still in the range
used_seconds_total{ns="lab",pod="ending",part="main"} rate=0.25 base=10
used_seconds_total{ns="lab",pod="ending",part="migrate"} rate=0.5 base=3
held_bytes{ns="lab",pod="ending",part="main"} 2097152
# a sidecar, which is an init container too, that runs, and one that has just begun
used_seconds_total{ns="lab",pod="sidecars",part="main"} rate=0.5 base=10
used_seconds_total{ns="lab",pod="sidecars",part="proxy"} rate=0 base=1
held_bytes{ns="lab",pod="sidecars",part="main"} 4096
held_bytes{ns="lab",pod="sidecars",part="proxy"} 2048
held_bytes{ns="lab",pod="sidecars",part="relay"} 1024
# nothing runs any more
used_seconds_total{ns="lab",pod="over",part="main"} rate=0 base=3
held_bytes{ns="lab",pod="over",part="migrate"} 0
# finishes during a test
used_seconds_total{ns="lab",pod="batch",part="main"} rate=0.125 base=10
held_bytes{ns="lab",pod="batch",part="main"} 8192
"""
RUNNING = {
    "ended": {"main": {"cpu": "750m", "memory": "1Mi"}},
    "ending": {"main": {"cpu": "250m", "memory": "2Mi"}},
    "sidecars": {
        "main": {"cpu": "500m", "memory": "4Ki"},
        "proxy": {"cpu": "0", "memory": "2Ki"},
        "relay": {"memory": "1Ki"},
    },
}
BATCH = {"batch": {"main": {"cpu": "125m", "memory": "8Ki"}}}
LIST = "/apis/metrics.k8s.io/v1beta1/namespaces/lab/pods"
KIND = PODS.group_resource


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    if not recorded.is_installed():
        pytest.skip("prometheus and promtool are not on PATH")
    with backfill.running(tmp_path_factory.mktemp("resource"), SERIES) as found:
        yield found


class Site:
    """Reads of metrics.k8s.io, and the kube-apiserver that says which pods there are."""

    def __init__(self, provider: ResourceProvider, api: FakeKubeAPI) -> None:
        self.provider = provider
        self.api = api

    def put(self, name: str, phase: str) -> None:
        self.api.put(KIND, "lab", name, {"app": "lab"}, status={"phase": phase})

    async def get(self, path: str) -> tuple[int, Any]:
        try:
            answer = await resource.answer(self.provider, requestinfo.parse("GET", path), {})
        except errors.MetricsError as error:
            answer = status.render(error)
        return answer.status, orjson.loads(answer.body)

    async def shown(self, query: str = "") -> dict[str, dict[str, dict[str, str]]]:
        """Usage by pod and container."""
        code, body = await self.get(LIST + query)
        assert code == 200, body
        return {
            item["metadata"]["name"]: {one["name"]: one["usage"] for one in item["containers"]}
            for item in body["items"]
        }


@asynccontextmanager
async def serving(url: str, freshness: float) -> AsyncIterator[Site]:
    settings = PrometheusSettings(url)
    prometheus = PrometheusClient(settings, credentials.from_settings(settings))
    source = SimpleNamespace(snapshot=snapshots.snapshot(RULES))
    async with FakeKubeAPI() as api, KubeClient(api.config()) as client, spawning() as spawn:
        cache = ObjectCache(client, spawn)
        evaluator = Evaluator(prometheus, EvaluationSettings(freshness, 10.0), spawn=spawn)
        wall = time.time  # noqa: TID251 - as in the process
        site = Site(ResourceProvider(source, cache, evaluator, wall=wall), api)
        for name in ("ended", "ending", "sidecars", "over", "batch"):
            site.put(name, "Running")
        async with running(cache.run()):
            await until(lambda: api.watches(KIND))
            yield site
    await prometheus.close()


@pytest.fixture(params=[60.0, 0.0], ids=["bulk", "exact"])
async def site(backend: Backend, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    async with serving(backend.url, request.param) as found:
        yield found


async def test_only_containers_that_run_are_shown(site: Site) -> None:
    assert await site.shown() == RUNNING | BATCH
    code, body = await site.get(f"{LIST}/ending")
    assert code == 200
    assert [one["name"] for one in body["containers"]] == ["main"]


async def test_a_pod_in_which_nothing_runs_is_not_found(site: Site) -> None:
    code, body = await site.get(f"{LIST}/over")
    assert (code, body["message"]) == (404, 'podmetrics.metrics.k8s.io "lab/over" not found')


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_pod_that_finishes_is_gone_at_once(site: Site, phase: str) -> None:
    site.put("batch", phase)
    before = len(site.api.requests)
    async with asyncio.timeout(5.0):
        while (await site.get(f"{LIST}/batch"))[0] == 200:  # noqa: ASYNC110 - a read is all there is
            await asyncio.sleep(0.01)
    code, body = await site.get(f"{LIST}/batch")
    assert (code, body["message"]) == (404, 'pods "batch" not found')
    assert await site.shown() == RUNNING
    assert await site.shown("?labelSelector=app%3Dlab") == RUNNING
    assert len(site.api.requests) == before
    assert len(site.api.seen("/api/v1/pods", "watch")) == 1
