"""A question to Prometheus before it is known which objects it is about.

A Question is one rule's template for one series, one resource and one metric selector. Bound to a
namespace and names it renders the *exact* query, the one that the predecessor asks for each read
(its `pkg/naming/metrics_query.go`). Bound to namespaces alone it renders the *bulk* query, whose
answer holds the exact answers of all those objects; that form may be used only where `prove_bulk`
says so. Names and values are escaped here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metrics_apiserver.base import errors
from metrics_apiserver.core import gotemplate, promql
from metrics_apiserver.core.bulk import grouping, proof
from metrics_apiserver.core.promql import Matcher
from metrics_apiserver.core.selector import Selector

SENTINEL = "__separable__"
# Stands for LabelMatchers while a plain template is rendered: a list of thousands of names is not
# held to the bound of what a template may write.
_PLACE = "\ue000LabelMatchers\ue001"
_MARK = "__grouped_by_namespace__"
_PROBE_NAMESPACE = "probe-namespace"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, but for the objects.

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
        # Asked for each read; the template's tree adds nothing to its text.
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


def _render(
    question: Question,
    matchers: list[Matcher],
    values_by_name: dict[str, str],
    group_by: list[str],
) -> str:
    written = ",".join(map(str, matchers))
    plain = question.template.plain and "LabelValuesByName" not in question.template.fields_used
    text = question.template.render(
        {
            "Series": question.series,
            "LabelMatchers": _PLACE if plain else written,
            "LabelValuesByName": values_by_name,
            "GroupBy": ",".join(group_by),
            "GroupBySlice": group_by,
        }
    )
    if plain:
        text = text.replace(_PLACE, written)
    if not text:
        raise errors.TemplateError("empty query produced by metrics query template")
    return text


def _group_by(question: Question) -> list[str]:
    return [question.resource_label, *question.extra_group_by]


def render_exact(question: Question, namespace: str, names: Sequence[str]) -> str:
    """The query for these objects of one namespace.

    Args:
        question: what is asked.
        namespace: ignored where the question matches no namespace; empty matches none.
        names: object names, at least one unless the question has no resource label.

    Raises:
        errors.BadRequest: the metric selector has an operator that PromQL cannot express.
        errors.TemplateError: the template fails on these values.
    """
    matchers = promql.matchers_from_selector(question.selector)
    values: dict[str, str] = {
        requirement.key: _joined(requirement.values) if requirement.values else ""
        for requirement in question.selector.requirements
    }
    if question.namespace_label and namespace:
        matchers.append(Matcher(question.namespace_label, "=", namespace))
        values[question.namespace_label] = _literal(namespace)
    if not question.resource_label:
        return _render(question, matchers, values, [])
    matchers.append(promql.names_matcher(question.resource_label, names))
    values[question.resource_label] = _joined(names)
    return _render(question, matchers, values, _group_by(question))


def render_bulk(question: Question, namespaces: Sequence[str]) -> str:
    """The query for every object of these namespaces, grouped by namespace and resource.

    Args:
        question: what is asked; it must have a resource label.
        namespaces: none means every one; ignored where the question matches no namespace.

    Raises:
        errors.BadRequest, errors.TemplateError: as for `render_exact`.
    """
    return _render(
        question,
        _bulk_matchers(question, namespaces),
        {},
        _bulk_group_by(question, question.namespace_label),
    )


def _bulk_matchers(question: Question, namespaces: Sequence[str]) -> list[Matcher]:
    matchers = promql.matchers_from_selector(question.selector)
    if question.namespace_label and namespaces:
        matchers.append(promql.names_matcher(question.namespace_label, namespaces))
    elif question.namespace_label:
        matchers.append(Matcher(question.namespace_label, "!=", ""))
    matchers.append(Matcher(question.resource_label, "!=", ""))
    return matchers


def _bulk_group_by(question: Question, namespace_label: str) -> list[str]:
    group_by = _group_by(question)
    if namespace_label and namespace_label not in group_by:
        group_by.append(namespace_label)
    return group_by


def _prove_plain(template: gotemplate.Template) -> str | None:
    """None where the names reach the query through .LabelMatchers alone, as they are."""
    if "LabelValuesByName" in template.fields_used:
        return "the template uses .LabelValuesByName"
    if not template.plain:
        return "the template works on its arguments"
    return None


def prove_bulk(question: Question) -> str | None:
    """None where the bulk answer is proved equal to the exact ones; else the reason why not.

    Raises:
        errors.BadRequest: the metric selector has an operator that PromQL cannot express.
        errors.TemplateError: the template fails on these values.
    """
    why_not = _prove_plain(question.template)
    if why_not is not None:
        return why_not
    keys = frozenset(filter(None, (question.namespace_label, question.resource_label)))
    clash = keys.intersection(
        matcher.label for matcher in promql.matchers_from_selector(question.selector)
    )
    if clash:
        return f"the metric selector matches on {', '.join(sorted(clash))}"
    matchers = _bulk_matchers(question, [_PROBE_NAMESPACE])
    matchers.append(Matcher(SENTINEL, "=", ""))
    namespace_label = question.namespace_label
    query = _render(question, matchers, {}, _bulk_group_by(question, namespace_label))
    why_not = proof.prove(query, SENTINEL, keys)
    if why_not is not None or not namespace_label:
        return why_not
    marked = _render(question, matchers, {}, _bulk_group_by(question, _MARK))
    return grouping.prove(marked, SENTINEL, _MARK, namespace_label)


def prove_split(question: Question) -> str | None:
    """None where a long list of names may be asked in parts; else the reason why not.

    Raises:
        errors.BadRequest, errors.TemplateError: as for `prove_bulk`.
    """
    why_not = _prove_plain(question.template)
    if why_not is not None:
        return why_not
    matchers = promql.matchers_from_selector(question.selector)
    if question.namespace_label:
        matchers.append(Matcher(question.namespace_label, "=", _PROBE_NAMESPACE))
    matchers.append(Matcher(question.resource_label, "!=", ""))
    matchers.append(Matcher(SENTINEL, "=", ""))
    query = _render(question, matchers, {}, _group_by(question))
    return proof.prove(query, SENTINEL, frozenset((question.resource_label,)))
