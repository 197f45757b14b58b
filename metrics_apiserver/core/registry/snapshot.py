"""What requests read: the metrics there are, by which rule and series, at one moment.

A Snapshot is immutable and replaced whole; a request keeps the one that it began with.
`core/registry/builder` makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from metrics_apiserver.base import errors
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.core.converter import ResourceConverter
from metrics_apiserver.core.model import GroupResource
from metrics_apiserver.core.registry.quarantine import SetAside
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules.config import ResourceRule, Rule


@dataclass(frozen=True, slots=True)
class MetricSource:
    """Where a metric comes from.

    Attributes:
        namespaced: custom: whether the resource is; external: whether the rule adds the namespace.
    """

    series_name: str
    rule: Rule
    converter: ResourceConverter
    namespaced: bool


@dataclass(frozen=True, slots=True)
class CompiledResourceRule:
    """The cpu or the memory rule, bound to the cluster."""

    rule: ResourceRule
    converter: ResourceConverter


@dataclass(frozen=True, slots=True)
class CompiledResourceRules:
    """Both halves of metrics.k8s.io; the window is what its answers say."""

    cpu: CompiledResourceRule
    memory: CompiledResourceRule
    window_seconds: float


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """What one rule made of its series.

    Attributes:
        rule_path: such as `externalRules[0]`.
        discovered: False when its series query has not been answered yet.
        matched: series (by name and label names) that the series query gave.
        accepted: of these, left by seriesFilters and name.matches.
        unassociated: of these, without a label that maps to a resource (custom rules only).
        metrics: entries that the rule serves, without those that later rules took.
    """

    rule_path: str
    discovered: bool
    matched: int
    accepted: int
    unassociated: int
    metrics: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a request needs to know, replaced whole.

    Attributes:
        generation: as given to `build`.
        custom: by (resource, metric name).
        external: by metric name.
        external_folded: lower-cased name to name, where only one name is meant.
        diagnostics: what is odd about the rules here, in the order it was found.
        statuses: custom rules, then external ones, in file order.
        set_aside: rules that cannot be used, or lack a label.
        resource_fault: why the resource rules cannot be used; empty where they can, or where
            there are none.
        unreachable: why no metric is known, where Prometheus has never answered; else empty.
    """

    generation: int
    mapper: RESTMapper
    custom: Mapping[tuple[GroupResource, str], MetricSource]
    external: Mapping[str, MetricSource]
    external_folded: Mapping[str, str]
    resource_rules: CompiledResourceRules | None
    diagnostics: tuple[Diagnostic, ...]
    statuses: tuple[RuleStatus, ...]
    set_aside: tuple[SetAside, ...] = ()
    resource_fault: str = ""
    unreachable: str = ""

    def check_reached(self) -> None:
        """Lets pass once Prometheus has answered: before that, nobody knows which metrics exist.

        Raises:
            errors.UpstreamError: `unreachable`, with the cause.
        """
        if self.unreachable:
            raise errors.UpstreamError(
                f"unable to fetch metrics: {self.unreachable}", kind="unreachable"
            )


class SnapshotSource(Protocol):
    """Has the Snapshot that a request takes once; None before the first."""

    @property
    def snapshot(self) -> Snapshot | None: ...
