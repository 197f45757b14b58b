"""Fetches node and pod usage: the objects, one query for cpu and one for memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from metrics_apiserver.base import durations, errors, threads
from metrics_apiserver.core import objects, resource, values
from metrics_apiserver.core.bulk.queryplan import QueryPlan
from metrics_apiserver.core.model import NODES, PODS, GroupResource, MappedResource
from metrics_apiserver.core.registry import (
    CompiledResourceRule,
    CompiledResourceRules,
    SnapshotSource,
)
from metrics_apiserver.core.resource import Frame, MeasuredObject
from metrics_apiserver.core.selector import Selector
from metrics_apiserver.provider.evaluation.evaluator import Evaluator, SamplesByName
from metrics_apiserver.provider.evaluation.exact import side_by_side
from metrics_apiserver.provider.listing import ObjectLister

_NOTHING: SamplesByName = {}


class ResourceProvider:
    """Answers reads of metrics.k8s.io; arguments as CustomProvider's, `wall` in epoch seconds."""

    def __init__(
        self,
        source: SnapshotSource,
        objects: ObjectLister,
        evaluator: Evaluator,
        *,
        wall: Callable[[], float],
        count: Callable[[str, values.ValueCounts], None] = lambda _rule, _counts: None,
    ) -> None:
        self._source = source
        self._objects = objects
        self._evaluator = evaluator
        self._wall = wall
        self._count = count

    async def nodes(self, selector: Selector, name: str = "") -> list[objects.NodeMetrics]:
        """Items of all nodes that the selector picks, or of the named one, sorted by name.

        Raises:
            errors.NotFound: no such node.
            errors.MetricsError: the metric could not be read.
        """
        rules, mapped = self._find_mapping(NODES)
        found = await self._measured(mapped, "", selector, name, f'node "{name}" not found')
        if not found:
            return []
        wanted = {"": [item.name for item in found]}
        counts = values.ValueCounts()
        cpu, memory = await self._both(rules, resource.node_plan, wanted, counts)
        frame = Frame(durations.format_go(rules.window_seconds), self._wall())
        items = [
            resource.node_metrics(
                item, cpu[""].get(item.name, ()), memory[""].get(item.name, ()), frame, counts
            )
            for item in found
        ]
        self._count("resourceRules", counts)
        return [item for item in items if item is not None]

    async def pods(
        self, namespace: str, selector: Selector, name: str = ""
    ) -> list[objects.PodMetrics]:
        """Items of the pods that the selector picks, or of the named one, sorted.

        Args:
            namespace: empty for all namespaces.
            selector: on pod labels.
            name: one pod.

        Raises:
            errors.NotFound: no such pod.
            errors.MetricsError: the metric could not be read.
        """
        rules, mapped = self._find_mapping(PODS)
        found = await self._measured(mapped, namespace, selector, name, f'pods "{name}" not found')
        if not found:
            return []
        wanted: dict[str, list[str]] = {}
        for item in found:
            wanted.setdefault(item.namespace, []).append(item.name)
        counts = values.ValueCounts()
        cpu, memory = await self._both(rules, resource.pod_plan, wanted, counts)
        frame = Frame(
            durations.format_go(rules.window_seconds),
            self._wall(),
            rules.cpu.rule.container_label,
            rules.memory.rule.container_label,
        )

        def assemble() -> list[objects.PodMetrics]:
            items = (
                resource.pod_metrics(
                    item,
                    cpu.get(item.namespace, _NOTHING).get(item.name, ()),
                    memory.get(item.namespace, _NOTHING).get(item.name, ()),
                    frame,
                    counts,
                )
                for item in found
            )
            return [item for item in items if item is not None]

        items = await threads.run(len(found), assemble)
        self._count("resourceRules", counts)
        return items

    def _find_mapping(self, wanted: GroupResource) -> tuple[CompiledResourceRules, MappedResource]:
        snapshot = self._source.snapshot
        if snapshot is None:
            raise errors.Unavailable("the cluster's resources are not known yet: try again")
        if snapshot.resource_fault:
            raise errors.Unavailable(f"unable to fetch metrics: {snapshot.resource_fault}")
        if snapshot.resource_rules is None:
            raise errors.NotFound()
        mapped = snapshot.mapper.resource_for(wanted)
        if mapped is None:
            raise errors.Unavailable(f"the cluster does not list the resource {wanted}")
        return snapshot.resource_rules, mapped

    async def _measured(
        self, mapped: MappedResource, namespace: str, selector: Selector, name: str, absent: str
    ) -> list[MeasuredObject]:
        rows = await self._objects.objects(mapped, namespace, selector)
        if name:
            rows = [row for row in rows if row[1] == name]
            if not rows:
                kind = "node" if mapped.plural == "nodes" else "pods"
                raise errors.NotFound(absent, name=name, kind=kind)
        return [MeasuredObject(space, item, labels) for space, item, labels in rows]

    async def _both(
        self,
        rules: CompiledResourceRules,
        plan: Callable[[CompiledResourceRule], QueryPlan],
        wanted: Mapping[str, Sequence[str]],
        counts: values.ValueCounts,
    ) -> tuple[Mapping[str, SamplesByName], Mapping[str, SamplesByName]]:
        """Asks for cpu and memory at the same time; the first error is the caller's."""
        cpu, memory = await side_by_side(
            self._evaluator.by_namespace(plan(rules.cpu), wanted, counts),
            self._evaluator.by_namespace(plan(rules.memory), wanted, counts),
        )
        return cpu, memory
