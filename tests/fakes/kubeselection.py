"""What a LIST or WATCH of the fake kube-apiserver selects, by namespace and fieldSelector.

A watch sees changes as its selection does, as kube-apiserver shows them: an object that leaves the
selection is DELETED, one that enters it is ADDED. Fields other than those of `_FIELDS` are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

_FIELDS = {
    "metadata.name": ("metadata", "name"),
    "metadata.namespace": ("metadata", "namespace"),
    "status.phase": ("status", "phase"),
}
_TERM = re.compile(r"([^!=]+)(!=|==?)([^!=]*)")


class UnsupportedField(Exception):
    """A fieldSelector that kube-apiserver answers with 400."""


@dataclass(frozen=True)
class Change:
    """One change of an object.

    Attributes:
        version: of the change.
        event: ADDED, MODIFIED or DELETED.
        item: as it is after the change; after a deletion, its last state.
        before: as it was; None for an object that is new.
    """

    version: int
    event: str
    item: Object
    before: Object | None


@dataclass(frozen=True)
class _Term:
    path: tuple[str, str]
    value: str
    negated: bool

    def matches(self, item: Object) -> bool:
        outer, inner = self.path
        return (item.get(outer, {}).get(inner, "") == self.value) is not self.negated


@dataclass(frozen=True)
class Selection:
    """Objects of one namespace, or of all where it is empty, that every term matches."""

    namespace: str = ""
    terms: tuple[_Term, ...] = ()

    def matches(self, item: Object) -> bool:
        if self.namespace and item["metadata"].get("namespace") != self.namespace:
            return False
        return all(term.matches(item) for term in self.terms)

    def see(self, change: Change) -> tuple[str, Object] | None:
        """The event of a watch over the selection; None for a change that it does not see."""
        before = change.before is not None and self.matches(change.before)
        after = change.event != "DELETED" and self.matches(change.item)
        if not before and not after:
            return None
        if not after:
            return "DELETED", change.item
        return ("MODIFIED" if before else "ADDED"), change.item


EVERYTHING = Selection()


def parse(namespace: str, field_selector: str) -> Selection:
    """The selection of a request.

    Raises:
        UnsupportedField: not a selector, or of a field that cannot be selected by.
    """
    terms = []
    for text in filter(None, field_selector.split(",")):
        match = _TERM.fullmatch(text)
        if match is None or match[1] not in _FIELDS:
            raise UnsupportedField(text)
        terms.append(_Term(_FIELDS[match[1]], match[3], match[2] == "!="))
    return Selection(namespace, tuple(terms))
