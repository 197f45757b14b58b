"""What one rule makes of the series of its query: names them and ties them to resources.

The input may be large (200 000 names with label sets), so a name is matched once and a label set is
associated once. The result does not depend on the order of the input: where two series give one
metric, the one whose name sorts last is kept, and counted. Refused: metric names that no request
path can carry. Follows the predecessor's `pkg/custom-provider/series_registry.go`, which keeps an
arbitrary one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from metrics_apiserver.core.model import GroupResource, Series
from metrics_apiserver.core.naming import MetricNamer

# An external metric belongs to no resource.
Key = tuple[GroupResource | None, str]
Associate = Callable[[frozenset[str]], Sequence[GroupResource | None]]


@dataclass(slots=True)
class Count:
    """How many there were, and the first by name as an example."""

    number: int = 0
    example: str = ""

    def add(self, name: str) -> None:
        self.example = min(self.example, name) if self.number else name
        self.number += 1


@dataclass(slots=True)
class Harvest:
    """The yield of one rule.

    Attributes:
        sources: (resource, metric name) to series name.
        accepted: series that the filters left.
        unassociated: of these, without any resource.
        unnameable: of these, whose metric name cannot be asked for.
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


def harvest(namer: MetricNamer, series: Collection[Series], associate: Associate) -> Harvest:
    """Applies a rule's naming and association to its series.

    Args:
        namer: the rule's filters and naming.
        series: each (name, label names) once.
        associate: the resources of a set of label names; asked once for each set.
    """
    result = Harvest()
    names: dict[str, str | None] = {}
    resources: dict[frozenset[str], Sequence[GroupResource | None]] = {}
    for item in series:
        name, labels = item.name, item.labels
        if name not in names:
            names[name] = namer.metric_name(name) if namer.accepts(name) else None
        metric = names[name]
        if metric is None:
            continue
        result.accepted += 1
        if labels not in resources:
            resources[labels] = associate(labels)
        found = resources[labels]
        if not found:
            result.unassociated.add(name)
        elif not is_reachable(metric):
            result.unnameable.add(name)
        else:
            for resource in found:
                result.keep((resource, metric), name)
    return result


def is_reachable(metric: str) -> bool:
    """Whether a URL path segment may be this name; Kubernetes clients refuse the others."""
    return metric not in ("", ".", "..") and "/" not in metric and "%" not in metric
