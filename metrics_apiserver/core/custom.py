"""custom.metrics.k8s.io: from a metric and a resource to a QueryPlan, and from samples to items.

Follows the predecessor's `pkg/custom-provider` and the library's `pkg/registry/custom_metrics`.
A cluster-scoped resource ignores the namespace of the path (the HPA always sends one), but for
namespaces: who may read in one must not read another's numbers that way. A namespaced resource
without a namespace is not found. An unknown name is an error, never an empty answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metrics_apiserver.base import errors
from metrics_apiserver.core import objects, quantity, selector, values
from metrics_apiserver.core.bulk.queryplan import QueryPlan
from metrics_apiserver.core.model import NAMESPACES, GroupResource, MappedResource, Sample
from metrics_apiserver.core.registry import MetricSource, Snapshot, quarantine
from metrics_apiserver.core.selector import Selector


@dataclass(frozen=True, slots=True)
class CustomRequest:
    """One read, as the path and its parameters name it.

    Attributes:
        resource: as written in the path, not yet mapped.
        namespace: empty for root-scoped paths.
        name: object name, or `*` for all that the selector matches.
        object_selector: `labelSelector`, used only with `*`.
        metric_selector: `metricLabelSelector`.
    """

    resource: GroupResource
    namespace: str
    name: str
    metric: str
    object_selector: Selector
    metric_selector: Selector


@dataclass(frozen=True, slots=True)
class Target:
    """A request resolved against one Snapshot.

    Attributes:
        namespace: the namespace that counts; empty for cluster-scoped resources.
    """

    request: CustomRequest
    source: MetricSource
    mapped: MappedResource
    namespace: str
    plan: QueryPlan


def resolve(snapshot: Snapshot, request: CustomRequest) -> Target:
    """Finds the rule that gives the metric.

    Raises:
        errors.UpstreamError: Prometheus has not answered since the start.
        errors.MetricNotFound: unknown resource or metric, a namespaced resource without a
            namespace, or a namespace by way of another one; or the rule maps no label to them.
        errors.Unavailable: the rule that gives the metric is set aside.
    """
    mapped = snapshot.mapper.resource_for(request.resource)
    if mapped is None:
        raise _not_found(request, "the cluster has no such resource")
    source = snapshot.custom.get((mapped.group_resource, request.metric))
    if snapshot.set_aside:
        rule = None if source is None else source.rule
        quarantine.check(snapshot.set_aside, request.metric, mapped.group_resource, rule)
    if source is None:
        snapshot.check_reached()
        remark = quarantine.remark(snapshot.set_aside, request.metric, external=False)
        raise _not_found(
            request,
            "no rule gives this metric for that resource; "
            "`kubectl get --raw /apis/custom.metrics.k8s.io/v1beta2` lists those there are"
            f"{remark}",
        )
    if mapped.namespaced and not request.namespace:
        raise _not_found(request, "the resource is namespaced: name a namespace")
    if mapped.group_resource == NAMESPACES and request.namespace not in ("", request.name):
        raise _not_found(
            request, "a namespace's own metrics are read at namespaces/{name}/metrics/{metric}"
        )
    namespace = request.namespace if mapped.namespaced else ""
    return Target(
        request=request,
        source=source,
        mapped=mapped,
        namespace=namespace,
        plan=_build_plan(source, mapped, request),
    )


def _not_found(request: CustomRequest, why: str) -> errors.MetricNotFound:
    name = "" if request.name == "*" else request.name
    return errors.MetricNotFound(request.metric, str(request.resource), name=name, why=why)


def _build_plan(source: MetricSource, mapped: MappedResource, request: CustomRequest) -> QueryPlan:
    label_for = source.converter.label_for
    unmapped, example = mapped.group_resource, mapped.singular
    try:
        resource_label = label_for(unmapped)
        unmapped, example = NAMESPACES, "namespace"
        namespace_label = label_for(unmapped) if mapped.namespaced else ""
    except LookupError as error:
        of = "the namespace" if unmapped == NAMESPACES else str(unmapped)
        raise _not_found(
            request,
            f"{source.rule.path} maps no label to {of}, which each query needs: add the label "
            f"to resources.overrides, such as `{example}: {{resource: {example}}}`",
        ) from error
    return QueryPlan(
        template=source.rule.template,
        series=source.series_name,
        resource_label=resource_label,
        namespace_label=namespace_label,
        selector=request.metric_selector,
    )


def group_samples(samples: Iterable[Sample], label: str) -> dict[str, list[Sample]]:
    """Samples by the value of one label; those without it are left out."""
    grouped: dict[str, list[Sample]] = {}
    for sample in samples:
        name = sample.labels.get(label)
        if name:
            grouped.setdefault(name, []).append(sample)
    return grouped


def drop_namesakes(
    samples: Sequence[Sample],
    plan: QueryPlan,
    namespace: str,
    names: Collection[str],
    counts: values.ValueCounts | None,
) -> Sequence[Sample]:
    """Leaves out samples that say themselves that they are of another namespace.

    They come where a query ignores LabelMatchers. A sample that names no namespace stays: there is
    nothing to compare.

    Args:
        samples: the answer to the plan's exact query.
        plan: without a namespace label, everything stays.
        namespace: that the query was for.
        names: of the objects that were asked for; only their namesakes are counted.
        counts: counted into.
    """
    label = plan.namespace_label
    if not label:
        return samples
    own = [sample for sample in samples if sample.labels.get(label, namespace) == namespace]
    if counts is not None and len(own) < len(samples):
        wanted = frozenset(names)
        counts.namesake += sum(
            sample.labels.get(label, namespace) != namespace
            and sample.labels.get(plan.resource_label) in wanted
            for sample in samples
        )
    return own


def assemble(
    target: Target,
    names: Sequence[str],
    samples: Mapping[str, Sequence[Sample]],
    counts: values.ValueCounts,
) -> list[tuple[str, str, str]]:
    """(object name, timestamp, quantity) of every name that has a servable value, in their order.

    Raises:
        errors.Internal: a policy of the rule is `error` and applies.
        errors.MetricNotFound: a single named object has no servable value.
    """
    rule = target.source.rule
    items: list[tuple[str, str, str]] = []
    for name in names:
        found = samples.get(name)
        if not found:
            continue
        value = values.reduce(
            found,
            on_nan=rule.on_nan,
            on_duplicate=rule.on_duplicate,
            what=f"{target.request.metric} of {target.mapped.plural} {name}",
            counts=counts,
        )
        if value is not None:
            stamp = objects.format_time(min(sample.timestamp for sample in found))
            items.append((name, stamp, quantity.from_float(value)))
    if not items and target.request.name != "*":
        raise errors.MetricNotFound(
            target.request.metric,
            str(target.request.resource),
            name=target.request.name,
            why=_why_absent(counts),
        )
    return items


def _why_absent(counts: values.ValueCounts) -> str:
    if counts.infinite:
        return "its value is infinite"
    if counts.nan:
        return "its value is NaN (onNaN: drop)"
    if counts.namesake:
        return "no series of this namespace came back; use <<.LabelMatchers>> in metricsQuery"
    return "Prometheus has no series for it, or the rule's metricsQuery drops the label naming it"


def build_list(
    version: str, target: Target, items: Sequence[tuple[str, str, str]]
) -> objects.MetricValueList:
    """The MetricValueList of `version` (`v1beta1` or `v1beta2`)."""
    metric = target.request.metric
    shown = selector.to_label_selector(target.request.metric_selector)
    mapped = target.mapped
    kind, namespace, api_version = mapped.kind, target.namespace, mapped.api_version

    def reference(name: str) -> objects.ObjectReference:
        if namespace:
            return {"kind": kind, "namespace": namespace, "name": name, "apiVersion": api_version}
        return {"kind": kind, "name": name, "apiVersion": api_version}

    body: list[Any]
    if version == "v1beta1":
        body = [
            {
                "describedObject": reference(name),
                "metricName": metric,
                "timestamp": stamp,
                "value": value,
                "selector": shown,
            }
            for name, stamp, value in items
        ]
    else:
        identifier = {"name": metric, "selector": shown}
        body = [
            {
                "describedObject": reference(name),
                "metric": identifier,
                "timestamp": stamp,
                "value": value,
            }
            for name, stamp, value in items
        ]
    return {
        "kind": "MetricValueList",
        "apiVersion": f"custom.metrics.k8s.io/{version}",
        "metadata": {},
        "items": body,
    }
