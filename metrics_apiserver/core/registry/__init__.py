"""The registry: which metrics there are, by which rule and series, for one cluster and one moment.

`matching` applies one rule to the series of its query, `builder` all rules to all series, and
`snapshot` is the result. `build` and the types of a Snapshot are the whole interface.
"""

from metrics_apiserver.core.registry.builder import SeriesByQuery, build
from metrics_apiserver.core.registry.snapshot import (
    CompiledResourceRule,
    CompiledResourceRules,
    MetricSource,
    RuleStatus,
    Snapshot,
    SnapshotSource,
)

__all__ = [
    "CompiledResourceRule",
    "CompiledResourceRules",
    "MetricSource",
    "RuleStatus",
    "SeriesByQuery",
    "Snapshot",
    "SnapshotSource",
    "build",
]
