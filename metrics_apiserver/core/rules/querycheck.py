"""Whether a rule's queries can work, found out offline by parsing them.

What is found is an error only where every backend and every request would fail; the rest is a
warning, since the predecessor starts with such a rule and other backends than Prometheus know more
functions. Diagnostics have no place here: the reader of the file adds it. Regular expressions that
the parser's own engine refuses are compiled by RE2, which is Prometheus' engine, and so are those
of a series selector that it accepts. Bounds are those of `core/promql`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import promql_parser

from metrics_apiserver.base.diagnostics import Diagnostic, Kind
from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core import diagnostics, gotemplate, naming, promql

# What queries are held to; "backend" leaves it to the one that is asked.
Dialect = Literal["promql", "metricsql", "backend"]

_SELECTORS: Final = 'a series selector such as \'{__name__=~"^http_.*",pod!=""}\''
_REGEX_REFUSED: Final = "illegal regex for "
# MetricsQL, for one, has more functions than Prometheus and lets `rate` take an instant vector.
_DIALECT: Final = ("unknown function with name ", " in call to ")


def check_selector(text: str) -> Diagnostic | None:
    """Looks at a `seriesQuery`."""
    if not text.strip():
        return diagnostics.MISSING_FIELD.at(f"is required: {_SELECTORS}")
    try:
        expression = promql.parse(text)
    except ValueError as error:
        return _explain(str(error), diagnostics.INVALID_SELECTOR)
    if not _is_selector(expression):
        return diagnostics.INVALID_SELECTOR.at(f"must be {_SELECTORS}, not another expression")
    for pattern in _patterns(expression):
        try:
            naming.compile_regex(pattern)
        except ValueError as error:
            message = f"the expression {pattern} is refused: {error}"
            return diagnostics.INVALID_REGEX.at(message)
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
) -> Diagnostic | None:
    """Renders a query template with each sample of a request's data and parses the result.

    Args:
        template: the compiled template.
        samples: at least one; the first is the usual request.
    """
    found = [_render_and_parse(template, sample) for sample in samples]
    failed = [one for one in found if one is not None]
    if not failed:
        return None
    first = failed[0]
    if len(failed) < len(samples):
        return diagnostics.FAILS_SOMETIMES.at(f"fails for some requests: {first.message}")
    depends = template.branches or "LabelValuesByName" in template.fields_used
    if depends and first.severity == "error":
        return diagnostics.FAILS_SOMETIMES.at(first.message)
    return first


def _render_and_parse(
    template: gotemplate.Template, sample: Mapping[str, object]
) -> Diagnostic | None:
    try:
        query = template.render(sample)
    except TemplateError as error:
        return diagnostics.INVALID_QUERY.at(f"the template fails: {error.message}")
    if not query.strip():
        return diagnostics.INVALID_QUERY.at("the template gives an empty query")
    try:
        promql.validate(query)
    except ValueError as error:
        found = _explain(str(error), diagnostics.INVALID_QUERY)
        if found is not None:
            return replace(found, message=f"{found.message} (rendered: {query[:200]})")
    return None


def _explain(reason: str, kind: Kind) -> Diagnostic | None:
    """What the parser's reason means; None where RE2 accepts what the parser does not.

    Args:
        reason: the parser's message.
        kind: of the diagnostic where every backend would refuse the text.
    """
    if reason.startswith(_REGEX_REFUSED):
        try:
            naming.compile_regex(reason.removeprefix(_REGEX_REFUSED))
        except ValueError as error:
            return diagnostics.INVALID_REGEX.at(f"{reason}: {error}")
        return None
    if any(part in reason for part in _DIALECT):
        message = f"is not valid PromQL, if the backend asks for that: {reason}"
        return diagnostics.OTHER_DIALECT.at(message)
    return kind.at(f"is not valid PromQL: {reason}")
