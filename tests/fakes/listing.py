"""A lister of objects out of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metrics_apiserver.core.model import MappedResource
from metrics_apiserver.core.selector import Selector

Labels = Mapping[str, str]


class FakeLister:
    """Objects by plural: (namespace, name, labels).

    Attributes:
        asked: (plural, namespace, selector as text) of every call.
    """

    def __init__(self, table: Mapping[str, Sequence[tuple[str, str, Labels]]]) -> None:
        self._table = table
        self.asked: list[tuple[str, str, str]] = []

    async def names(
        self, resource: MappedResource, namespace: str, selector: Selector
    ) -> Sequence[str]:
        return [name for _, name, _ in await self.objects(resource, namespace, selector)]

    async def objects(
        self, resource: MappedResource, namespace: str, selector: Selector
    ) -> Sequence[tuple[str, str, dict[str, str]]]:
        self.asked.append((resource.plural, namespace, str(selector)))
        return sorted(
            (space, name, dict(labels))
            for space, name, labels in self._table.get(resource.plural, ())
            if (not namespace or space == namespace) and selector.matches(labels)
        )
