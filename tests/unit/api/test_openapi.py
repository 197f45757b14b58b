from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from multidict import CIMultiDict

from metrics_apiserver.api import openapi, requestinfo
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.api.openapi import OpenAPI
from metrics_apiserver.base import errors

SUBJECT = OpenAPI("0.1.0")
GROUP_VERSIONS = [
    "custom.metrics.k8s.io/v1beta1",
    "custom.metrics.k8s.io/v1beta2",
    "external.metrics.k8s.io/v1beta1",
    "metrics.k8s.io/v1beta1",
]
V3 = [f"/openapi/v3/apis/{group_version}" for group_version in GROUP_VERSIONS]


def ask(target: str, method: str = "GET", **headers: str) -> Encoded:
    names = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    answer = SUBJECT(requestinfo.parse(method, target), names)
    assert answer is not None
    return answer


def document(target: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(ask(target).body)
    return found


def walk(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from walk(child)
    elif isinstance(node, list):
        for child in node:
            yield from walk(child)


def test_other_paths_are_somebody_elses() -> None:
    for target in ("/", "/apis", "/version"):
        assert SUBJECT(requestinfo.parse("GET", target), {}) is None


@pytest.mark.parametrize("target", ["/openapi", "/openapi/v4", "/openapi/v3/apis/x/v1"])
def test_unknown_documents(target: str) -> None:
    with pytest.raises(errors.NotFound):
        ask(target)


def test_the_root_names_our_group_versions_and_nothing_else() -> None:
    root = document("/openapi/v3")
    assert list(root["paths"]) == [f"apis/{group_version}" for group_version in GROUP_VERSIONS]
    for place, entry in root["paths"].items():
        answer = ask(entry["serverRelativeURL"])
        tag = dict(answer.headers)["ETag"].strip('"')
        assert entry["serverRelativeURL"] == f"/openapi/v3/{place}?hash={tag}"


@pytest.mark.parametrize("target", [*openapi.PATHS, *V3])
def test_a_known_tag_is_answered_shortly(target: str) -> None:
    answer = ask(target)
    headers = dict(answer.headers)
    assert answer.content_type == "application/json"
    assert headers["Vary"] == "Accept"
    again = ask(target, if_none_match=headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    assert ask(target, if_none_match='"other"').status == 200
    assert OpenAPI("0.1.0")(requestinfo.parse("GET", target), {}) == answer


@pytest.mark.parametrize("accept", ["application/yaml", "text/html"])
def test_only_json(accept: str) -> None:
    with pytest.raises(errors.NotAcceptable):
        ask("/openapi/v2", accept=accept)
    assert ask("/openapi/v2", accept="application/json;q=0.9").status == 200


def test_documents_can_only_be_read() -> None:
    assert ask("/openapi/v2", "HEAD").status == 200
    with pytest.raises(errors.MethodNotAllowed):
        ask("/openapi/v2", "POST")


@pytest.mark.parametrize("target", ["/openapi/v2", *V3])
def test_every_reference_leads_somewhere(target: str) -> None:
    content = document(target)
    for node in walk(content):
        if "$ref" in node:
            found = content
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]


@pytest.mark.parametrize("target", ["/openapi/v2", *V3])
def test_operations_name_their_parameters_and_kinds(target: str) -> None:
    content = document(target)
    schemas = content.get("definitions") or content["components"]["schemas"]
    extension = "x-kubernetes-group-version-kind"
    kinds = [kind for schema in schemas.values() for kind in schema.get(extension, [])]
    identifiers = []
    for path, methods in content["paths"].items():
        assert list(methods) == ["get"]
        operation = methods["get"]
        identifiers.append(operation["operationId"])
        placed = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
        assert placed == [part[1:-1] for part in path.split("/") if part.startswith("{")]
        assert operation[extension] in kinds
        assert set(operation["responses"]) == {"200", "default"}
    assert len(set(identifiers)) == len(identifiers)


def test_a_document_holds_the_paths_of_its_group_version_only() -> None:
    for group_version, target in zip(GROUP_VERSIONS, V3, strict=True):
        paths = document(target)["paths"]
        assert paths
        assert all(path.startswith(f"/apis/{group_version}/") for path in paths)


def test_kubectl_explain_finds_pods_and_nodes() -> None:
    """By the path that explain's template looks for."""
    paths = document("/openapi/v3/apis/metrics.k8s.io/v1beta1")["paths"]
    for plural, kind in (("pods", "PodMetrics"), ("nodes", "NodeMetrics")):
        operation = paths[f"/apis/metrics.k8s.io/v1beta1/{plural}"]["get"]
        assert operation["x-kubernetes-group-version-kind"]["kind"] == kind
