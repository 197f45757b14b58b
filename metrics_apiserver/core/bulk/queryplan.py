"""The plan of a query: everything but the objects that are read.

A QueryPlan is one rule's template for one series, one resource and one metric selector. For a
namespace and names it renders the *exact* query, the one that the predecessor sends for each read
(its `pkg/naming/metrics_query.go`). For namespaces alone it renders the *bulk* query, whose result
holds the exact results of all objects in them; it may be used only where `BulkQuery.why_not`
gives no reason against it. Names and values are escaped here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from metrics_apiserver.base import errors
from metrics_apiserver.core import gotemplate, promql
from metrics_apiserver.core.bulk import grouping, proof
from metrics_apiserver.core.promql import Matcher
from metrics_apiserver.core.selector import Selector

SENTINEL = "__bulk_evaluation__"
# Stands for LabelMatchers while a plain template is rendered: a list of thousands of names is not
# held to the bound of what a template may write.
_PLACE = "\ue000LabelMatchers\ue001"
_GROUP_BY_PLACE = "\ue000GroupBy\ue001"
_SLICE_PLACE = "\ue000GroupBySlice\ue001"
_MARK = "__grouped_by_namespace__"
_PROBE_NAMESPACE = "probe-namespace"
_LABEL: Final = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """A query without the objects that it is about.

    Attributes:
        template: the rule's compiled query template.
        series: the Prometheus series name, empty for resource rules.
        resource_label: label that carries the object's name; empty for external metrics.
        namespace_label: label that carries the namespace; empty where none is to be matched.
        extra_group_by: labels grouped by beside the resource label (the container).
        selector: the metric selector, kept in its own form for LabelValuesByName.
    """

    template: gotemplate.Template
    series: str
    resource_label: str
    namespace_label: str
    selector: Selector
    extra_group_by: tuple[str, ...] = ()

    def __hash__(self) -> int:
        # Computed for each read; the template's tree adds nothing to its text.
        return hash(
            (
                self.template.text,
                self.series,
                self.resource_label,
                self.namespace_label,
                self.selector,
                self.extra_group_by,
            )
        )


def _literal(value: str) -> str:
    """The value as it may stand between the double quotes of a template's own string literal."""
    return promql.quote(value)[1:-1]


def _joined(values: Sequence[str]) -> str:
    """Values as LabelValuesByName gives them: one verbatim, several as a regular expression."""
    if len(values) == 1:
        return _literal(values[0])
    return _literal("|".join(promql.escape_regex(value) for value in values))


def _is_plain(plan: QueryPlan) -> bool:
    return plan.template.plain and "LabelValuesByName" not in plan.template.fields_used


def _render(
    plan: QueryPlan,
    matchers: list[Matcher],
    values_by_name: dict[str, str],
    group_by: list[str],
) -> str:
    written = ",".join(map(str, matchers))
    plain = _is_plain(plan)
    text = plan.template.render(
        {
            "Series": plan.series,
            "LabelMatchers": _PLACE if plain else written,
            "LabelValuesByName": values_by_name,
            "GroupBy": ",".join(group_by),
            "GroupBySlice": group_by,
        }
    )
    return _not_empty(text.replace(_PLACE, written) if plain else text)


def _not_empty(query: str) -> str:
    if not query:
        raise errors.TemplateError("empty query produced by metrics query template")
    return query


def _group_by(plan: QueryPlan) -> list[str]:
    return [plan.resource_label, *plan.extra_group_by]


def render_exact(plan: QueryPlan, namespace: str, names: Sequence[str]) -> str:
    """The query for these objects of one namespace.

    Args:
        plan: the query without its objects.
        namespace: ignored where the plan has no namespace label; empty matches none.
        names: object names, at least one unless the plan has no resource label.

    Raises:
        errors.BadRequest: the metric selector has an operator that PromQL cannot express.
        errors.TemplateError: the template fails on these values.
    """
    matchers = promql.matchers_from_selector(plan.selector)
    values: dict[str, str] = {
        requirement.key: _joined(requirement.values) if requirement.values else ""
        for requirement in plan.selector.requirements
    }
    if plan.namespace_label and namespace:
        matchers.append(Matcher(plan.namespace_label, "=", namespace))
        values[plan.namespace_label] = _literal(namespace)
    if not plan.resource_label:
        return _render(plan, matchers, values, [])
    matchers.append(promql.names_matcher(plan.resource_label, names))
    values[plan.resource_label] = _joined(names)
    return _render(plan, matchers, values, _group_by(plan))


