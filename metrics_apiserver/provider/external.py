"""Fetches external metrics: the Snapshot once, one query, then the items."""

from __future__ import annotations

from collections.abc import Callable

from metrics_apiserver.base import errors, threads
from metrics_apiserver.core import external, objects, values
from metrics_apiserver.core.registry import SnapshotSource
from metrics_apiserver.core.selector import Selector
from metrics_apiserver.provider.evaluation.evaluator import Evaluator


class ExternalProvider:
    """Answers reads of external.metrics.k8s.io; arguments as CustomProvider's."""

    def __init__(
        self,
        source: SnapshotSource,
        evaluator: Evaluator,
        count: Callable[[str, values.ValueCounts], None] = lambda _rule, _counts: None,
    ) -> None:
        self._source = source
        self._evaluator = evaluator
        self._count = count

    async def read(
        self, metric: str, namespace: str, selector: Selector
    ) -> list[objects.ExternalMetricValue]:
        """All series of the metric that the selector picks.

        Raises:
            errors.MetricNotFound: no rule gives the metric.
            errors.MetricsError: the metric could not be read.
        """
        snapshot = self._source.snapshot
        if snapshot is None:
            raise errors.Unavailable("the cluster's resources are not known yet: try again")
        target = external.resolve(snapshot, metric, namespace, selector)
        result = await self._evaluator.query(target.query)
        counts = values.ValueCounts()
        try:
            return await threads.run(len(result.samples), external.assemble, target, result, counts)
        finally:
            self._count(target.source.rule.path, counts)
