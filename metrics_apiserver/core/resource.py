"""metrics.k8s.io: node and pod usage from two rules, cpu and memory.

Follows the predecessor's `pkg/resourceprovider`, with its shapes and its earliest-sample
timestamps. A pod or node with one half missing is left out, as there. So is a container that does
not run, such as an init container that has finished: the HPA drops a pod in which any container
lacks the resource. A container that has just begun has memory and no rate of cpu yet; it shows
memory alone and no zero: the HPA then counts its pod as one without cpu, where a zero, or a sum
without that container, would be obeyed. A negative value or NaN is 0 as there (a rate over a
counter reset); an infinite one counts as missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from metrics_apiserver.base import errors
from metrics_apiserver.core import objects, quantity, values
from metrics_apiserver.core.bulk.queryplan import QueryPlan
from metrics_apiserver.core.model import NAMESPACES, NODES, PODS, GroupResource, Sample
from metrics_apiserver.core.registry import CompiledResourceRule
from metrics_apiserver.core.selector import Selector

_EVERYTHING = Selector(())


@dataclass(frozen=True, slots=True)
class MeasuredObject:
    """A node or pod that the cluster has.

    Attributes:
        namespace: empty for nodes.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]


def pod_plan(rule: CompiledResourceRule) -> QueryPlan:
    """The container query of cpu or memory.

    Raises:
        errors.Internal: the rule maps no label to pods or namespaces.
    """
    return QueryPlan(
        template=rule.rule.container_template,
        series="",
        resource_label=_label(rule, PODS),
        namespace_label=_label(rule, NAMESPACES),
        selector=_EVERYTHING,
        extra_group_by=(rule.rule.container_label,),
    )


def node_plan(rule: CompiledResourceRule) -> QueryPlan:
    """The node query of cpu or memory.

    Raises:
        errors.Internal: the rule maps no label to nodes.
    """
    return QueryPlan(
        template=rule.rule.node_template,
        series="",
        resource_label=_label(rule, NODES),
        namespace_label="",
        selector=_EVERYTHING,
    )


def _label(rule: CompiledResourceRule, resource: GroupResource) -> str:
    try:
        return rule.converter.label_for(resource)
    except LookupError as error:
        raise errors.Internal(
            f"unable to build the query of {rule.rule.path}: no label is mapped to {resource}",
            detail=str(error),
        ) from error


def _usable(samples: Iterable[Sample], counts: values.ValueCounts) -> float | None:
    """The largest value of duplicates, NaN and negatives as 0; None for none or an infinite one."""
    numbers = [sample.value for sample in samples]
    if len(numbers) > 1:
        counts.duplicate += 1
    if any(map(math.isinf, numbers)):
        counts.infinite += 1
        return None
    # NaN compares with nothing, so it is not greater than 0 either.
    return max((number if number > 0 else 0.0 for number in numbers), default=None)


def _by_container(samples: Iterable[Sample], label: str) -> dict[str, list[Sample]]:
    grouped: dict[str, list[Sample]] = {}
    for sample in samples:
        grouped.setdefault(sample.labels.get(label, ""), []).append(sample)
    return grouped


def _is_running(cpu: Sequence[Sample], memory: Sequence[Sample]) -> bool:
    """Whether a container runs, as far as its samples say.

    Only a process holds memory. A finished container has no memory sample, or one of 0 for as long
    as its cgroup is left; its cpu counter stays in the range of the rate for a while. An infinite
    value is unknown, which is not 0.
    """
    if cpu:
        return bool(memory)
    return any(sample.value > 0 or math.isinf(sample.value) for sample in memory)


def _usage(
    cpu: Iterable[Sample], memory: Iterable[Sample], counts: values.ValueCounts
) -> objects.ResourceUsage:
    """What is known of the two halves."""
    usage: objects.ResourceUsage = {}
    cores = _usable(cpu, counts)
    if cores is not None:
        usage["cpu"] = quantity.from_float(cores)
    octets = _usable(memory, counts)
    if octets is not None:
        usage["memory"] = quantity.from_bytes(octets)
    return usage


def _metadata(measured: MeasuredObject, now: float) -> objects.ObjectMeta:
    meta: objects.ObjectMeta = {
        "name": measured.name,
        "creationTimestamp": objects.format_time(now),
    }
    if measured.namespace:
        meta["namespace"] = measured.namespace
    if measured.labels:
        meta["labels"] = dict(measured.labels)
    return meta


def _earliest(*groups: Sequence[Sample]) -> str:
    return objects.format_time(min(sample.timestamp for group in groups for sample in group))


@dataclass(frozen=True, slots=True)
class Frame:
    """What one answer's items share.

    Attributes:
        window: Go duration text of the rules' window.
        now: seconds since the epoch, for creationTimestamp.
        cpu_container, memory_container: label that carries the container's name.
    """

    window: str
    now: float
    cpu_container: str = ""
    memory_container: str = ""


def node_metrics(
    node: MeasuredObject,
    cpu: Sequence[Sample],
    memory: Sequence[Sample],
    frame: Frame,
    counts: values.ValueCounts,
) -> objects.NodeMetrics | None:
    """One node's item, or None when a half is missing."""
    usage = _usage(cpu, memory, counts)
    if len(usage) < 2:
        return None
    return {
        "metadata": _metadata(node, frame.now),
        "timestamp": _earliest(cpu, memory),
        "window": frame.window,
        "usage": usage,
    }


def pod_metrics(
    pod: MeasuredObject,
    cpu: Sequence[Sample],
    memory: Sequence[Sample],
    frame: Frame,
    counts: values.ValueCounts,
) -> objects.PodMetrics | None:
    """One pod's item with its running containers sorted by name.

    None when a half is missing, or when no container runs.
    """
    if not cpu or not memory:
        return None
    cpu_by_container = _by_container(cpu, frame.cpu_container)
    containers: list[objects.ContainerMetrics] = []
    shown: list[Sequence[Sample]] = []
    for name, held in sorted(_by_container(memory, frame.memory_container).items()):
        used = cpu_by_container.get(name, ())
        if _is_running(used, held):
            containers.append({"name": name, "usage": _usage(used, held, counts)})
            shown += (used, held)
    if not containers:
        return None
    return {
        "metadata": _metadata(pod, frame.now),
        "timestamp": _earliest(*shown),
        "window": frame.window,
        "containers": containers,
    }
