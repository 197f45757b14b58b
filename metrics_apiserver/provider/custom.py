"""Fetches custom metrics: the Snapshot once, the names, the samples, then the items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metrics_apiserver.base import errors, threads
from metrics_apiserver.core import custom, values
from metrics_apiserver.core.custom import CustomRequest, Target
from metrics_apiserver.core.registry import SnapshotSource
from metrics_apiserver.provider.evaluation.evaluator import Evaluator
from metrics_apiserver.provider.listing import ObjectLister


@dataclass(frozen=True, slots=True)
class CustomAnswer:
    """Items of one read: (object name, timestamp, quantity)."""

    target: Target
    items: Sequence[tuple[str, str, str]]


class CustomProvider:
    """Answers reads of custom.metrics.k8s.io.

    Args:
        source: has the current Snapshot, None before the cluster's resources are known.
        objects: names of objects.
        evaluator: samples.
        count: called for each response with the rule's path and what was left out.
    """

    def __init__(
        self,
        source: SnapshotSource,
        objects: ObjectLister,
        evaluator: Evaluator,
        count: Callable[[str, values.ValueCounts], None] = lambda _rule, _counts: None,
    ) -> None:
        self._source = source
        self._objects = objects
        self._evaluator = evaluator
        self._count = count

    async def read(self, request: CustomRequest) -> CustomAnswer:
        """One object's value, or those of all objects that the selector picks.

        Raises:
            errors.MetricNotFound: no such metric, no object picked, or no value for a named one.
            errors.MetricsError: the metric could not be read.
        """
        snapshot = self._source.snapshot
        if snapshot is None:
            raise errors.Unavailable("the cluster's resources are not known yet: try again")
        target = custom.resolve(snapshot, request)
        names = await self._names(target)
        counts = values.ValueCounts()
        samples = await self._evaluator.samples(target.plan, target.namespace, names, counts)
        try:
            items = await threads.run(len(names), custom.assemble, target, names, samples, counts)
        finally:
            self._count(target.source.rule.path, counts)
        return CustomAnswer(target, items)

    async def _names(self, target: Target) -> Sequence[str]:
        request = target.request
        if request.name != "*":
            return (request.name,)
        names = await self._objects.names(target.mapped, target.namespace, request.object_selector)
        if not names:
            # No query without names: `pod=""` would match every series that lacks the label.
            raise errors.MetricNotFound(
                request.metric, str(request.resource), why="the selector matches no object"
            )
        return names
