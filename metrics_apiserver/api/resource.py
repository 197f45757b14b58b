"""metrics.k8s.io over HTTP: nodes and pods, lists and single objects, as objects or as a Table.

Follows metrics-server's `pkg/api`: unknown namespaces and selectors give an empty list, a single
object is the bare object, and the two kinds of "not found" keep their wording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metrics_apiserver.api import encoding, parameters, tables
from metrics_apiserver.api.encoding import Encoded, Representation
from metrics_apiserver.base import errors, threads
from metrics_apiserver.core import selector
from metrics_apiserver.core.model import RequestInfo
from metrics_apiserver.core.selector import Selector
from metrics_apiserver.provider.resource import ResourceProvider

GROUP = "metrics.k8s.io"
VERSIONS = ("v1beta1",)
_API_VERSION = f"{GROUP}/v1beta1"


async def answer(
    provider: ResourceProvider, info: RequestInfo, headers: Mapping[str, str]
) -> Encoded:
    """NodeMetrics, PodMetrics or a list of them.

    Raises:
        errors.MetricsError: the request or its question has no answer.
    """
    if info.method != "GET":
        raise errors.MethodNotAllowed()
    parts = info.resource_parts
    kind, namespace, name = _shape(parts)
    if info.verb == "watch":
        raise errors.MethodNotAllowed(
            f'watch is not supported on resources of kind "{kind}.{GROUP}"', group=GROUP, kind=kind
        )
    parameters.check(info.query)
    picked = selector.parse(info.label_selector)
    fields = parameters.parse_fields(info.field_selector)
    chosen = encoding.negotiate(headers, info.query, tables=True)
    items = await _read(provider, kind, namespace, name, picked)
    if name:
        return _single(kind, namespace, name, items, chosen)
    return await threads.run(len(items), _list, kind, _picked(items, fields), chosen)


def _shape(parts: Sequence[str]) -> tuple[str, str, str]:
    """(`nodes` or `pods`, namespace, name); namespace and name empty when absent."""
    match tuple(parts):
        case ("nodes",):
            return "nodes", "", ""
        case ("nodes", name):
            return "nodes", "", name
        case ("pods",):
            return "pods", "", ""
        case ("namespaces", namespace, "pods"):
            return "pods", namespace, ""
        case ("namespaces", namespace, "pods", name):
            return "pods", namespace, name
        case _:
            raise errors.NotFound()


async def _read(
    provider: ResourceProvider, kind: str, namespace: str, name: str, picked: Selector
) -> list[Any]:
    if kind == "nodes":
        return list(await provider.nodes(picked, name))
    return list(await provider.pods(namespace, picked, name))


def _picked(items: list[Any], fields: Mapping[str, str]) -> list[Any]:
    """Field selectors name the object or its namespace."""
    for field, value in fields.items():
        key = field.removeprefix("metadata.")
        items = [item for item in items if item["metadata"].get(key, "") == value]
    return items


def _single(
    kind: str, namespace: str, name: str, items: list[Any], chosen: Representation
) -> Encoded:
    if not items:
        shown = f"{namespace}/{name}" if namespace else name
        plural = "nodemetrics" if kind == "nodes" else "podmetrics"
        raise errors.NotFound(
            f'{plural}.{GROUP} "{shown}" not found', name=shown, group=GROUP, kind=plural
        )
    if chosen.table:
        return encoding.encode(tables.build(kind, items, chosen.table), chosen)
    single = "NodeMetrics" if kind == "nodes" else "PodMetrics"
    return encoding.encode({"kind": single, "apiVersion": _API_VERSION, **items[0]}, chosen)


def _list(kind: str, items: list[Any], chosen: Representation) -> Encoded:
    if chosen.table:
        return encoding.encode(tables.build(kind, items, chosen.table), chosen)
    single = "NodeMetrics" if kind == "nodes" else "PodMetrics"
    return encoding.encode(
        {
            "kind": f"{single}List",
            "apiVersion": _API_VERSION,
            "metadata": {},
            "items": items,
        },
        chosen,
    )