class BulkQuery:
    """The bulk query of a plan; a template that only writes its fields is rendered once.

    Attributes:
        plan: of the query; it must have a resource label.
    """

    __slots__ = ("_shape", "plan")

    def __init__(self, plan: QueryPlan) -> None:
        self.plan = plan
        self._shape = ""

    def render(self, namespaces: Sequence[str]) -> str:
        """The query for every object of these namespaces, grouped by namespace and resource.

        Args:
            namespaces: none means every one; ignored where the plan has no namespace label.

        Raises:
            errors.BadRequest, errors.TemplateError: as for `render_exact`.
        """
        plan = self.plan
        return self._fill(_bulk_matchers(plan, namespaces), plan.namespace_label)

    def why_not(self) -> str | None:
        """None where the result is proved equal to the exact ones; else the reason why not.

        Raises:
            errors.BadRequest: the metric selector has an operator that PromQL cannot express.
            errors.TemplateError: the template fails on these values.
        """
        plan = self.plan
        why_not = _why_not_plain(plan.template)
        if why_not is not None:
            return why_not
        keys = frozenset(filter(None, (plan.namespace_label, plan.resource_label)))
        matchers = _bulk_matchers(plan, [_PROBE_NAMESPACE])
        selected = {matcher.label for matcher in promql.matchers_from_selector(plan.selector)}
        if clash := keys & selected:
            return f"the metric selector matches on {', '.join(sorted(clash))}"
        matchers.append(Matcher(SENTINEL, "=", ""))
        if not plan.namespace_label:
            return proof.why_not(self._fill(matchers, ""), SENTINEL, keys)
        query = self._fill(matchers, _MARK)
        if _MARK in query and not _LABEL.fullmatch(plan.namespace_label):
            return f"PromQL cannot group by the label {plan.namespace_label}"
        added = grouping.AddedLabel(plan.namespace_label, _MARK)
        return proof.why_not(query, SENTINEL, keys, added)

    def _fill(self, matchers: list[Matcher], namespace_label: str) -> str:
        """The query with these matchers, grouped by this label too."""
        plan = self.plan
        group_by = _bulk_group_by(plan, namespace_label)
        if not _is_plain(plan):
            return _render(plan, matchers, {}, group_by)
        if not self._shape:
            self._shape = plan.template.render(
                {
                    "Series": plan.series,
                    "LabelMatchers": _PLACE,
                    "LabelValuesByName": {},
                    "GroupBy": _GROUP_BY_PLACE,
                    "GroupBySlice": [_SLICE_PLACE],
                }
            )
        text = self._shape.replace(_GROUP_BY_PLACE, ",".join(group_by))
        # A list is written as Go writes it: its items with spaces between them, in brackets.
        text = text.replace(_SLICE_PLACE, " ".join(group_by))
        return _not_empty(text.replace(_PLACE, ",".join(map(str, matchers))))


def _bulk_matchers(plan: QueryPlan, namespaces: Sequence[str]) -> list[Matcher]:
    matchers = promql.matchers_from_selector(plan.selector)
    if plan.namespace_label and namespaces:
        matchers.append(promql.names_matcher(plan.namespace_label, namespaces))
    elif plan.namespace_label:
        matchers.append(Matcher(plan.namespace_label, "!=", ""))
    matchers.append(Matcher(plan.resource_label, "!=", ""))
    return matchers


def _bulk_group_by(plan: QueryPlan, namespace_label: str) -> list[str]:
    group_by = _group_by(plan)
    if namespace_label and namespace_label not in group_by:
        group_by.append(namespace_label)
    return group_by


def _why_not_plain(template: gotemplate.Template) -> str | None:
    """None where the names reach the query through .LabelMatchers alone, as they are."""
    if "LabelValuesByName" in template.fields_used:
        return "the template uses .LabelValuesByName"
    if not template.plain:
        return "the template works on its arguments"
    return None


def why_not_split(plan: QueryPlan) -> str | None:
    """None where a long list of names may be queried in parts; else the reason why not.

    Raises:
        errors.BadRequest, errors.TemplateError: as for `BulkQuery.why_not`.
    """
    why_not = _why_not_plain(plan.template)
    if why_not is not None:
        return why_not
    matchers = promql.matchers_from_selector(plan.selector)
    if plan.namespace_label:
        matchers.append(Matcher(plan.namespace_label, "=", _PROBE_NAMESPACE))
    matchers.append(Matcher(plan.resource_label, "!=", ""))
    matchers.append(Matcher(SENTINEL, "=", ""))
    query = _render(plan, matchers, {}, _group_by(plan))
    return proof.why_not(query, SENTINEL, frozenset((plan.resource_label,)))
