"""Names and labels of one kind, in memory, for label selectors.

Keyed by namespace, then name. Labels of pods of one workload are equal, so equal label sets and
their strings are held once (about 0.5 KiB a pod in all). Results of selectors are kept until the
namespace changes; status updates, which are most events, change nothing here. Holds no other
part of an object. Both the pools and the kept results are bounded and simply emptied when full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from metrics_apiserver.core.selector import Selector
from metrics_apiserver.kube import wire

Labels = Mapping[str, str]

MAX_POOLED = 32_768
MAX_SELECTIONS = 8_192
MAX_SELECTED_NAMES = 500_000


class ObjectStore:
    """The content of one collection; a `collection.Sink`.

    Namespaces of cluster-scoped kinds are the empty string.
    """

    def __init__(self) -> None:
        self._namespaces: dict[str, dict[str, Labels]] = {}
        self._arriving: dict[str, dict[str, Labels]] = {}
        self._versions: dict[str, int] = {}
        self._version = 0
        self._count = 0
        self._strings: dict[str, str] = {}
        self._label_sets: dict[int, Labels] = {}
        self._selections: dict[tuple[str, Selector], tuple[int, list[str]]] = {}
        self._selected_names = 0

    def __len__(self) -> int:
        return self._count

    def begin(self) -> None:
        self._arriving = {}

    def add(self, item: dict[str, Any]) -> None:
        namespace, name, labels = _identify(item)
        self._put(self._arriving, namespace, name, labels)

    def commit(self) -> None:
        self._namespaces, self._arriving = self._arriving, {}
        self._count = sum(map(len, self._namespaces.values()))
        self._version += 1
        self._versions = dict.fromkeys(self._namespaces, self._version)
        self._forget_selections()

    def apply(self, event: str, item: dict[str, Any]) -> None:
        namespace, name, labels = _identify(item)
        objects = self._namespaces.get(namespace, {})
        if event == "DELETED":
            if objects.pop(name, None) is None:
                return
            self._count -= 1
        else:
            known = objects.get(name)
            if known == labels:
                return
            self._put(self._namespaces, namespace, name, labels)
            self._count += known is None
        self._touch(namespace)

    def get(self, namespace: str, name: str) -> Labels | None:
        """Labels of one object; None when there is no such object."""
        objects = self._namespaces.get(namespace)
        return None if objects is None else objects.get(name)

    def names(self, namespace: str, selector: Selector) -> list[str]:
        """Names of the selected objects of one namespace, sorted. The list is shared: only read."""
        version = self._versions.get(namespace, 0)
        key = (namespace, selector)
        kept = self._selections.get(key)
        if kept is not None and kept[0] == version:
            return kept[1]
        objects = self._namespaces.get(namespace, {})
        names = sorted(name for name, _ in _select(objects, selector))
        self._keep(key, version, names)
        return names

    def objects(self, namespace: str | None, selector: Selector) -> list[tuple[str, str, Labels]]:
        """Namespace, name and labels of the selected objects, sorted; None is all namespaces."""
        chosen = self._namespaces if namespace is None else {namespace: {}}
        return sorted(
            (each, name, labels)
            for each in chosen
            for name, labels in _select(self._namespaces.get(each, {}), selector)
        )

    def _put(
        self, target: dict[str, dict[str, Labels]], namespace: str, name: str, labels: Labels
    ) -> None:
        objects = target.get(namespace)
        if objects is None:
            objects = target[self._share(namespace)] = {}
        objects[name] = self._share_labels(name, labels)

    def _touch(self, namespace: str) -> None:
        self._version += 1
        if self._namespaces.get(namespace):
            self._versions[namespace] = self._version
        else:
            # Without an entry the version is 0, for which only empty results are kept.
            self._namespaces.pop(namespace, None)
            self._versions.pop(namespace, None)

    def _keep(self, key: tuple[str, Selector], version: int, names: list[str]) -> None:
        if (
            len(self._selections) >= MAX_SELECTIONS
            or self._selected_names + len(names) > MAX_SELECTED_NAMES
        ):
            self._forget_selections()
        self._selected_names += len(names)
        self._selections[key] = (version, names)

    def _forget_selections(self) -> None:
        self._selections.clear()
        self._selected_names = 0

    def _share(self, text: str) -> str:
        if len(self._strings) >= MAX_POOLED:
            self._strings.clear()
        return self._strings.setdefault(text, text)

    def _share_labels(self, name: str, labels: Labels) -> Labels:
        """One mapping for equal label sets, found by hash: a key of its own would cost more."""
        key = hash(tuple(labels.items()))
        known = self._label_sets.get(key)
        if known == labels:
            return known
        shared = {
            self._share(label): name if value == name else self._share(value)
            for label, value in labels.items()
        }
        if len(self._label_sets) >= MAX_POOLED:
            self._label_sets.clear()
        self._label_sets[key] = shared
        return shared


def _select(objects: dict[str, Labels], selector: Selector) -> Iterator[tuple[str, Labels]]:
    """The matching objects; each distinct label set is asked once, as many objects share one."""
    if selector.empty:
        yield from objects.items()
        return
    verdicts: dict[int, bool] = {}
    for name, labels in objects.items():
        key = id(labels)
        verdict = verdicts.get(key)
        if verdict is None:
            verdict = verdicts[key] = selector.matches(labels)
        if verdict:
            yield name, labels


def _identify(item: object) -> tuple[str, str, Labels]:
    """Namespace, name and labels of an object.

    Raises:
        errors.KubeError: it is not a Kubernetes object.
    """
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if isinstance(metadata, dict):
        name, namespace = metadata.get("name"), metadata.get("namespace", "")
        labels = metadata.get("labels") or {}
        if isinstance(name, str) and name and isinstance(namespace, str) and _is_labels(labels):
            return namespace, name, labels
    raise wire.failure("protocol", "an object without a proper name or labels")


def _is_labels(labels: object) -> bool:
    return isinstance(labels, dict) and all(isinstance(value, str) for value in labels.values())
