"""The objects behind the fake kube-apiserver: resource versions, pages, history.

One counter of versions for everything, as etcd has; a LIST is a snapshot that its page tokens keep;
history before `compact` is gone, so that a watch from there is answered with 410.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from metrics_apiserver.core.model import GroupResource
from tests.fakes.kubeselection import EVERYTHING, Change, Object, Selection


class Expired(Exception):
    """A resource version or page token that is too old."""


@dataclass
class Page:
    items: list[Object]
    version: int
    token: str = ""
    remaining: int = 0


@dataclass
class _Kind:
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    history: list[Change] = field(default_factory=list)


class KubeStore:
    """Objects of all kinds."""

    def __init__(self) -> None:
        self.version = 1000
        self._oldest = 0
        self._kinds: dict[GroupResource, _Kind] = {}
        self._snapshots: dict[str, tuple[int, list[Object]]] = {}

    def put(
        self,
        kind: GroupResource,
        namespace: str,
        name: str,
        labels: dict[str, str] | None = None,
        **fields: Any,
    ) -> Change:
        """Creates or replaces an object."""
        objects = self._kind(kind).objects
        before = objects.get((namespace, name))
        self.version += 1
        metadata: Object = {"name": name, "uid": f"uid-{name}"}
        if namespace:
            metadata["namespace"] = namespace
        metadata["resourceVersion"] = str(self.version)
        if labels:
            metadata["labels"] = dict(labels)
        metadata["managedFields"] = [{"manager": "test", "fieldsV1": {"f:metadata": {}}}]
        item = {"metadata": metadata, **fields}
        objects[namespace, name] = item
        event = "ADDED" if before is None else "MODIFIED"
        return self._record(kind, Change(self.version, event, item, before))

    def delete(self, kind: GroupResource, namespace: str, name: str) -> Change:
        """Removes an object; its last state carries the version of the deletion, as etcd's does."""
        before = self._kind(kind).objects.pop((namespace, name))
        item = copy.deepcopy(before)
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        return self._record(kind, Change(self.version, "DELETED", item, before))

    def get(self, kind: GroupResource, namespace: str, name: str) -> Object | None:
        return self._kind(kind).objects.get((namespace, name))

    def compact(self) -> None:
        """Forgets all history and all page tokens."""
        self._oldest = self.version
        self._snapshots.clear()
        for kind in self._kinds.values():
            kind.history.clear()

    def page(
        self,
        kind: GroupResource,
        selection: Selection = EVERYTHING,
        *,
        limit: int = 0,
        token: str = "",
    ) -> Page:
        """One page; limit 0 is everything.

        Raises:
            Expired: the token is from before `compact`.
        """
        offset = 0
        if token:
            handle, _, start = token.rpartition(".")
            if handle not in self._snapshots:
                raise Expired
            version, items = self._snapshots[handle]
            offset = int(start)
        else:
            version = self.version
            items = [
                item
                for _, item in sorted(self._kind(kind).objects.items(), key=lambda row: row[0])
                if selection.matches(item)
            ]
            handle = f"t{version}-{len(self._snapshots)}"
        end = offset + limit if limit else len(items)
        page = Page(items[offset:end], version)
        if end < len(items):
            self._snapshots[handle] = (version, items)
            page.token = f"{handle}.{end}"
            page.remaining = len(items) - end
        return page

    def since(self, kind: GroupResource, version: int) -> Iterator[Change]:
        """Changes after a version.

        Raises:
            Expired: history does not reach that far back.
        """
        if version < self._oldest:
            raise Expired
        for change in self._kind(kind).history:
            if change.version > version:
                yield change

    def _record(self, kind: GroupResource, change: Change) -> Change:
        self._kind(kind).history.append(change)
        return change

    def _kind(self, kind: GroupResource) -> _Kind:
        return self._kinds.setdefault(kind, _Kind())
