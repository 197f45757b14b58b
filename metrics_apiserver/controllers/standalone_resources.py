"""Standalone mode's resources: what the rules in use say of them, without a cluster to ask.

The resource table and the labels that name objects follow the rules at each question, so a reload
changes both at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from metrics_apiserver.core import builtin
from metrics_apiserver.core.converter import ResourceConverter
from metrics_apiserver.core.model import NAMESPACES, MappedResource
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules.config import RuleFile


class RuleSource(Protocol):
    """Whoever knows the rules in use."""

    @property
    def rules(self) -> RuleFile: ...


class StandaloneResources:
    """The resource table and labels.

    Args:
        source: has the rules in use.
        max_age_seconds: how old a series may be whose label names an object.
        wall_clock: epoch seconds.
    """

    def __init__(
        self, source: RuleSource, max_age_seconds: float, wall_clock: Callable[[], float]
    ) -> None:
        self._source = source
        self._max_age_seconds = max_age_seconds
        self._wall_clock = wall_clock
        self._made_of: RuleFile | None = None
        self._mapper = RESTMapper(())
        self._labels: dict[MappedResource, Sequence[tuple[str, str, str]]] = {}

    def mapper(self) -> RESTMapper:
        """The resources that the rules name."""
        rules = self._source.rules
        if rules is not self._made_of:
            self._made_of, self._mapper = rules, builtin.mapper(rules)
            self._labels = {}
        return self._mapper

    def labels(self, resource: MappedResource) -> Sequence[tuple[str, str, str]]:
        """(series selector, resource label, namespace label) of each rule that maps it."""
        rules, mapper = self._source.rules, self.mapper()
        known = self._labels.get(resource)
        if known is not None:
            return known
        found = []
        for rule in rules.rules:
            converter = ResourceConverter(rule.mapping, mapper)
            try:
                label = converter.label_for(resource.group_resource)
                namespace = converter.label_for(NAMESPACES) if resource.namespaced else ""
            except LookupError:
                continue
            found.append((rule.series_query, label, namespace))
        known = self._labels[resource] = list(dict.fromkeys(found))
        return known

    def oldest(self) -> float:
        """Epoch seconds from which a series counts."""
        return self._wall_clock() - self._max_age_seconds
