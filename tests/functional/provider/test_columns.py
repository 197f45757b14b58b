"""The three columns over the conformance series: real Prometheus, real client, relist to answer.

What stands before them (TLS, authorisation, discovery) and the objects of the cluster are not part
of this; every case that reads a metric is asked in bulk and exactly.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from metrics_apiserver.api import custom, external, requestinfo, resource, status
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.base import errors
from metrics_apiserver.core import custom as core_custom
from metrics_apiserver.core.model import RequestInfo
from metrics_apiserver.options.prometheus import (
    EvaluationSettings,
    PrometheusSettings,
    RelistSettings,
)
from metrics_apiserver.prometheus import credentials
from metrics_apiserver.prometheus.client import PrometheusClient
from metrics_apiserver.provider.custom import CustomProvider
from metrics_apiserver.provider.evaluation.evaluator import Evaluator
from metrics_apiserver.provider.external import ExternalProvider
from metrics_apiserver.provider.names import MappedLabels, NameDiscovery
from metrics_apiserver.provider.relist import Relister
from metrics_apiserver.provider.resource import ResourceProvider
from tests.conformance import comparison
from tests.conformance.comparison import Case
from tests.fakes import backfill, recorded, snapshots
from tests.fakes.listing import FakeLister, Labels
from tests.fakes.prometheus import Backend

SERIES = comparison.FOLDER / "series.prom"
_PLURALS = {
    "Namespace": "namespaces",
    "Node": "nodes",
    "Pod": "pods",
    "Service": "services",
    "Deployment": "deployments",
    "Ingress": "ingresses",
    "Job": "jobs",
}
# No case but a part of the environment: what its `differs` would say stands in the expectation.
EXTRA = [
    ("pods/*/odd_inf", "default", {}),
    ("pods/*/odd_neginf", "default", {}),
    ("pods/*/odd_big", "default", {"bert-0": "9007199254740992"}),
    ("pods/*/odd_huge", "default", {"bert-0": "9223372036854775807m"}),
    ("pods/*/root_dots", "default", {"web.dots-0": "8"}),
    ("pods/web.dots-0/root_dots", "default", {"web.dots-0": "8"}),
    ("jobs.batch/train/job_progress", "default", {"train": "750m"}),
    ("nodes/node-b/node_load_custom", "prod", {"node-b": "3250m"}),
    ("pods/*/queue_by_values", "prod", {"web-0": "7", "web-1": "11500m"}),
    ("pods/web-0/queue_by_values", "prod", {"web-0": "7"}),
    ("pods/*/queue_sum?metricLabelSelector=queue%21%3Da", "prod", {"web-0": "4", "web-1": "500m"}),
    ("pods/*/queue_sum?metricLabelSelector=namespace%3Dstaging", "prod", {}),
]


def objects() -> FakeLister:
    """Those of the environment."""
    table: dict[str, list[tuple[str, str, Labels]]] = {}
    for item in json.loads((comparison.FOLDER / "objects.json").read_text()):
        plural = _PLURALS.get(item["kind"])
        if plural is not None:
            meta = item["metadata"]
            row = (meta.get("namespace", ""), meta["name"], meta.get("labels", {}))
            table.setdefault(plural, []).append(row)
    table["namespaces"].append(("", "default", {}))
    return FakeLister(table)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A Prometheus that has seen the environment for minutes and will go on seeing it."""
    if not recorded.is_installed():
        pytest.skip("prometheus and promtool are not on PATH")
    with backfill.running(tmp_path_factory.mktemp("environment"), SERIES.read_text()) as backend:
        yield backend


@dataclass
class Site:
    """What the three APIs are answered from.

    Attributes:
        uses: of evaluations.
        outcomes: of calls to Prometheus, by endpoint and outcome.
    """

    custom: CustomProvider
    external: ExternalProvider
    resource: ResourceProvider
    relister: Relister
    evaluator: Evaluator
    uses: Counter[str]
    outcomes: Counter[tuple[str, str]]

    async def get(self, path: str, method: str = "GET") -> tuple[int, object]:
        """Code and document of a request."""
        info = requestinfo.parse(method, path)
        try:
            encoded = await self._answer(path, info)
        except errors.MetricsError as error:
            encoded = status.render(error)
        return encoded.status, orjson.loads(encoded.body)

    async def _answer(self, path: str, info: RequestInfo) -> Encoded:
        if path.startswith("/apis/custom."):
            return await custom.answer(self.custom, info, {})
        if path.startswith("/apis/external."):
            return await external.answer(self.external, info, {})
        return await resource.answer(self.resource, info, {})


@asynccontextmanager
async def serving(
    url: str, config: str, freshness: float, *, max_body_bytes: int = 1 << 25
) -> AsyncIterator[Site]:
    """The columns over a backend, relisted once."""
    made = PrometheusSettings(url, max_body_bytes=max_body_bytes)
    outcomes: Counter[tuple[str, str]] = Counter()
    client = PrometheusClient(
        made,
        credentials.from_settings(made),
        observe=lambda endpoint, outcome, _seconds: outcomes.update([(endpoint, outcome)]),
    )
    mapper = snapshots.mapper()
    wall = time.time  # noqa: TID251 - as in the process
    labels = MappedLabels(lambda: relister.rules, lambda: mapper)
    relister = Relister(
        NameDiscovery(client, labels, 600.0), lambda: mapper, RelistSettings(), wall=wall
    )
    relister.use(snapshots.parse(comparison.rules_file(config).read_text()))
    uses: Counter[str] = Counter()
    evaluator = Evaluator(
        client,
        EvaluationSettings(freshness, 10.0),
        spawn=lambda work, _name: work.close(),
        observe=lambda kind: uses.update([kind]),
    )
    lister = objects()
    try:
        report = await relister.relist_once()
        assert not report.failed
        yield Site(
            CustomProvider(relister, lister, evaluator),
            ExternalProvider(relister, evaluator),
            ResourceProvider(relister, lister, evaluator, wall=wall),
            relister,
            evaluator,
            uses,
            outcomes,
        )
    finally:
        await client.close()


