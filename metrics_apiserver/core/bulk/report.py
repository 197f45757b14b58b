"""Which rules are asked once for everybody, and why the others are not: for `check`.

The proof is about a rule's text, not about a cluster, so it is made over the built-in kinds: for a
pod where the rule maps pods, else for the first kind that it maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from metrics_apiserver.core import builtin
from metrics_apiserver.core.bulk import question
from metrics_apiserver.core.bulk.question import Question
from metrics_apiserver.core.converter import ResourceConverter, ResourceMapping
from metrics_apiserver.core.gotemplate import Template
from metrics_apiserver.core.model import NAMESPACES, PODS, GroupResource
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules.model import RuleFile
from metrics_apiserver.core.selector import Selector

_EVERYTHING = Selector(())
_SERIES = "series"


@dataclass(frozen=True, slots=True)
class Sharing:
    """One query of a rule.

    Attributes:
        path: such as `rules[2]` or `resourceRules.cpu.containerQuery`.
        reason: why each read is asked for itself; None where one query answers all.
    """

    path: str
    reason: str | None


def judge(rules: RuleFile) -> list[Sharing]:
    """Every query of the custom and resource rules; external ones are always asked as they are."""
    mapper = builtin.mapper(rules)
    return [Sharing(path, question.prove_bulk(asked)) for path, asked in _questions(rules, mapper)]


def _questions(rules: RuleFile, mapper: RESTMapper) -> Iterator[tuple[str, Question]]:
    for rule in rules.rules:
        asked = _ask(rule.mapping, mapper, rule.template, _SERIES)
        if asked is not None:
            yield rule.path, asked
    if rules.resource_rules is None:
        return
    for one in (rules.resource_rules.cpu, rules.resource_rules.memory):
        extra = (one.container_label,)
        asked = _ask(one.mapping, mapper, one.container_template, "", extra)
        if asked is not None:
            yield f"{one.path}.containerQuery", asked


def _ask(
    mapping: ResourceMapping,
    mapper: RESTMapper,
    template: Template,
    series: str,
    extra: tuple[str, ...] = (),
) -> Question | None:
    """The question about one kind of object; None when the rule maps no kind."""
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
        return Question(template, series, resource_label, namespace_label, _EVERYTHING, extra)
    return None
