from __future__ import annotations

from typing import Any

import orjson
import pytest

from metrics_apiserver.api import requestinfo, resource
from metrics_apiserver.base import errors
from tests.fakes import snapshots
from tests.fakes.columns import Columns

BASE = "/apis/metrics.k8s.io/v1beta1"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


async def read(
    path: str, method: str = "GET", *, accept: str = "", environment: Columns | None = None
) -> Any:
    columns = environment or Columns()
    info = requestinfo.parse(method, BASE + path)
    encoded = await resource.answer(columns.resource, info, {"Accept": accept})
    return orjson.loads(encoded.body)


def names(document: Any) -> list[str]:
    return [
        "/".join(filter(None, (item["metadata"].get("namespace"), item["metadata"]["name"])))
        for item in document["items"]
    ]


async def test_a_list_of_pods() -> None:
    document = await read("/namespaces/prod/pods")
    assert (document["kind"], document["apiVersion"]) == (
        "PodMetricsList",
        "metrics.k8s.io/v1beta1",
    )
    assert document["metadata"] == {}
    assert document["items"][0] == {
        "metadata": {
            "name": "web-0",
            "namespace": "prod",
            "creationTimestamp": "1970-01-01T00:16:40Z",
            "labels": {"app": "web"},
        },
        "timestamp": "1970-01-01T00:01:00Z",
        "window": "30s",
        "containers": [{"name": "main", "usage": {"cpu": "500m", "memory": "500m"}}],
    }


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/pods", ["dev/web-0", "prod/web-0", "prod/web-1"]),
        ("/namespaces/prod/pods", ["prod/web-0", "prod/web-1"]),
        ("/namespaces/nowhere/pods", []),
        ("/pods?labelSelector=app%3Dnone", []),
        ("/pods?fieldSelector=metadata.name%3Dweb-0", ["dev/web-0", "prod/web-0"]),
        ("/pods?fieldSelector=metadata.namespace%3Ddev", ["dev/web-0"]),
        ("/pods?fieldSelector=metadata.name%3Dweb-1,metadata.namespace%3Ddev", []),
        ("/nodes", ["n1"]),
        ("/nodes?labelSelector=zone%3Da", ["n1"]),
        ("/nodes?fieldSelector=metadata.namespace%3D", ["n1"]),
        ("/nodes?fieldSelector=metadata.name%3Dother", []),
    ],
)
async def test_lists(path: str, found: list[str]) -> None:
    assert names(await read(path)) == found


async def test_a_single_object_is_no_list() -> None:
    pod = await read("/namespaces/prod/pods/web-1")
    assert (pod["kind"], pod["apiVersion"]) == ("PodMetrics", "metrics.k8s.io/v1beta1")
    assert pod["containers"][0]["usage"] == {"cpu": "2", "memory": "2"}
    node = await read("/nodes/n1")
    assert (node["kind"], node["metadata"]["name"]) == ("NodeMetrics", "n1")


@pytest.mark.parametrize(
    ("path", "message", "kind", "name"),
    [
        ("/nodes/ghost", 'node "ghost" not found', "node", "ghost"),
        ("/namespaces/prod/pods/ghost", 'pods "ghost" not found', "pods", "ghost"),
        ("/nodes/n2", 'nodemetrics.metrics.k8s.io "n2" not found', "nodemetrics", "n2"),
        (
            "/namespaces/dev/pods/idle",
            'podmetrics.metrics.k8s.io "dev/idle" not found',
            "podmetrics",
            "dev/idle",
        ),
    ],
)
async def test_the_two_kinds_of_not_found(path: str, message: str, kind: str, name: str) -> None:
    with pytest.raises(errors.NotFound) as refused:
        await read(path)
    assert refused.value.message == message
    assert (refused.value.kind, refused.value.name) == (kind, name)


async def test_tables() -> None:
    table = await read("/pods", accept=TABLE)
    assert table["kind"] == "Table"
    assert [row["cells"][0] for row in table["rows"]] == ["web-0", "web-0", "web-1"]
    one = await read("/nodes/n1", accept=TABLE)
    assert [row["cells"] for row in one["rows"]] == [["n1", "2", "2", "30s"]]


@pytest.mark.parametrize(
    "path",
    [
        "/nodes/n1/x",
        "/pods/web-0",
        "/namespaces",
        "/namespaces/prod",
        "/namespaces/prod/nodes",
        "/namespaces/prod/pods/web-0/status",
        "/services",
    ],
)
async def test_what_is_no_shape_is_not_found(path: str) -> None:
    with pytest.raises(errors.NotFound, match="could not find the requested resource"):
        await read(path)


@pytest.mark.parametrize("query", ["labelSelector=a+in", "limit=x", "fieldSelector=spec.x%3Dy"])
async def test_what_does_not_parse_is_the_caller_s_fault(query: str) -> None:
    environment = Columns()
    with pytest.raises(errors.BadRequest):
        await read(f"/pods?{query}", environment=environment)
    assert environment.backend.asked == []


@pytest.mark.parametrize(("path", "kind"), [("/pods", "pods"), ("/nodes", "nodes")])
async def test_watching_is_not_allowed(path: str, kind: str) -> None:
    with pytest.raises(errors.MethodNotAllowed) as refused:
        await read(f"{path}?watch=true")
    assert refused.value.message == (
        f'watch is not supported on resources of kind "{kind}.metrics.k8s.io"'
    )
    assert (refused.value.group, refused.value.kind) == ("metrics.k8s.io", kind)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_other_methods_are_not_allowed(method: str) -> None:
    with pytest.raises(errors.MethodNotAllowed):
        await read("/pods", method)


async def test_without_resource_rules_there_is_no_such_api() -> None:
    environment = Columns()
    environment.snapshot = snapshots.snapshot("rules: []")
    with pytest.raises(errors.NotFound):
        await read("/pods", environment=environment)
