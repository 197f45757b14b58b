"""Which rules are evaluated in bulk, and why the others are not: for `check`.

The proof depends on a rule's text, not on a cluster, so it uses Kubernetes' built-in kinds: pods
where the rule maps them, else the first kind that it maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from metrics_apiserver.core import builtin
from metrics_apiserver.core.bulk.queryplan import BulkQuery, QueryPlan
from metrics_apiserver.core.converter import ResourceConverter, ResourceMapping
from metrics_apiserver.core.gotemplate import Template
from metrics_apiserver.core.model import NAMESPACES, PODS, GroupResource
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules.model import RuleFile
from metrics_apiserver.core.selector import Selector

_EVERYTHING = Selector(())
_SERIES = "series"


@dataclass(frozen=True, slots=True)
class QueryEvaluation:
    """How one query of a rule is evaluated.

    Attributes:
        path: such as `rules[2]` or `resourceRules.cpu.containerQuery`.
        reason: why each read needs a query of its own; None where one serves all objects.
    """

    path: str
    reason: str | None


def build(rules: RuleFile) -> list[QueryEvaluation]:
    """Every query of the custom and resource rules; external ones are never evaluated in bulk."""
    mapper = builtin.mapper(rules)
    return [
        QueryEvaluation(path, BulkQuery(plan).why_not()) for path, plan in _plans(rules, mapper)
    ]


def _plans(rules: RuleFile, mapper: RESTMapper) -> Iterator[tuple[str, QueryPlan]]:
    for rule in rules.rules:
        plan = _plan(rule.mapping, mapper, rule.template, _SERIES)
        if plan is not None:
            yield rule.path, plan
    if rules.resource_rules is None:
        return
    for one in (rules.resource_rules.cpu, rules.resource_rules.memory):
        extra = (one.container_label,)
        plan = _plan(one.mapping, mapper, one.container_template, "", extra)
        if plan is not None:
            yield f"{one.path}.containerQuery", plan


def _plan(
    mapping: ResourceMapping,
    mapper: RESTMapper,
    template: Template,
    series: str,
    extra: tuple[str, ...] = (),
) -> QueryPlan | None:
    """The plan for one kind of object; None when the rule maps no kind."""
    converter = ResourceConverter(mapping, mapper)
    kinds: list[GroupResource] = [PODS]
    kinds += [found for o in mapping.overrides if (found := converter.resource_of(o.label))]
    for kind in kinds:
        mapped = mapper.exact(kind)
        try:
            resource_label = converter.label_for(kind)
            is_namespaced = mapped is not None and mapped.namespaced
            namespace_label = converter.label_for(NAMESPACES) if is_namespaced else ""
        except LookupError:
            continue
        return QueryPlan(template, series, resource_label, namespace_label, _EVERYTHING, extra)
    return None
