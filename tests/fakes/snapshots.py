"""Snapshots of a small cluster, made of rule text and series as the server makes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from metrics_apiserver.core import registry
from metrics_apiserver.core.model import MappedResource, Series
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules import config
from metrics_apiserver.core.rules.config import RuleFile

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance"

_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="')


def _mapped(
    group: str, version: str, plural: str, kind: str, *, namespaced: bool = True
) -> MappedResource:
    return MappedResource(group, version, plural, kind.lower(), kind, namespaced)


PODS = _mapped("", "v1", "pods", "Pod")
NODES = _mapped("", "v1", "nodes", "Node", namespaced=False)
NAMESPACES = _mapped("", "v1", "namespaces", "Namespace", namespaced=False)
RESOURCES = (
    NAMESPACES,
    NODES,
    PODS,
    _mapped("", "v1", "services", "Service"),
    _mapped("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False),
    _mapped("apps", "v1", "deployments", "Deployment"),
    _mapped("batch", "v1", "jobs", "Job"),
    _mapped("networking.k8s.io", "v1", "ingresses", "Ingress"),
)


def mapper(*without: str) -> RESTMapper:
    """The cluster's resources, but for those plurals."""
    return RESTMapper(resource for resource in RESOURCES if resource.plural not in without)


def parse(text: str) -> RuleFile:
    return config.parse(text.encode(), "rules.yaml")


def snapshot(
    text: str,
    series: Iterable[Series] = (),
    *,
    mapper: RESTMapper | None = None,
    generation: int = 1,
) -> Snapshot:
    """The Snapshot of a rule file; a series query that is a name finds the series of that name.

    Any other one finds all of `series`.
    """
    rules = parse(text)
    found = tuple(series)
    queries = {rule.series_query for rule in (*rules.rules, *rules.external_rules)}
    by_query = {query: [one for one in found if one.name == query] or found for query in queries}
    return registry.build(rules, mapper or RESTMapper(RESOURCES), by_query, generation)


def series(name: str, *labels: str) -> Series:
    return Series(name, frozenset(labels))


def read_series(text: str) -> set[Series]:
    """Names and labels of the series in exposition format or in the fixture's."""
    return {
        Series(line.partition("{")[0], frozenset(_LABEL.findall(line.partition("{")[2])))
        for line in text.splitlines()
        if "{" in line and not line.startswith("#")
    }