def reads(config: str) -> list[Case]:
    """The cases that read a metric; what is left is discovery."""
    return [
        case
        for case in comparison.load_cases()
        if case.config == config and len(case.path.split("?")[0].strip("/").split("/")) > 3
    ]


@pytest.mark.parametrize("freshness", [60.0, 0.0], ids=["bulk", "exact"])
@pytest.mark.parametrize("config", ["seed", "broad"])
async def test_the_conformance_cases(environment: Backend, config: str, freshness: float) -> None:
    wrong: list[str] = []
    async with serving(environment.url, config, freshness) as site:
        for case in reads(config):
            code, body = await site.get(case.path, case.method)
            wrong += [f"{case}: {what}" for what in comparison.differences(case, code, body)]
        assert bool(site.uses["bulk"]) is (freshness > 0)
        assert site.uses["fallback"] == 0
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("freshness", [60.0, 0.0], ids=["bulk", "exact"])
@pytest.mark.parametrize(("path", "namespace", "values"), EXTRA, ids=[row[0] for row in EXTRA])
async def test_the_rest_of_the_world(
    environment: Backend, freshness: float, path: str, namespace: str, values: dict[str, str]
) -> None:
    async with serving(environment.url, "broad", freshness) as site:
        code, body = await site.get(
            f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/{namespace}/{path}"
        )
    assert code == 200, body
    assert isinstance(body, dict)
    found = {item["describedObject"]["name"]: item["value"] for item in body["items"]}
    assert found == values


async def test_an_infinite_value_of_a_named_object_says_so(environment: Backend) -> None:
    async with serving(environment.url, "broad", 60.0) as site:
        path = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods/bert-0/odd_inf"
        code, body = await site.get(path)
    assert code == 404
    assert isinstance(body, dict)
    assert body["message"].endswith("odd_inf for pods bert-0: its value is infinite")


async def test_a_name_in_a_path_cannot_leave_its_matcher(environment: Backend) -> None:
    async with serving(environment.url, "broad", 0.0) as site:
        name = "x%22%7D+or+%7B__name__%3D~%22.%2B%22%7D+%23"
        path = f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/prod/pods/{name}/queue_sum"
        code, _ = await site.get(path)
    assert code == 404


async def test_a_fleet_of_readers_costs_as_many_queries_as_there_are_rules(
    environment: Backend,
) -> None:
    base = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/prod/pods"
    async with serving(environment.url, "broad", 60.0) as site:
        async with asyncio.TaskGroup() as group:
            answers = [
                group.create_task(site.get(f"{base}/web-{number % 2}/{metric}"))
                for number in range(100)
                for metric in ("queue_sum", "queue_max_a", "http_requests_per_second")
            ]
        assert all(answer.result()[0] == 200 for answer in answers)
        assert site.uses["bulk"] == 3
        assert site.uses["exact"] == 0


async def test_which_rules_of_the_world_are_asked_in_bulk(environment: Backend) -> None:
    """All but the one that looks at the values it is given."""
    async with serving(environment.url, "broad", 60.0) as site:
        snapshot = site.relister.snapshot
        assert snapshot is not None
        why: dict[str, str | None] = {}
        for (mapped, metric), source in snapshot.custom.items():
            if mapped.resource != "pods":
                continue
            request = custom.parse_request(
                requestinfo.parse(
                    "GET", f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/prod/pods/*/{metric}"
                )
            )
            target = core_custom.resolve(snapshot, request)
            why[source.rule.path] = site.evaluator.why_exact(target.plan)
    assert {path for path, reason in why.items() if reason} == {"rules[4]"}


async def test_a_bulk_answer_that_is_too_large_is_asked_in_slices(environment: Backend) -> None:
    """Of one namespace at a time it is small enough; the numbers are the same."""
    paths = [
        f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/{space}/pods/*/duty_cycle_current"
        for space in ("default", "prod")
    ]
    async with serving(environment.url, "seed", 60.0) as site:
        [(_, first), (_, second)] = [await site.get(path) for path in paths]
    # Each of the three samples of one namespace, and the one of the other, has some 200 bytes.
    async with serving(environment.url, "seed", 60.0, max_body_bytes=760) as site:
        answers = [await site.get(path) for path in paths]
        assert site.outcomes["query", "too_large"] == 1
        assert site.uses["fallback"] == 0
    for whole, (code, sliced) in zip((first, second), answers, strict=True):
        assert comparison.differences(Case("seed", "GET", "", 200, whole), code, sliced) == []


async def test_while_prometheus_is_away_reads_fail_and_the_list_stays(
    tmp_path: Path,
) -> None:
    path = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/prod/pods/web-0/queue_sum"
    if not recorded.is_installed():
        pytest.skip("prometheus and promtool are not on PATH")
    with backfill.running(tmp_path, SERIES.read_text()) as backend:
        async with serving(backend.url, "broad", 0.05) as site:
            assert (await site.get(path))[0] == 200
            before = site.relister.snapshot
            backend.kill()
            await asyncio.sleep(0.06)
            code, body = await site.get(path)
            assert code == 503
            assert isinstance(body, dict)
            assert body["message"].startswith("unable to fetch metrics")
            assert (await site.relister.relist_once()).failed
            assert before is not None
            assert site.relister.snapshot is not None
            assert site.relister.snapshot.custom.keys() == before.custom.keys()
            backend.start()
            assert (await site.get(path))[0] == 200
            assert not (await site.relister.relist_once()).failed
