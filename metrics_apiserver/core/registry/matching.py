"""Applies one rule to the series of its query: names the metrics and maps labels to resources.

The input may be large (200 000 names with label sets), so it is grouped by name once for all rules
that share a query, and each rule then looks at each name once. The result does not depend on the
order of the input: where two series give one metric, the one whose name sorts last is kept, and
counted. Refused: metric names that no request path can carry. Follows the predecessor's
`pkg/custom-provider/series_registry.go`, which keeps an arbitrary one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from metrics_apiserver.core.converter import ResourceConverter
from metrics_apiserver.core.model import GroupResource, Series
from metrics_apiserver.core.naming import MetricNamer

# An external metric belongs to no resource.
Key = tuple[GroupResource | None, str]


@dataclass(frozen=True, slots=True)
class SeriesGroup:
    """The series of one name.

    Attributes:
        label_sets: label names of each.
        seen: labels that at least one of them has.
        shared: labels that all of them have.
    """

    label_sets: Sequence[frozenset[str]]
    seen: frozenset[str]
    shared: frozenset[str]


SeriesByName = Mapping[str, SeriesGroup]


def group_by_name(series: Iterable[Series]) -> SeriesByName:
    """Groups series, each (name, label names) given once."""
    label_sets: dict[str, list[frozenset[str]]] = {}
    for item in series:
        label_sets.setdefault(item.name, []).append(item.labels)
    return {name: _group(sets) for name, sets in label_sets.items()}


def _group(sets: list[frozenset[str]]) -> SeriesGroup:
    if len(sets) == 1:  # the usual case; a copy of each set would double a large input
        return SeriesGroup(sets, sets[0], sets[0])
    return SeriesGroup(sets, sets[0].union(*sets), sets[0].intersection(*sets))


@dataclass(slots=True)
class Count:
    """How many there were, and the first by name as an example."""

    number: int = 0
    example: str = ""

    def add(self, name: str, number: int) -> None:
        if number:
            self.example = min(self.example, name) if self.number else name
        self.number += number


@dataclass(slots=True)
class RuleMatch:
    """What one rule made of the series of its query.

    Attributes:
        sources: (resource, metric name) to series name.
        accepted: series that the filters left.
        unassociated: of these, without any resource.
        unnameable: of these, whose metric name cannot be requested.
        collided: keys that more than one series name gave.
    """

    sources: dict[Key, str] = field(default_factory=dict)
    accepted: int = 0
    unassociated: Count = field(default_factory=Count)
    unnameable: Count = field(default_factory=Count)
    collided: set[Key] = field(default_factory=set)

    def keep(self, key: Key, series_name: str) -> None:
        """Of several series for one key the last by name stays."""
        kept = self.sources.setdefault(key, series_name)
        if kept != series_name:
            self.collided.add(key)
            self.sources[key] = max(kept, series_name)


def match_series(
    namer: MetricNamer, groups: SeriesByName, converter: ResourceConverter | None
) -> RuleMatch:
    """Applies a rule's naming and association to the series of its query.

    Args:
        namer: the rule's filters and naming.
        groups: the series by name.
        converter: what the rule's labels mean; None for external metrics.
    """
    result = RuleMatch()
    for name, group in groups.items():
        metric = namer.metric_name(name)
        if metric is None:
            continue
        result.accepted += len(group.label_sets)
        resources: set[GroupResource | None] = {None}
        if converter is not None:
            mapped = {
                label: found for label in group.seen if (found := converter.resource_of(label))
            }
            resources = set(mapped.values())
            result.unassociated.add(name, _count_without(mapped.keys(), group))
        if not is_reachable(metric):
            result.unnameable.add(name, len(group.label_sets))
            continue
        for resource in resources:
            result.keep((resource, metric), name)
    return result


def _count_without(labels: Set[str], group: SeriesGroup) -> int:
    """How many series of the group have none of the labels."""
    if not labels.isdisjoint(group.shared):
        return 0
    return sum(labels.isdisjoint(label_set) for label_set in group.label_sets)


def is_reachable(metric: str) -> bool:
    """Whether a URL path segment may be this name; Kubernetes clients refuse the others."""
    return metric not in ("", ".", "..") and "/" not in metric and "%" not in metric
