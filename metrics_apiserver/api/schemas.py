"""The types of the three groups as JSON schemas, for the OpenAPI documents.

Names, fields and their meaning are those of k8s.io/metrics; metadata holds only what is served.
`ref` writes a reference, whose place differs between OpenAPI 2 and 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Schema = dict[str, Any]
Ref = Callable[[str], Schema]

_METRICS = "io.k8s.metrics.pkg.apis"
_FOLDERS = {
    "custom.metrics.k8s.io": "custom_metrics",
    "external.metrics.k8s.io": "external_metrics",
    "metrics.k8s.io": "metrics",
}
# Not the names of apimachinery: these hold less, and the aggregator would rename whatever differs.
_SHARED = "io.metrics-apiserver.v1"
OBJECT_META = f"{_SHARED}.ObjectMeta"
LIST_META = f"{_SHARED}.ListMeta"
STATUS = f"{_SHARED}.Status"
LABEL_SELECTOR = f"{_SHARED}.LabelSelector"
LABEL_REQUIREMENT = f"{_SHARED}.LabelSelectorRequirement"
OBJECT_REFERENCE = f"{_SHARED}.ObjectReference"
QUANTITY = f"{_SHARED}.Quantity"

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_LABELS: Schema = {"type": "object", "additionalProperties": _TEXT}
_TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "description": "When it was so, in UTC, to the second.",
}
_WINDOW = "seconds over which the value was computed; absent for an instant"


def model_name(group: str, version: str, kind: str) -> str:
    """The name of a kind's schema, such as `io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics`."""
    return f"{_METRICS}.{_FOLDERS[group]}.{version}.{kind}"


def common(ref: Ref) -> dict[str, Schema]:
    """Schemas that several groups refer to."""
    return {
        OBJECT_META: _object(
            "Name, namespace and labels of the measured object.",
            {
                "name": _TEXT,
                "namespace": _TEXT,
                "labels": _LABELS,
                "creationTimestamp": _TIME,
            },
        ),
        LIST_META: _object("Empty: lists are neither versioned nor paged.", {}),
        OBJECT_REFERENCE: _object(
            "The object that a value describes.",
            {"kind": _TEXT, "namespace": _TEXT, "name": _TEXT, "apiVersion": _TEXT},
        ),
        QUANTITY: {
            "type": "string",
            "description": "A fixed-point number with a suffix, such as 1500m, 12k or 128Mi.",
        },
        LABEL_SELECTOR: _object(
            "A label selector; null where none was given.",
            {
                "matchLabels": _LABELS,
                "matchExpressions": {"type": "array", "items": ref(LABEL_REQUIREMENT)},
            },
        ),
        LABEL_REQUIREMENT: _object(
            "One condition on one label.",
            {"key": _TEXT, "operator": _TEXT, "values": _TEXTS},
            ("key", "operator"),
        ),
        STATUS: _object(
            "Why there is no such answer.",
            {
                "kind": _TEXT,
                "apiVersion": _TEXT,
                "metadata": {"type": "object"},
                "status": _TEXT,
                "message": _TEXT,
                "reason": _TEXT,
                "details": {"type": "object"},
                "code": {"type": "integer", "format": "int32"},
            },
        ),
    }


def custom(ref: Ref, version: str) -> dict[str, Schema]:
    """MetricValueList and what it is made of."""
    group = "custom.metrics.k8s.io"
    value, identifier = (model_name(group, version, k) for k in ("MetricValue", "MetricIdentifier"))
    fields: dict[str, Schema] = {
        "describedObject": ref(OBJECT_REFERENCE),
        "timestamp": _TIME,
        "value": ref(QUANTITY),
    }
    schemas: dict[str, Schema] = {}
    if version == "v1beta1":
        fields |= {
            "metricName": _TEXT,
            "window": {"type": "integer", "format": "int64", "description": _WINDOW},
            "selector": ref(LABEL_SELECTOR),
        }
    else:
        fields |= {
            "metric": ref(identifier),
            "windowSeconds": {"type": "integer", "format": "int64", "description": _WINDOW},
        }
        schemas[identifier] = _object(
            "A metric's name and the selector that narrowed it.",
            {"name": _TEXT, "selector": ref(LABEL_SELECTOR)},
            ("name",),
        )
    required = ("describedObject", "timestamp", "value")
    schemas[value] = _object("A metric value of one object.", fields, required)
    return schemas | _list(ref, group, version, "MetricValueList", "MetricValue")


def external(ref: Ref) -> dict[str, Schema]:
    """ExternalMetricValueList and its items."""
    group, version = "external.metrics.k8s.io", "v1beta1"
    fields = {
        "metricName": _TEXT,
        "metricLabels": _LABELS,
        "timestamp": _TIME,
        "window": {"type": "integer", "format": "int64", "description": _WINDOW},
        "value": ref(QUANTITY),
    }
    value = model_name(group, version, "ExternalMetricValue")
    return {
        value: _object(
            "The value of one series of a metric that belongs to no object.",
            fields,
            ("metricName", "metricLabels", "timestamp", "value"),
        )
    } | _list(ref, group, version, "ExternalMetricValueList", "ExternalMetricValue")


def resource(ref: Ref) -> dict[str, Schema]:
    """NodeMetrics, PodMetrics and their lists."""
    group, version = "metrics.k8s.io", "v1beta1"
    usage = {
        "type": "object",
        "description": "cpu and memory.",
        "additionalProperties": ref(QUANTITY),
    }
    shared = {
        "metadata": ref(OBJECT_META),
        "timestamp": _TIME,
        "window": {"type": "string", "description": "A duration, such as 5m0s."},
    }
    container = model_name(group, version, "ContainerMetrics")
    containers = {
        "type": "array",
        "description": "Usage of each container, sorted by name.",
        "items": ref(container),
    }
    schemas = {
        container: _object(
            "Usage of one container.", {"name": _TEXT, "usage": usage}, ("name", "usage")
        )
    }
    for kind, field, schema in (
        ("NodeMetrics", "usage", usage),
        ("PodMetrics", "containers", containers),
    ):
        name = model_name(group, version, kind)
        what = f"Resource usage of a {kind.removesuffix('Metrics').lower()}."
        schemas[name] = _kind(
            group, version, kind, _object(what, {**shared, field: schema}, ("timestamp", "window"))
        )
        schemas |= _list(ref, group, version, f"{kind}List", kind)
    return schemas


def _list(ref: Ref, group: str, version: str, kind: str, item: str) -> dict[str, Schema]:
    items = {
        "type": "array",
        "description": "May be empty.",
        "items": ref(model_name(group, version, item)),
    }
    body = _object(f"A list of {item}.", {"metadata": ref(LIST_META), "items": items}, ("items",))
    return {model_name(group, version, kind): _kind(group, version, kind, body)}


def _kind(group: str, version: str, kind: str, schema: Schema) -> Schema:
    """Adds what makes a schema a kind that clients look up."""
    properties = {
        "kind": {"type": "string", "description": f"{kind}."},
        "apiVersion": {"type": "string", "description": f"{group}/{version}."},
        **schema["properties"],
    }
    return {
        **schema,
        "properties": properties,
        "x-kubernetes-group-version-kind": [{"group": group, "version": version, "kind": kind}],
    }


def _object(
    description: str, properties: Mapping[str, Schema], required: tuple[str, ...] = ()
) -> Schema:
    schema: Schema = {"description": description, "type": "object", "properties": dict(properties)}
    if required:
        schema["required"] = list(required)
    return schema
