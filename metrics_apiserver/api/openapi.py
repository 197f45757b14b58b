"""OpenAPI 2 and 3 of the three groups: written once at the start, the same for ever.

kube-apiserver merges them into its own documents; `kubectl explain` looks a kind up by the
extension on the path's operation. The root of version 3 names our own group versions only,
because the aggregator takes over whatever it finds there. Follows what kube-openapi serves:
strong tags, 304, no redirect for an old hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from metrics_apiserver.api import encoding, schemas
from metrics_apiserver.api.encoding import JSON, Encoded
from metrics_apiserver.base import errors
from metrics_apiserver.core.model import RequestInfo

PATHS = ("/openapi/v2", "/openapi/v3")

_QUERY = {
    "labelSelector": "selects objects, or series of an external metric",
    "metricLabelSelector": "selects series of a custom metric",
    "fieldSelector": "metadata.name or metadata.namespace",
    "pretty": "indents the answer when true",
    "timeout": "a duration such as 30s, at most 60s",
}


@dataclass(frozen=True, slots=True)
class _Shape:
    """One path below a group version, and the kind it answers with."""

    path: str
    kind: str
    action: str


_CUSTOM = (
    _Shape("/namespaces/{namespace}/{resource}/{name}/{subresource}", "MetricValueList", "list"),
    _Shape("/namespaces/{namespace}/metrics/{name}", "MetricValueList", "list"),
    _Shape("/{resource}/{name}/{subresource}", "MetricValueList", "list"),
)
_EXTERNAL = (_Shape("/namespaces/{namespace}/{resource}", "ExternalMetricValueList", "list"),)
_RESOURCE = (
    _Shape("/nodes", "NodeMetrics", "list"),
    _Shape("/nodes/{name}", "NodeMetrics", "get"),
    _Shape("/pods", "PodMetrics", "list"),
    _Shape("/namespaces/{namespace}/pods", "PodMetrics", "list"),
    _Shape("/namespaces/{namespace}/pods/{name}", "PodMetrics", "get"),
)
_GROUP_VERSIONS = {
    ("custom.metrics.k8s.io", "v1beta1"): _CUSTOM,
    ("custom.metrics.k8s.io", "v1beta2"): _CUSTOM,
    ("external.metrics.k8s.io", "v1beta1"): _EXTERNAL,
    ("metrics.k8s.io", "v1beta1"): _RESOURCE,
}


class OpenAPI:
    """Answers below `/openapi`.

    Args:
        version: of this product.
    """

    def __init__(self, version: str) -> None:
        self._documents: dict[tuple[str, ...], Encoded] = {
            ("openapi", "v2"): _document(_version_2(version))
        }
        root: dict[str, Any] = {}
        for group, api_version in _GROUP_VERSIONS:
            place = f"apis/{group}/{api_version}"
            document = _document(_version_3(group, api_version, version))
            self._documents["openapi", "v3", "apis", group, api_version] = document
            tag = dict(document.headers)["ETag"].strip('"')
            root[place] = {"serverRelativeURL": f"/openapi/v3/{place}?hash={tag}"}
        self._documents["openapi", "v3"] = _document({"paths": root})

    def __call__(self, info: RequestInfo, headers: Mapping[str, str]) -> Encoded | None:
        """The document; None for every path outside `/openapi`.

        Raises:
            errors.NotFound: no such document.
            errors.MethodNotAllowed: it can only be read.
            errors.NotAcceptable: JSON is not wanted.
        """
        if not info.parts or info.parts[0] != "openapi":
            return None
        document = self._documents.get(info.parts)
        if document is None:
            raise errors.NotFound()
        if info.method not in ("GET", "HEAD"):
            raise errors.MethodNotAllowed()
        if encoding.negotiate(headers, info.query).media_type != JSON:
            raise errors.NotAcceptable(f"only the following media types are accepted: {JSON}")
        tag = dict(document.headers)["ETag"]
        if headers.get("If-None-Match", "") == tag:
            return Encoded(b"", JSON, 304, document.headers)
        return document


def _document(content: Mapping[str, Any]) -> Encoded:
    body = orjson.dumps(content)
    tag = f'"{hashlib.sha512(body).hexdigest().upper()}"'
    gzipped = encoding.gzip(body) if len(body) > encoding.GZIP_FROM_BYTES else None
    return Encoded(body, JSON, 200, (("ETag", tag), ("Vary", "Accept")), gzipped)


def _info(version: str) -> dict[str, str]:
    return {"title": "metrics-apiserver", "version": version}


def _version_2(version: str) -> dict[str, Any]:
    def ref(name: str) -> dict[str, Any]:
        return {"$ref": f"#/definitions/{name}"}

    paths: dict[str, Any] = {}
    definitions = schemas.common(ref)
    for (group, api_version), shapes in _GROUP_VERSIONS.items():
        definitions |= _schemas(ref, group, api_version)
        for shape in shapes:
            answers = {
                code: {"description": text, "schema": ref(name)}
                for code, text, name in _answers(group, api_version, shape)
            }
            operation = _operation(group, api_version, shape)
            operation |= {"produces": [JSON], "responses": answers}
            operation["parameters"] = [
                {**parameter, "type": "string"} for parameter in operation["parameters"]
            ]
            paths[f"/apis/{group}/{api_version}{shape.path}"] = {"get": operation}
    return {"swagger": "2.0", "info": _info(version), "paths": paths, "definitions": definitions}


def _version_3(group: str, api_version: str, version: str) -> dict[str, Any]:
    def ref(name: str) -> dict[str, Any]:
        return {"$ref": f"#/components/schemas/{name}"}

    paths: dict[str, Any] = {}
    for shape in _GROUP_VERSIONS[group, api_version]:
        answers = {
            code: {"description": text, "content": {JSON: {"schema": ref(name)}}}
            for code, text, name in _answers(group, api_version, shape)
        }
        operation = _operation(group, api_version, shape) | {"responses": answers}
        operation["parameters"] = [
            {**parameter, "schema": {"type": "string"}} for parameter in operation["parameters"]
        ]
        paths[f"/apis/{group}/{api_version}{shape.path}"] = {"get": operation}
    found = schemas.common(ref) | _schemas(ref, group, api_version)
    return {
        "openapi": "3.0.0",
        "info": _info(version),
        "paths": paths,
        "components": {"schemas": found},
    }


def _schemas(ref: schemas.Ref, group: str, api_version: str) -> dict[str, schemas.Schema]:
    if group == "custom.metrics.k8s.io":
        return schemas.custom(ref, api_version)
    if group == "external.metrics.k8s.io":
        return schemas.external(ref)
    return schemas.resource(ref)


def _answers(group: str, api_version: str, shape: _Shape) -> list[tuple[str, str, str]]:
    """(code, description, schema name) of each answer."""
    kind = shape.kind
    if shape.action == "list" and not kind.endswith("List"):
        kind = f"{kind}List"
    return [
        ("200", "OK", schemas.model_name(group, api_version, kind)),
        ("default", "the reason why not", schemas.STATUS),
    ]


def _operation(group: str, api_version: str, shape: _Shape) -> dict[str, Any]:
    names = [part[1:-1] for part in shape.path.split("/") if part.startswith("{")]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True} for name in names
    ]
    parameters += [
        {"name": name, "in": "query", "description": text} for name, text in _QUERY.items()
    ]
    words = [group, api_version, *(part for part in shape.path.split("/") if part)]
    text = "_".join(words)
    return {
        "operationId": "read_" + "".join(c if c.isalnum() else "_" for c in text),
        "parameters": parameters,
        "x-kubernetes-action": shape.action,
        "x-kubernetes-group-version-kind": {
            "group": group,
            "version": api_version,
            "kind": shape.kind,
        },
    }
