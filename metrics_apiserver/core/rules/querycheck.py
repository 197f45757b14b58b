"""Whether a rule's queries can work, found out offline by parsing them.

A Finding is certain only where every backend and every request would fail; the rest is a warning,
since the predecessor starts with such a rule and other backends than Prometheus know more
functions. Expressions that this parser's own engine refuses are put to RE2, which is Prometheus's
engine, and so are those of a series selector that it takes. Bounds are those of `core/promql`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import promql_parser

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core import gotemplate, naming, promql

_SELECTORS: Final = 'a series selector such as \'{__name__=~"^http_.*",pod!=""}\''
_REGEX_REFUSED: Final = "illegal regex for "
# MetricsQL, for one, has more functions than Prometheus and lets `rate` take an instant vector.
_DIALECT: Final = ("unknown function with name ", " in call to ")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a query.

    Attributes:
        certain: the rule can never work; otherwise it may, for some request or backend.
    """

    message: str
    certain: bool


def check_selector(text: str) -> Finding | None:
    """Looks at a `seriesQuery`."""
    if not text.strip():
        return Finding(f"is required: {_SELECTORS}", certain=True)
    try:
        expression = promql.parse(text)
    except ValueError as error:
        return _explain(str(error))
    if not _is_selector(expression):
        return Finding(f"must be {_SELECTORS}, not another expression", certain=True)
    for pattern in _patterns(expression):
        try:
            naming.compile_regex(pattern)
        except ValueError as error:
            return Finding(f"the expression {pattern} is refused: {error}", certain=True)
    return None


def _is_selector(expression: Any) -> bool:
    """Whether series may be looked up by it: a selector of an instant, without a modifier."""
    return (
        isinstance(expression, promql_parser.VectorSelector)
        and expression.offset is None
        and expression.at is None
    )


def _patterns(selector: Any) -> Iterator[str]:
    regular = (promql_parser.MatchOp.Re, promql_parser.MatchOp.NotRe)
    for matcher in selector.matchers.matchers:
        if matcher.op in regular:
            yield matcher.value


def check_query(
    template: gotemplate.Template, samples: Sequence[Mapping[str, object]]
) -> Finding | None:
    """Renders a query template with each sample of a request's data and parses the result.

    Args:
        template: the compiled template.
        samples: at least one; the first is the usual request.
    """
    findings = [_render_and_parse(template, sample) for sample in samples]
    failed = [finding for finding in findings if finding is not None]
    if not failed:
        return None
    depends = template.branches or "LabelValuesByName" in template.fields_used
    if len(failed) < len(samples):
        return Finding(f"fails for some requests: {failed[0].message}", certain=False)
    return Finding(failed[0].message, certain=failed[0].certain and not depends)


def _render_and_parse(
    template: gotemplate.Template, sample: Mapping[str, object]
) -> Finding | None:
    try:
        query = template.render(sample)
    except TemplateError as error:
        return Finding(f"the template fails: {error.message}", certain=True)
    if not query.strip():
        return Finding("the template gives an empty query", certain=True)
    try:
        promql.validate(query)
    except ValueError as error:
        finding = _explain(str(error))
        if finding is not None:
            return Finding(f"{finding.message} (rendered: {query[:200]})", finding.certain)
    return None


def _explain(reason: str) -> Finding | None:
    """The parser's reason as a Finding; None where RE2 knows better."""
    if reason.startswith(_REGEX_REFUSED):
        try:
            naming.compile_regex(reason.removeprefix(_REGEX_REFUSED))
        except ValueError as error:
            return Finding(f"{reason}: {error}", certain=True)
        return None
    if any(part in reason for part in _DIALECT):
        return Finding(f"is not PromQL, if the backend asks for that: {reason}", certain=False)
    return Finding(f"is not PromQL: {reason}", certain=True)
