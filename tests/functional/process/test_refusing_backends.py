"""Backends that lack a part of the API: without label endpoints, or with GET only."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes import process, upstream
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.process import ADMIN, ServerProcess, items
from tests.fakes.servers import Reply
from tests.fakes.upstream import Mood, Upstream

CUSTOM = "/apis/custom.metrics.k8s.io/v1beta1"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
ANYTHING = "|".join(f"tenant-{number:05}" for number in range(700))
RULES = f"""
rules:
- seriesQuery: 'test_load{{namespace!="",pod!=""}}'
  resources: {{template: "<<.Resource>>"}}
  metricsQuery: 'sum(<<.Series>>{{<<.LabelMatchers>>}}) by (<<.GroupBy>>)'
- seriesQuery: '{{__name__=~"^test_secret$",pod!=""}}'
  resources: {{overrides: {{namespace: {{resource: namespace}}, pod: {{resource: pod}}}}}}
  metricsQuery: '<<.Series>>{{<<.LabelMatchers>>}}'
externalRules:
- seriesQuery: test_load
  resources: {{namespaced: false}}
  name: {{as: total_load}}
  metricsQuery: 'sum(test_load{{namespace=~"default|{ANYTHING}"}})'
"""
OFFERED = ["namespaces/test_load", "namespaces/test_secret", "pods/test_load", "pods/test_secret"]
LABELS = ["/api/v1/label"]


def names(reply: Reply) -> list[str]:
    assert reply.status == 200, reply
    return sorted(resource["name"] for resource in json.loads(reply.body)["resources"])


def external(reply: Reply) -> list[str]:
    assert reply.status == 200, reply
    return [item["value"] for item in json.loads(reply.body)["items"]]


@pytest.fixture
def made(tmp_path: Path, kube: FakeKubeAPI, proxy: Upstream) -> Callable[..., ServerProcess]:
    def make(mood: Mood, *flags: str) -> ServerProcess:
        proxy.mood = mood
        return ServerProcess(
            tmp_path, [*process.flags(tmp_path, kube, proxy.url, rules=RULES), *flags]
        )

    return make


def hits(proxy: Upstream, prefix: str) -> int:
    return sum(request.path.startswith(prefix) for request in proxy.requests)


@pytest.mark.parametrize(
    ("status", "paths"),
    [
        *((status, LABELS) for status in (200, 400, 401, 403, 404, 405, 501)),
        (404, ["/api/v1/labels"]),
        (403, ["/api/v1/label/"]),
    ],
)
async def test_without_label_endpoints_series_are_asked(
    made: Callable[..., ServerProcess], proxy: Upstream, status: int, paths: list[str]
) -> None:
    mood = upstream.refusing(status, paths, body="<html>not here</html>")
    async with made(mood) as server:
        await server.ready()
        await server.agrees(CUSTOM, names, certified=[ADMIN])
        assert names(await server.ask(CUSTOM)) == OFFERED
        assert names(await server.ask(EXTERNAL)) == ["total_load"]
        load = await server.ask(f"{CUSTOM}/namespaces/default/pods/web-0/test_load")
        assert items(load) == {"web-0": "36"}
        secret = await server.ask(f"{CUSTOM}/namespaces/ns-07/pods/pod-1/test_secret")
        assert items(secret) == {"pod-1": "8001"}
        await server.until(lambda: hits(proxy, "/api/v1/series") > 9)  # turns of each second
        assert server.log.count("series are requested instead") == 1
        refused = [path for path in paths if path != "/api/v1/label/"]
        assert sum(hits(proxy, path) for path in refused) < 6


async def test_a_label_endpoint_in_trouble_is_not_refused(
    made: Callable[..., ServerProcess], proxy: Upstream
) -> None:
    async with made(upstream.refusing(503, LABELS)) as server:
        await server.until(lambda: hits(proxy, "/api/v1/label") > 6)
        assert hits(proxy, "/api/v1/series") == 0
        proxy.mood = upstream.forward()
        await server.agrees(CUSTOM, names, certified=[ADMIN])
        assert names(await server.ask(CUSTOM)) == OFFERED


@pytest.mark.parametrize("status", [403, 404, 405, 501])
async def test_where_post_is_refused_long_queries_go_by_get(
    made: Callable[..., ServerProcess], proxy: Upstream, status: int
) -> None:
    async with made(upstream.refusing(status, ["/"], "POST"), "--query-freshness=0") as server:
        await server.ready()
        await server.agrees(EXTERNAL, names, certified=[ADMIN])
        path = f"{EXTERNAL}/namespaces/default/total_load"
        for _ in range(3):
            assert external(await server.ask(path)) == ["108500m"]
        assert sum(request.method == "POST" for request in proxy.requests) == 1
        assert server.log.count("long queries are sent by GET instead") == 1


async def test_a_query_that_fits_neither_way_says_so(
    made: Callable[..., ServerProcess], proxy: Upstream
) -> None:
    by_post = upstream.refusing(403, ["/"], "POST")

    async def mood(exchange: upstream.Exchange) -> bool:
        if exchange.request.method == "GET" and len(exchange.request.raw) > 4096:
            return await upstream.answer("too long", 414)(exchange)
        return await by_post(exchange)

    async with made(mood) as server:
        await server.ready()
        await server.agrees(EXTERNAL, names, certified=[ADMIN])
        reply = await server.ask(f"{EXTERNAL}/namespaces/default/total_load")
        assert reply.status == 503
        assert b"too long for GET (414)" in reply.body
        assert b"takes no POST" in reply.body


async def test_a_verb_by_flag_is_not_changed(
    made: Callable[..., ServerProcess], proxy: Upstream
) -> None:
    mood = upstream.refusing(405, ["/api/v1/query"], "POST")
    async with made(mood, "--prometheus-verb=POST") as server:
        await server.ready()
        await server.agrees(EXTERNAL, names, certified=[ADMIN])
        reply = await server.ask(f"{EXTERNAL}/namespaces/default/total_load")
        assert reply.status == 503
        assert b"--prometheus-verb=auto" in reply.body
