from __future__ import annotations

from typing import Any

from metrics_apiserver.api import tables


def pod(*usages: dict[str, str]) -> dict[str, Any]:
    return {
        "metadata": {"name": "web-0", "namespace": "prod"},
        "window": "30s",
        "containers": [{"name": str(i), "usage": usage} for i, usage in enumerate(usages)],
    }


def cells(kind: str, item: dict[str, Any]) -> list[str]:
    row: list[str] = tables.build(kind, [item], "v1")["rows"][0]["cells"]
    return row


def test_a_table_of_pods_sums_their_containers() -> None:
    item = pod({"cpu": "250m", "memory": "256Mi"}, {"cpu": "1", "memory": "10485761"})
    assert tables.build("pods", [item], "v1") == {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": [
            {
                "name": "Name",
                "type": "string",
                "format": "name",
                "description": "Name of the resource",
                "priority": 0,
            },
            {
                "name": "cpu",
                "type": "string",
                "format": "quantity",
                "description": "",
                "priority": 0,
            },
            {
                "name": "memory",
                "type": "string",
                "format": "quantity",
                "description": "",
                "priority": 0,
            },
            {
                "name": "Window",
                "type": "string",
                "format": "duration",
                "description": "",
                "priority": 0,
            },
        ],
        "rows": [
            {
                "cells": ["web-0", "1250m", "278921217", "30s"],
                "object": {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": {"name": "web-0", "namespace": "prod"},
                },
            }
        ],
    }


def test_a_table_of_nodes_shows_their_usage() -> None:
    item = {
        "metadata": {"name": "n1"},
        "window": "5m0s",
        "usage": {"cpu": "2", "memory": "8Gi"},
    }
    assert cells("nodes", item) == ["n1", "2", "8Gi", "5m0s"]


def test_a_list_without_items_has_no_columns() -> None:
    table = tables.build("pods", [], "v1beta1")
    assert table["apiVersion"] == "meta.k8s.io/v1beta1"
    assert table["columnDefinitions"] is None
    assert table["rows"] is None


def test_a_sum_that_misses_a_container_is_not_shown() -> None:
    item = pod({"cpu": "250m", "memory": "1Ki"}, {"cpu": "1"})
    assert cells("pods", item) == ["web-0", "1250m", "<none>", "30s"]
