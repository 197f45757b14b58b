"""A rule file, compiled: the nouns between `core/rules/config`, which reads it, and the rest.

A Rule is compared by identity; rules with the same content have equal fingerprints. It
knows labels and templates, not the cluster: `core/registry` ties it to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.core import gotemplate
from metrics_apiserver.core.converter import ResourceMapping
from metrics_apiserver.core.naming import MetricNamer

OnNaN = Literal["zero", "drop", "error"]
OnDuplicate = Literal["max", "min", "avg", "sum", "error"]


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule of `rules` or `externalRules`, compiled.

    Attributes:
        path, line: where it stands.
        fingerprint: equal for rules that say the same.
        series_query: a series selector.
        template: metricsQuery, compiled.
        namespaced: whether an external metric's query carries the namespace.
    """

    path: str
    line: int
    fingerprint: str
    series_query: str
    namer: MetricNamer
    mapping: ResourceMapping
    template: gotemplate.Template
    namespaced: bool
    on_nan: OnNaN
    on_duplicate: OnDuplicate


@dataclass(frozen=True, slots=True, eq=False)
class ResourceRule:
    """The cpu or the memory half of `resourceRules`.

    Attributes:
        path, line: where it stands.
        container_label: label that carries a container's name.
    """

    path: str
    line: int
    container_template: gotemplate.Template
    node_template: gotemplate.Template
    mapping: ResourceMapping
    container_label: str


@dataclass(frozen=True, slots=True, eq=False)
class ResourceRules:
    """`resourceRules`; the window is what metrics.k8s.io says of its values."""

    cpu: ResourceRule
    memory: ResourceRule
    window_seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class QuarantinedRule:
    """A rule with a fault, set aside so that the others can be used.

    Attributes:
        path, line: where it stands; `resourceRules` for both halves of these.
        fault: the first one.
        metric: the only name that it can give; empty where that is not known without its series.
        mapping: None for resource rules.
    """

    path: str
    line: int
    fault: Diagnostic
    metric: str = ""
    mapping: ResourceMapping | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RuleFile:
    """A whole file that can be used.

    Attributes:
        warnings: what is odd in it, by line.
        quarantined: rules that cannot be used, in file order.
        blank: whether no list of rules is written, not even an empty one.
    """

    rules: tuple[Rule, ...]
    external_rules: tuple[Rule, ...]
    resource_rules: ResourceRules | None
    warnings: tuple[Diagnostic, ...]
    quarantined: tuple[QuarantinedRule, ...] = ()
    blank: bool = False

    @property
    def empty(self) -> bool:
        """Whether it has no rule at all, sound or not."""
        return not (self.rules or self.external_rules or self.resource_rules or self.quarantined)
