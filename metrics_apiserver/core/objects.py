"""Wire shapes of the three metrics APIs, keys spelled as JSON spells them.

Source: k8s.io/metrics `pkg/apis/{custom_metrics,external_metrics,metrics}` and
`meta/v1`. Only what is served is declared; quantities and times are already text.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any, NotRequired, TypedDict


class ObjectReference(TypedDict):
    kind: str
    namespace: NotRequired[str]
    name: str
    apiVersion: str


class MetricIdentifier(TypedDict):
    name: str
    selector: dict[str, Any] | None


class MetricValueV1Beta1(TypedDict):
    describedObject: ObjectReference
    metricName: str
    timestamp: str
    value: str
    selector: dict[str, Any] | None


class MetricValueV1Beta2(TypedDict):
    describedObject: ObjectReference
    metric: MetricIdentifier
    timestamp: str
    value: str


class MetricValueList(TypedDict):
    kind: str
    apiVersion: str
    metadata: dict[str, Any]
    items: list[MetricValueV1Beta1] | list[MetricValueV1Beta2]


class ExternalMetricValue(TypedDict):
    metricName: str
    metricLabels: dict[str, str] | None
    timestamp: str
    value: str


class ExternalMetricValueList(TypedDict):
    kind: str
    apiVersion: str
    metadata: dict[str, Any]
    items: list[ExternalMetricValue]


class ObjectMeta(TypedDict):
    name: str
    namespace: NotRequired[str]
    creationTimestamp: str
    labels: NotRequired[dict[str, str]]


class ResourceUsage(TypedDict, total=False):
    cpu: str
    memory: str


class NodeMetrics(TypedDict):
    kind: NotRequired[str]
    apiVersion: NotRequired[str]
    metadata: ObjectMeta
    timestamp: str
    window: str
    usage: ResourceUsage


class ContainerMetrics(TypedDict):
    name: str
    usage: ResourceUsage


class PodMetrics(TypedDict):
    kind: NotRequired[str]
    apiVersion: NotRequired[str]
    metadata: ObjectMeta
    timestamp: str
    window: str
    containers: list[ContainerMetrics]


@lru_cache(maxsize=64)
def _format_second(second: int) -> str:
    return dt.datetime.fromtimestamp(second, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_time(epoch_seconds: float) -> str:
    """RFC 3339 in UTC, truncated to the second, as metav1.Time writes it."""
    return _format_second(int(epoch_seconds // 1))
