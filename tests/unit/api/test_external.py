from __future__ import annotations

from typing import Any

import orjson
import pytest

from metrics_apiserver.api import external, requestinfo
from metrics_apiserver.base import errors
from tests.fakes.columns import Columns

BASE = "/apis/external.metrics.k8s.io/v1beta1"


async def read(path: str, method: str = "GET", *, environment: Columns | None = None) -> Any:
    columns = environment or Columns()
    info = requestinfo.parse(method, BASE + path)
    encoded = await external.answer(columns.external, info, {})
    return orjson.loads(encoded.body)


async def test_a_list() -> None:
    environment = Columns()
    document = await read(
        "/namespaces/prod/queueDepth?labelSelector=queue%21%3Dx", environment=environment
    )
    assert document == {
        "kind": "ExternalMetricValueList",
        "apiVersion": "external.metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [
            {
                "metricName": "queueDepth",
                "metricLabels": {"queue": queue},
                "timestamp": "1970-01-01T00:01:00Z",
                "value": value,
            }
            for queue, value in (("a", "4"), ("b", "3"))
        ],
    }
    assert environment.backend.asked == ['sum(queueDepth{queue!="x",ns="prod"}) by (queue)']


async def test_a_name_is_found_as_clients_lower_it() -> None:
    assert len((await read("/namespaces/prod/queuedepth"))["items"]) == 2


@pytest.mark.parametrize(
    "path",
    [
        "/namespaces",
        "/namespaces/prod",
        "/namespaces/prod/queueDepth/x",
        "/queueDepth",
        "/x/y/z",
        "/x/y/z/a",
    ],
)
async def test_what_is_no_shape_is_not_found(path: str) -> None:
    with pytest.raises(errors.NotFound, match="could not find the requested resource"):
        await read(path)


@pytest.mark.parametrize(
    "query",
    [
        "labelSelector=queue%3D.%2A%22",
        "labelSelector=queue%3E5",
        "limit=x",
        "fieldSelector=spec.x%3Dy",
    ],
)
async def test_what_does_not_parse_is_the_caller_s_fault(query: str) -> None:
    environment = Columns()
    with pytest.raises(errors.BadRequest):
        await read(f"/namespaces/prod/queueDepth?{query}", environment=environment)
    assert environment.backend.asked == []


async def test_known_field_selectors_are_ignored() -> None:
    query = "fieldSelector=metadata.namespace%3Dother"
    assert len((await read(f"/namespaces/prod/queueDepth?{query}"))["items"]) == 2


async def test_watching_is_not_allowed() -> None:
    with pytest.raises(errors.MethodNotAllowed) as refused:
        await read("/namespaces/prod/queueDepth?watch=1")
    assert refused.value.message == (
        'watch is not supported on resources of kind "*.external.metrics.k8s.io"'
    )
    assert (refused.value.group, refused.value.kind) == ("external.metrics.k8s.io", "*")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_other_methods_are_not_allowed(method: str) -> None:
    with pytest.raises(errors.MethodNotAllowed):
        await read("/namespaces/prod/queueDepth", method)


async def test_an_unknown_metric() -> None:
    with pytest.raises(errors.MetricNotFound, match="metric nope for namespace prod"):
        await read("/namespaces/prod/nope")
