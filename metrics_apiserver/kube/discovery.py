"""The resources of the cluster: aggregated discovery in two requests, or group by group.

From kube-apiserver 1.26 on, `/api` and `/apis` return everything at once; older servers ignore that
media type, and their groups are read one by one. The order is the server's: core first, then the
groups as given, within a group the preferred version first. Stale versions, subresources and our
own metrics groups are left out (the last would map every resource to a MetricValueList).
The last good table stays when a refresh fails.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from metrics_apiserver.base import errors
from metrics_apiserver.base.backoff import Backoff
from metrics_apiserver.core.model import MappedResource
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.kube import wire
from metrics_apiserver.kube.client import KubeClient

logger = logging.getLogger(__name__)

ACCEPT = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"
    "application/json"
)
OWN_GROUPS = frozenset({"custom.metrics.k8s.io", "external.metrics.k8s.io"})
REFRESH_SECONDS = 600.0
MIN_REFRESH_SECONDS = 10.0
MAX_RETRY_SECONDS = 1.5
MAX_DOCUMENT_BYTES = 64 << 20
MAX_LEGACY_VERSIONS = 1000


async def discover(client: KubeClient) -> RESTMapper:
    """The cluster's resources.

    Raises:
        errors.KubeError: discovery cannot be read.
    """
    core = await _get(client, "/api")
    named = await _get(client, "/apis")
    if _is_aggregated(core) and _is_aggregated(named):
        return RESTMapper(_aggregated([*_items(core), *_items(named)]))
    return RESTMapper([resource async for resource in _legacy(client, named)])


class MapperSource:
    """The current table, refreshed now and then and on request.

    Attributes:
        current: the last good table; None before the first.
        last_error: why the last refresh failed; None after a success.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[RESTMapper], None] = lambda _: None,
        min_refresh_seconds: float = MIN_REFRESH_SECONDS,
    ) -> None:
        self._client = client
        self._clock = clock
        self._on_change = on_change
        self._min_refresh_seconds = min_refresh_seconds
        self._asked = asyncio.Event()
        self._refreshed_at: float | None = None
        self.current: RESTMapper | None = None
        self.last_error: errors.KubeError | None = None

    def ask(self) -> None:
        """Requests a refresh, because a resource is not mapped; at most one every 10 s."""
        self._asked.set()

    async def refresh_once(self) -> None:
        """Reads discovery now.

        Raises:
            errors.KubeError: `current` is as before.
        """
        try:
            mapper = await discover(self._client)
        except errors.KubeError as error:
            if self.last_error is None or self.last_error.detail != error.detail:
                logger.warning("discovery failed: %s (%s)", error.message, error.detail)
            self.last_error = error
            raise
        self.last_error = None
        self._refreshed_at = self._clock()
        before, self.current = self.current, mapper
        if before is None or before.resources != mapper.resources:
            self._on_change(mapper)

    async def run(self, interval_seconds: float = REFRESH_SECONDS) -> None:
        """Refreshes until it is cancelled; failures are retried soon."""
        backoff = Backoff(last=MAX_RETRY_SECONDS)
        while True:
            try:
                await self.refresh_once()
            except errors.KubeError as error:
                await asyncio.sleep(max(backoff.next(), error.retry_after or 0.0))
                continue
            backoff.reset()
            await self._until_due(interval_seconds)

    async def _until_due(self, interval_seconds: float) -> None:
        try:
            async with asyncio.timeout(interval_seconds):
                await self._asked.wait()
        except TimeoutError:
            return
        age = self._clock() - (self._refreshed_at or 0.0)
        await asyncio.sleep(max(0.0, self._min_refresh_seconds - age))
        self._asked.clear()


async def _get(client: KubeClient, path: str) -> dict[str, Any]:
    return await client.get_json(path, accept=ACCEPT, timeout=30, max_bytes=MAX_DOCUMENT_BYTES)


def _is_aggregated(document: dict[str, Any]) -> bool:
    return document.get("kind") == "APIGroupDiscoveryList"


def _items(document: dict[str, Any], key: str = "items") -> list[dict[str, Any]]:
    """The objects of a list field; what is not an object is dropped."""
    values = document.get(key)
    return [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []


def _aggregated(groups: Iterable[dict[str, Any]]) -> Iterator[MappedResource]:
    for item in groups:
        group = _text(item.get("metadata") or {}, "name")
        if group in OWN_GROUPS:
            continue
        seen: set[str] = set()
        for version in _items(item, "versions"):
            if version.get("freshness") == "Stale":
                continue
            for resource in _items(version, "resources"):
                mapped = _map(
                    (group, _text(version, "version")),
                    _text(resource, "resource"),
                    _text(resource, "singularResource"),
                    _text(resource.get("responseKind") or {}, "kind"),
                    namespaced=resource.get("scope") == "Namespaced",
                )
                if mapped is not None and mapped.plural not in seen:
                    seen.add(mapped.plural)
                    yield mapped


async def _legacy(client: KubeClient, named: dict[str, Any]) -> AsyncIterator[MappedResource]:
    """Group by group; a group version that fails is left out, as client-go does."""
    groups = {"": ["v1"]}
    for item in _items(named, "groups"):
        groups.setdefault(_text(item, "name"), _versions(item))
    if sum(map(len, groups.values())) > MAX_LEGACY_VERSIONS:
        raise wire.failure("protocol", "discovery names more than 1000 group versions")
    for group, versions in groups.items():
        if group in OWN_GROUPS:
            continue
        seen: set[str] = set()
        for version in versions:
            for mapped in await _legacy_version(client, group, version):
                if mapped.plural not in seen:
                    seen.add(mapped.plural)
                    yield mapped


async def _legacy_version(client: KubeClient, group: str, version: str) -> list[MappedResource]:
    try:
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        document = await client.get_json(path, timeout=30)
    except errors.KubeError as error:
        if not group or error.kind != "http":
            raise
        logger.warning("discovery of %s/%s failed: %s", group, version, error.message)
        return []
    found = (
        _map(
            (group, version),
            _text(resource, "name"),
            _text(resource, "singularName"),
            _text(resource, "kind"),
            namespaced=resource.get("namespaced") is True,
        )
        for resource in _items(document, "resources")
    )
    return [mapped for mapped in found if mapped is not None]


def _versions(group: dict[str, Any]) -> list[str]:
    """The group's versions, the preferred one first."""
    preferred = _text(group.get("preferredVersion") or {}, "version")
    versions = [_text(version, "version") for version in _items(group, "versions")]
    return list(dict.fromkeys(v for v in (preferred, *versions) if v))


def _text(node: object, key: str) -> str:
    value = node.get(key) if isinstance(node, dict) else None
    return value if isinstance(value, str) else ""


def _map(
    group_version: tuple[str, str], plural: str, singular: str, kind: str, *, namespaced: bool
) -> MappedResource | None:
    """None for subresources and for entries that name no resource."""
    group, version = group_version
    if not plural or not kind or not version or "/" in plural:
        return None
    return MappedResource(
        group=group,
        version=version,
        plural=plural,
        singular=singular or kind.lower(),
        kind=kind,
        namespaced=namespaced,
    )
