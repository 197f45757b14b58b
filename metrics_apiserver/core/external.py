"""external.metrics.k8s.io: from a metric name to a query, and from samples to items.

Follows the predecessor's `pkg/external-provider`. Names are found without regard to case, the
exact one first: client-go lower-cases the path segment. NaN is left out unless the rule says
otherwise: the HPA sums the items, so an invented 0 would be obeyed.
"""

from __future__ import annotations

from dataclasses import dataclass

from metrics_apiserver.base import errors
from metrics_apiserver.core import objects, quantity, values
from metrics_apiserver.core.bulk import queryplan
from metrics_apiserver.core.model import NAMESPACES, QueryResult, Sample
from metrics_apiserver.core.registry import MetricSource, Snapshot, quarantine
from metrics_apiserver.core.selector import Selector


@dataclass(frozen=True, slots=True)
class ExternalTarget:
    """A request resolved against one Snapshot, with the query that answers it."""

    metric: str
    source: MetricSource
    query: str


def resolve(snapshot: Snapshot, metric: str, namespace: str, selector: Selector) -> ExternalTarget:
    """Finds the rule and renders its query.

    Raises:
        errors.UpstreamError: Prometheus has not answered since the start.
        errors.MetricNotFound: no rule gives the metric, or it maps no label to the namespace.
        errors.Unavailable: the rule that gives the metric is set aside.
        errors.BadRequest: the selector has an operator that PromQL cannot express.
        errors.Internal: the rule cannot be rendered for this request.
    """
    name = metric if metric in snapshot.external else snapshot.external_folded.get(metric.lower())
    if snapshot.set_aside:
        rule = None if name is None else snapshot.external[name].rule
        quarantine.check(snapshot.set_aside, metric, None, rule)
    if name is None:
        snapshot.check_reached()
        raise errors.MetricNotFound(
            metric,
            _where(namespace),
            why="no external rule gives it; "
            "`kubectl get --raw /apis/external.metrics.k8s.io/v1beta1` lists those there are"
            f"{quarantine.remark(snapshot.set_aside, metric, external=True)}",
        )
    source = snapshot.external[name]
    namespace_label = ""
    if source.rule.namespaced and namespace:
        try:
            namespace_label = source.converter.label_for(NAMESPACES)
        except LookupError as error:
            raise errors.MetricNotFound(
                metric,
                _where(namespace),
                why=f"{source.rule.path} maps no label to the namespace, which each query needs: "
                "add it to resources.overrides, or set resources.namespaced: false",
            ) from error
    plan = queryplan.QueryPlan(
        template=source.rule.template,
        series=source.series_name,
        resource_label="",
        namespace_label=namespace_label,
        selector=selector,
    )
    try:
        query = queryplan.render_exact(plan, namespace, ())
    except errors.TemplateError as error:
        raise errors.Internal(
            f"unable to build the query of {source.rule.path}", detail=str(error)
        ) from error
    return ExternalTarget(metric=name, source=source, query=query)


def _where(namespace: str) -> str:
    """As the predecessor says it: `namespaces` for the default namespace only."""
    return "namespaces" if namespace == "default" else f"namespace {namespace}"


def assemble(
    target: ExternalTarget, result: QueryResult, counts: values.ValueCounts
) -> list[objects.ExternalMetricValue]:
    """One item for each sample, sorted by labels so that equal answers are equal bytes."""
    items: list[objects.ExternalMetricValue] = []
    for sample in result.samples:
        value = _value(target, sample, counts)
        if value is None:
            continue
        items.append(
            {
                "metricName": target.metric,
                "metricLabels": sample.labels if result.kind == "vector" else None,
                "timestamp": objects.format_time(sample.timestamp),
                "value": quantity.from_float(value),
            }
        )
    items.sort(key=lambda item: sorted((item["metricLabels"] or {}).items()))
    return items


def _value(target: ExternalTarget, sample: Sample, counts: values.ValueCounts) -> float | None:
    return values.reduce(
        (sample,),
        on_nan=target.source.rule.on_nan,
        on_duplicate="max",
        what=target.metric,
        counts=counts,
    )


def build_list(items: list[objects.ExternalMetricValue]) -> objects.ExternalMetricValueList:
    return {
        "kind": "ExternalMetricValueList",
        "apiVersion": "external.metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": items,
    }
