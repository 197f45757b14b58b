"""The Table form of metrics.k8s.io, as metrics-server's `pkg/api/table.go` prints it.

Pod rows sum their containers; a list without items has null columns and rows, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metrics_apiserver.core import quantity

_COLUMNS = (
    ("Name", "name", "Name of the resource"),
    ("cpu", "quantity", ""),
    ("memory", "quantity", ""),
    ("Window", "duration", ""),
)
_UNKNOWN = "<none>"


def build(kind: str, items: Sequence[Any], version: str) -> dict[str, Any]:
    """A `meta.k8s.io` Table.

    Args:
        kind: `nodes` or `pods`.
        items: NodeMetrics or PodMetrics.
        version: of the Table, `v1` or `v1beta1`.
    """
    table: dict[str, Any] = {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": {},
        "columnDefinitions": None,
        "rows": None,
    }
    if items:
        table["columnDefinitions"] = [
            {"name": name, "type": "string", "format": form, "description": text, "priority": 0}
            for name, form, text in _COLUMNS
        ]
        table["rows"] = [_row(kind, item, version) for item in items]
    return table


def _row(kind: str, item: Any, version: str) -> dict[str, Any]:
    metadata = item["metadata"]
    cpu, memory = _usage(kind, item)
    return {
        "cells": [metadata["name"], cpu, memory, item["window"]],
        "object": {
            "kind": "PartialObjectMetadata",
            "apiVersion": f"meta.k8s.io/{version}",
            "metadata": metadata,
        },
    }


def _usage(kind: str, item: Any) -> tuple[str, str]:
    if kind == "nodes":
        return item["usage"]["cpu"], item["usage"]["memory"]
    usages = [container["usage"] for container in item["containers"]]
    return _sum(usages, "cpu", quantity.from_float), _sum(usages, "memory", quantity.from_bytes)


def _sum(usages: Sequence[Mapping[str, str]], resource: str, write: Callable[[float], str]) -> str:
    """A pod's sum; one that misses a container would look like little use."""
    if any(resource not in usage for usage in usages):
        return _UNKNOWN
    return write(float(sum(quantity.parse(usage[resource]) for usage in usages)))
