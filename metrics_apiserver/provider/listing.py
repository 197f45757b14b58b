"""Which objects there are: from the cluster's watch cache, or, standalone, from the series.

Both give the names that a selector picks, and the objects with their labels. In standalone mode no
labels are known, so a selector is refused rather than ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from metrics_apiserver.base import errors
from metrics_apiserver.core import seriesselector
from metrics_apiserver.core.model import MappedResource
from metrics_apiserver.core.promql import Matcher
from metrics_apiserver.core.selector import Selector
from metrics_apiserver.prometheus.refusals import CapabilityRefused, Refusals


class ObjectLister(Protocol):
    """Names and labels of the cluster's objects."""

    async def names(
        self, resource: MappedResource, namespace: str, selector: Selector
    ) -> Sequence[str]: ...

    async def objects(
        self, resource: MappedResource, namespace: str, selector: Selector
    ) -> Sequence[tuple[str, str, Mapping[str, str]]]: ...


class LabelValues(Protocol):
    """What the standalone lister needs of the Prometheus client."""

    refusals: Refusals

    async def series_values(self, label: str, selector: str, *, start: float) -> list[str]: ...

    async def label_values(
        self, label: str, match: Sequence[str], *, start: float
    ) -> list[str]: ...


class StandaloneLister:
    """Objects are the values of the label that a resource is mapped to.

    Args:
        source: the Prometheus client.
        labels: for a resource, the (series selector, resource label, namespace label) of each
            rule that maps it; the namespace label is empty for cluster-scoped resources.
        start: epoch seconds from which a series counts.
    """

    def __init__(
        self,
        source: LabelValues,
        labels: Callable[[MappedResource], Sequence[tuple[str, str, str]]],
        start: Callable[[], float],
    ) -> None:
        self._source = source
        self._labels = labels
        self._start = start

    async def names(
        self, resource: MappedResource, namespace: str, selector: Selector
    ) -> Sequence[str]:
        """Names of one namespace's objects, sorted."""
        if not selector.empty:
            raise errors.BadRequest(
                "standalone mode knows no object labels: leave labelSelector out"
            )
        found: set[str] = set()
        for series, label, namespace_label in self._labels(resource):
            matchers: tuple[Matcher, ...] = (Matcher(label, "!=", ""),)
            if namespace and namespace_label:
                matchers = (*matchers, Matcher(namespace_label, "=", namespace))
            match = seriesselector.narrow(series, matchers)
            found.update(await self._values(label, match))
        return sorted(found)

    async def objects(
        self, resource: MappedResource, namespace: str, selector: Selector
    ) -> Sequence[tuple[str, str, Mapping[str, str]]]:
        """Objects of one namespace or, for an empty one, of every namespace that is named."""
        spaces = [namespace]
        if resource.namespaced and not namespace:
            spaces = sorted(
                {
                    value
                    for series, _, label in self._labels(resource)
                    if label
                    for value in await self._values(label, series)
                }
            )
        return [
            (space, name, {})
            for space in spaces
            for name in await self.names(resource, space, selector)
        ]

    async def _values(self, label: str, selector: str) -> list[str]:
        """Values of the label; from whole series where the backend refuses to list values."""
        source, start = self._source, self._start()
        try:
            return await source.refusals.ask(
                "label_values", lambda: source.label_values(label, [selector], start=start)
            )
        except CapabilityRefused as refused:
            values = await source.series_values(label, selector, start=start)
            source.refusals.remember(refused)
            return values
