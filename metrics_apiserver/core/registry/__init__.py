"""The registry: which metrics there are, by which rule and series, for one cluster and one moment.

`matching` applies one rule to the series of its query, `builder` all rules to all series,
`quarantine` answers for the rules that cannot be used, and `snapshot` is the result. `build`, the
types of a Snapshot and the functions of `quarantine` are the whole interface.
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
