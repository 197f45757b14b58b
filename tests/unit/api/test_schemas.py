from __future__ import annotations

from typing import Any

import pytest

from metrics_apiserver.api import schemas


def ref(name: str) -> dict[str, Any]:
    return {"$ref": name}


def test_model_names_are_those_of_k8s_io_metrics() -> None:
    name = schemas.model_name("custom.metrics.k8s.io", "v1beta2", "MetricValueList")
    assert name == "io.k8s.metrics.pkg.apis.custom_metrics.v1beta2.MetricValueList"
    name = schemas.model_name("metrics.k8s.io", "v1beta1", "PodMetrics")
    assert name == "io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics"


@pytest.mark.parametrize(
    ("version", "present", "absent"),
    [
        ("v1beta1", {"metricName", "window", "selector"}, {"metric", "windowSeconds"}),
        ("v1beta2", {"metric", "windowSeconds"}, {"metricName", "window", "selector"}),
    ],
)
def test_versions_of_custom_metrics_differ_in_their_keys(
    version: str, present: set[str], absent: set[str]
) -> None:
    found = schemas.custom(ref, version)
    value = found[schemas.model_name("custom.metrics.k8s.io", version, "MetricValue")]
    assert present <= value["properties"].keys()
    assert not absent & value["properties"].keys()


@pytest.mark.parametrize(
    ("found", "kinds"),
    [
        (schemas.custom(ref, "v1beta1"), {"MetricValueList"}),
        (schemas.external(ref), {"ExternalMetricValueList"}),
        (
            schemas.resource(ref),
            {"NodeMetrics", "NodeMetricsList", "PodMetrics", "PodMetricsList"},
        ),
        (schemas.common(ref), set()),
    ],
)
def test_kinds_name_themselves(found: dict[str, schemas.Schema], kinds: set[str]) -> None:
    extension = "x-kubernetes-group-version-kind"
    named = {s[extension][0]["kind"]: s for s in found.values() if extension in s}
    assert named.keys() == kinds
    for schema in named.values():
        assert {"kind", "apiVersion", "metadata"} <= schema["properties"].keys()


@pytest.mark.parametrize(
    ("kind", "field"), [("NodeMetrics", "usage"), ("PodMetrics", "containers")]
)
def test_usage_has_a_time_and_a_window(kind: str, field: str) -> None:
    schema = schemas.resource(ref)[schemas.model_name("metrics.k8s.io", "v1beta1", kind)]
    assert schema["required"] == ["timestamp", "window"]
    assert {"timestamp", "window", field} <= schema["properties"].keys()


@pytest.mark.parametrize(
    "found",
    [schemas.custom(ref, "v1beta1"), schemas.external(ref), schemas.resource(ref)],
    ids=["custom", "external", "resource"],
)
def test_schemas_describe_themselves(found: dict[str, schemas.Schema]) -> None:
    for schema in found.values():
        assert schema["description"]
        assert set(schema.get("required", ())) <= schema["properties"].keys()
        for field in ("kind", "apiVersion"):
            if field in schema["properties"]:
                assert schema["properties"][field]["description"]


def test_a_value_has_everything_but_what_may_be_unknown() -> None:
    custom = schemas.model_name("custom.metrics.k8s.io", "v1beta1", "MetricValue")
    assert set(schemas.custom(ref, "v1beta1")[custom]["required"]) >= {"timestamp", "value"}
    external = schemas.model_name("external.metrics.k8s.io", "v1beta1", "ExternalMetricValue")
    assert schemas.external(ref)[external]["required"] == [
        "metricName",
        "metricLabels",
        "timestamp",
        "value",
    ]
