from __future__ import annotations

from typing import Any

import orjson
import pytest

from metrics_apiserver.api import custom, requestinfo
from metrics_apiserver.base import errors
from metrics_apiserver.core.model import RequestInfo
from tests.fakes.columns import Columns

BASE = "/apis/custom.metrics.k8s.io/v1beta1"


def info(path: str, method: str = "GET", base: str = BASE) -> RequestInfo:
    return requestinfo.parse(method, base + path)


# --- shapes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "namespace", "resource", "name", "metric"),
    [
        ("/namespaces/prod/pods/web-0/load", "prod", "pods", "web-0", "load"),
        ("/namespaces/prod/pods/*/load", "prod", "pods", "*", "load"),
        ("/namespaces/prod/pods/%2A/load", "prod", "pods", "*", "load"),
        (
            "/namespaces/prod/ingresses.networking.k8s.io/front/qps",
            *("prod", "ingresses.networking.k8s.io", "front", "qps"),
        ),
        ("/nodes/n1/load", "", "nodes", "n1", "load"),
        ("/nodes/*/load", "", "nodes", "*", "load"),
        ("/namespaces/prod/metrics/load", "", "namespaces", "prod", "load"),
        ("/namespaces/*/metrics/load", "", "namespaces", "*", "load"),
        ("/namespaces/prod/metrics/load/extra", "", "namespaces", "prod", "load"),
        ("/namespaces/prod/status", "", "namespaces", "prod", "status"),
        ("/namespaces/prod/finalize", "", "namespaces", "prod", "finalize"),
        ("/namespaces/prod/pods/web-0/status", "prod", "pods", "web-0", "status"),
        ("/nodes/n1/load/", "", "nodes", "n1", "load"),
    ],
)
def test_the_shapes(path: str, namespace: str, resource: str, name: str, metric: str) -> None:
    request = custom.parse_request(info(path))
    assert request.namespace == namespace
    assert str(request.resource) == resource
    assert (request.name, request.metric) == (name, metric)


@pytest.mark.parametrize(
    "path",
    [
        "/namespaces",
        "/namespaces/prod",
        "/namespaces/prod/pods",
        "/namespaces/prod/pods/web-0",
        "/nodes",
        "/nodes/n1",
        "/nodes/n1/load/extra",
        "/nodes/n1/load/extra/more",
        "/namespaces/prod/pods/web-0/load/extra",
        "/namespaces/prod/metrics/load/extra/more",
    ],
)
def test_what_is_no_shape_is_not_found(path: str) -> None:
    with pytest.raises(errors.NotFound, match="could not find the requested resource"):
        custom.parse_request(info(path))


def test_both_selectors_are_parsed() -> None:
    request = custom.parse_request(
        info("/nodes/*/load?labelSelector=a%3Db&metricLabelSelector=c+in+(y,x)")
    )
    assert str(request.object_selector) == "a=b"
    assert str(request.metric_selector) == "c in (x,y)"


@pytest.mark.parametrize("name", ["*", "n1"])
@pytest.mark.parametrize(
    "query",
    [
        "labelSelector=a%3D%3D%3D",
        "metricLabelSelector=a+in",
        "metricLabelSelector=queue%3Da%22%7D",
        "limit=x",
        "fieldSelector=metadata.name%3Dother",
        "fieldSelector=metadata.namespace%3Dprod",
        "fieldSelector=spec.x%3Dy",
    ],
)
def test_what_does_not_parse_is_the_caller_s_fault(name: str, query: str) -> None:
    with pytest.raises(errors.BadRequest):
        custom.parse_request(info(f"/nodes/{name}/load?{query}"))


def test_a_field_selector_may_repeat_the_name() -> None:
    request = custom.parse_request(info("/nodes/n1/load?fieldSelector=metadata.name%3Dn1"))
    assert request.name == "n1"


# --- answers -------------------------------------------------------------------------------


async def read(path: str, *, base: str = BASE, method: str = "GET", **headers: str) -> Any:
    environment = Columns()
    encoded = await custom.answer(environment.custom, info(path, method, base), headers)
    assert encoded.status == 200
    return orjson.loads(encoded.body)


async def test_a_list_of_v1beta1() -> None:
    document = await read("/namespaces/prod/pods/*/load?labelSelector=app%3Dweb")
    assert document["kind"] == "MetricValueList"
    assert document["apiVersion"] == "custom.metrics.k8s.io/v1beta1"
    assert [item["value"] for item in document["items"]] == ["500m", "2"]
    assert document["items"][0] == {
        "describedObject": {
            "kind": "Pod",
            "namespace": "prod",
            "name": "web-0",
            "apiVersion": "/v1",
        },
        "metricName": "load",
        "timestamp": "1970-01-01T00:01:00Z",
        "value": "500m",
        "selector": None,
    }


async def test_a_list_of_v1beta2() -> None:
    document = await read("/namespaces/prod/pods/web-0/load", base=BASE.replace("beta1", "beta2"))
    assert document["apiVersion"] == "custom.metrics.k8s.io/v1beta2"
    assert document["items"][0]["metric"] == {"name": "load", "selector": None}


async def test_cluster_scoped_objects_by_either_path() -> None:
    for path in ("/nodes/n1/load", "/namespaces/prod/nodes/n1/load", "/nodes/*/load"):
        [item] = (await read(path))["items"]
        assert item["describedObject"] == {"kind": "Node", "name": "n1", "apiVersion": "/v1"}
        assert item["value"] == "2"


async def test_a_namespace_s_own_metric() -> None:
    [item] = (await read("/namespaces/prod/metrics/load"))["items"]
    assert item["describedObject"]["kind"] == "Namespace"
    assert item["value"] == "9"


async def test_another_namespace_cannot_be_read_through_one_s_own() -> None:
    for name in ("dev", "*"):
        with pytest.raises(errors.MetricNotFound):
            await read(f"/namespaces/prod/namespaces/{name}/load")


async def test_watch_is_ignored() -> None:
    assert (await read("/nodes/n1/load?watch=true"))["kind"] == "MetricValueList"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_other_methods_are_not_allowed(method: str) -> None:
    with pytest.raises(errors.MethodNotAllowed):
        await read("/nodes/n1/load", method=method)


async def test_nothing_is_asked_for_a_representation_that_cannot_be_given() -> None:
    environment = Columns()
    with pytest.raises(errors.NotAcceptable):
        await custom.answer(environment.custom, info("/nodes/n1/load"), {"Accept": "text/html"})
    assert environment.backend.asked == []


async def test_errors_reach_the_caller() -> None:
    with pytest.raises(errors.MetricNotFound, match="metric nope for nodes n1"):
        await read("/nodes/n1/nope")
