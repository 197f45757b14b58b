"""metrics.k8s.io: node and pod usage from two rules, cpu and memory.

Follows the predecessor's `pkg/resourceprovider`, with its shapes and its earliest-sample
timestamps. A pod, node or container with one half missing is left out: a zero would be obeyed by
the HPA. A negative value or NaN is 0 as there (a rate over a counter reset); an infinite one is
left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from metrics_apiserver.core import errors, objects, quantity, values
from metrics_apiserver.core.model import NAMESPACES, NODES, PODS, Sample
from metrics_apiserver.core.question import Question
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


Samples = Mapping[str, Sequence[Sample]]


def pod_question(rule: CompiledResourceRule) -> Question:
    """The container query of cpu or memory.

    Raises:
        errors.Internal: the rule maps no label to pods or namespaces.
    """
    return Question(
        template=rule.rule.container_template,
        series="",
        resource_label=_label(rule, PODS),
        namespace_label=_label(rule, NAMESPACES),
        selector=_EVERYTHING,
        extra_group_by=(rule.rule.container_label,),
    )


def node_question(rule: CompiledResourceRule) -> Question:
    """The node query of cpu or memory.

    Raises:
        errors.Internal: the rule maps no label to nodes.
    """
    return Question(
        template=rule.rule.node_template,
        series="",
        resource_label=_label(rule, NODES),
        namespace_label="",
        selector=_EVERYTHING,
    )


def _label(rule: CompiledResourceRule, resource: object) -> str:
    try:
        return rule.converter.label_for(resource)  # type: ignore[arg-type]
    except LookupError as error:
        raise errors.Internal(
            f"unable to build the query of {rule.rule.path}: no label is mapped to {resource}",
            detail=str(error),
        ) from error


def _usable(samples: Iterable[Sample], tally: values.Tally) -> float | None:
    """The largest value of duplicates; NaN and negatives are 0, infinity is refused."""
    numbers = [
        0.0 if math.isnan(sample.value) or sample.value < 0 else sample.value for sample in samples
    ]
    if len(numbers) > 1:
        tally.duplicate += 1
    if any(map(math.isinf, numbers)):
        tally.infinite += 1
        return None
    return max(numbers)


def _by_container(samples: Iterable[Sample], label: str) -> dict[str, list[Sample]]:
    grouped: dict[str, list[Sample]] = {}
    for sample in samples:
        grouped.setdefault(sample.labels.get(label, ""), []).append(sample)
    return grouped


def _usage(
    cpu: Sequence[Sample], memory: Sequence[Sample], tally: values.Tally
) -> objects.ResourceUsage | None:
    cores = _usable(cpu, tally)
    octets = _usable(memory, tally)
    if cores is None or octets is None:
        return None
    return {"cpu": quantity.from_float(cores), "memory": quantity.from_bytes(octets)}


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
    node: MeasuredObject, cpu: Sequence[Sample], memory: Sequence[Sample], frame: Frame
) -> objects.NodeMetrics | None:
    """One node's item, or None when a half is missing."""
    if not cpu or not memory:
        return None
    usage = _usage(cpu, memory, values.Tally())
    if usage is None:
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
    tally: values.Tally,
) -> objects.PodMetrics | None:
    """One pod's item with its complete containers sorted by name, or None when none is complete."""
    cpu_by_container = _by_container(cpu, frame.cpu_container)
    memory_by_container = _by_container(memory, frame.memory_container)
    containers: list[objects.ContainerMetrics] = []
    for name in sorted(cpu_by_container.keys() & memory_by_container.keys()):
        usage = _usage(cpu_by_container[name], memory_by_container[name], tally)
        if usage is not None:
            containers.append({"name": name, "usage": usage})
    if not containers:
        return None
    return {
        "metadata": _metadata(pod, frame.now),
        "timestamp": _earliest(cpu, memory),
        "window": frame.window,
        "containers": containers,
    }
