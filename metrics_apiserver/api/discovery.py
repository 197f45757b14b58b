"""Discovery documents, written ahead of time and served from memory whatever the backends do.

The aggregated document (v2) holds the group versions and none of the metrics: its bytes stay the
same, so one tag answers every poll, and the cluster's discovery never changes with Prometheus. The
legacy lists hold every metric, sorted; they are written anew only for a new Snapshot. Nothing here
advertises a verb beyond `get` and `list`: the namespace controller calls whoever offers `delete`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from metrics_apiserver.api import custom, encoding, external, resource
from metrics_apiserver.api.encoding import JSON, Encoded
from metrics_apiserver.base import errors
from metrics_apiserver.core.model import RequestInfo
from metrics_apiserver.core.registry import Snapshot

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_WANTED = {"g": "apidiscovery.k8s.io", "v": "v2", "as": "APIGroupDiscoveryList"}

# Preferred versions first, as the aggregator breaks ties.
_GROUPS: Mapping[str, tuple[str, ...]] = {
    custom.GROUP: tuple(reversed(custom.VERSIONS)),
    external.GROUP: external.VERSIONS,
    resource.GROUP: resource.VERSIONS,
}
_RESOURCE_METRICS = (("nodes", False, "NodeMetrics"), ("pods", True, "PodMetrics"))


class Discovery:
    """All discovery paths.

    Args:
        paths: further paths that `/` lists.
    """

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._extra_paths = tuple(paths)
        self._aggregated = _aggregated()
        self._tag = _tag(self._aggregated)
        self._legacy: dict[str, Encoded] = {}
        self._groups = {name: _group(name) for name in _GROUPS}
        self._generation: int | None = None
        self.update(None)

    def update(self, snapshot: Snapshot | None) -> None:
        """Writes the lists of a new Snapshot; None stands for no metric at all."""
        generation = None if snapshot is None else snapshot.generation
        if self._legacy and generation == self._generation:
            return
        self._generation = generation
        customs = [] if snapshot is None else _custom_entries(snapshot)
        externals = [] if snapshot is None else _external_entries(snapshot)
        for version in custom.VERSIONS:
            self._put(f"{custom.GROUP}/{version}", customs)
        self._put(f"{external.GROUP}/v1beta1", externals)
        self._put(f"{resource.GROUP}/v1beta1", _resource_entries())

    def _put(self, group_version: str, entries: Sequence[dict[str, Any]]) -> None:
        body = orjson.dumps(
            {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": group_version,
                "resources": entries,
            }
        )
        old = self._legacy.get(group_version)
        if old is not None and old.body == body:
            return
        gzipped = encoding.gzip(body) if len(body) > encoding.GZIP_FROM_BYTES else None
        self._legacy[group_version] = Encoded(body, gzipped=gzipped)

    def __call__(self, info: RequestInfo, headers: Mapping[str, str]) -> Encoded | None:
        """The answer to a discovery path; None for every other path."""
        parts = info.parts
        if not parts:
            return encoding.encode(
                {"paths": self._index()}, encoding.negotiate(headers, info.query)
            )
        if parts[0] != "apis" or info.is_resource:
            return None
        if info.method not in ("GET", "HEAD"):
            raise errors.MethodNotAllowed()
        if len(parts) == 1:
            return self._apis(info, headers)
        return self._below(info, headers)

    def _apis(self, info: RequestInfo, headers: Mapping[str, str]) -> Encoded:
        if _wants_aggregated(headers.get("Accept", "")):
            fixed = (("ETag", self._tag), ("Vary", "Accept"), ("Cache-Control", "public"))
            if headers.get("If-None-Match", "") == self._tag:
                return Encoded(b"", AGGREGATED, 304, fixed)
            return Encoded(self._aggregated, AGGREGATED, 200, fixed)
        groups = {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [group for _, group in sorted(self._groups.items())],
        }
        return encoding.encode(groups, encoding.negotiate(headers, info.query))

    def _below(self, info: RequestInfo, headers: Mapping[str, str]) -> Encoded:
        parts = info.parts
        if len(parts) == 2 and parts[1] in self._groups:
            group = {"kind": "APIGroup", "apiVersion": "v1", **self._groups[parts[1]]}
            return encoding.encode(group, encoding.negotiate(headers, info.query))
        document = self._legacy.get("/".join(parts[1:]))
        if document is None:
            raise errors.NotFound()
        chosen = encoding.negotiate(headers, info.query)
        if chosen.pretty or chosen.media_type != JSON:
            return encoding.encode(orjson.loads(document.body), chosen)
        return document

    def _index(self) -> list[str]:
        paths = ["/", "/apis"]
        for group, versions in _GROUPS.items():
            paths.append(f"/apis/{group}")
            paths += [f"/apis/{group}/{version}" for version in versions]
        return sorted([*paths, *self._extra_paths])


def _wants_aggregated(accept: str) -> bool:
    """True where a clause for v2 comes before any that plain JSON can meet."""
    for media_range, params in encoding.parse_accept(accept):
        if media_range == JSON and params.items() >= _WANTED.items():
            return True
        if media_range in (JSON, "application/*", "*/*") and not params.keys() & _WANTED.keys():
            return False
    return False


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha512(body).hexdigest().upper()}"'


def _group(name: str) -> dict[str, Any]:
    versions = [{"groupVersion": f"{name}/{v}", "version": v} for v in _GROUPS[name]]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _aggregated() -> bytes:
    items = []
    for group, versions in _GROUPS.items():
        entries = []
        for version in versions:
            entry: dict[str, Any] = {"version": version, "freshness": "Current"}
            if group == resource.GROUP:
                entry["resources"] = [
                    _aggregated_resource(name, kind, namespaced=namespaced)
                    for name, namespaced, kind in _RESOURCE_METRICS
                ]
            entries.append(entry)
        items.append({"metadata": {"name": group}, "versions": entries})
    return orjson.dumps(
        {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": items,
        }
    )


def _aggregated_resource(name: str, kind: str, *, namespaced: bool) -> dict[str, Any]:
    return {
        "resource": name,
        "responseKind": {"group": "", "version": "", "kind": kind},
        "scope": "Namespaced" if namespaced else "Cluster",
        "singularResource": "",
        "verbs": ["get", "list"],
    }


def _entry(name: str, kind: str, verbs: list[str], *, namespaced: bool) -> dict[str, Any]:
    return {
        "name": name,
        "singularName": "",
        "namespaced": namespaced,
        "kind": kind,
        "verbs": verbs,
    }


def _custom_entries(snapshot: Snapshot) -> list[dict[str, Any]]:
    rows = sorted(
        (f"{group_resource}/{metric}", source.namespaced)
        for (group_resource, metric), source in snapshot.custom.items()
    )
    return [_entry(name, "MetricValueList", ["get"], namespaced=scope) for name, scope in rows]


def _external_entries(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [
        _entry(name, "ExternalMetricValueList", ["get"], namespaced=True)
        for name in sorted(snapshot.external)
    ]


def _resource_entries() -> list[dict[str, Any]]:
    return [
        _entry(name, kind, ["get", "list"], namespaced=namespaced)
        for name, namespaced, kind in _RESOURCE_METRICS
    ]
