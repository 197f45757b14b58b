"""Whether a rule's queries can work, found out offline by parsing them.

What is found is an error only where every backend and every request would fail, or where the query
is held to PromQL; the rest is a warning, since the predecessor starts with such a rule and other
backends than Prometheus know more. Diagnostics have no place here: the reader of the file adds it.
Regular expressions that the parser's own engine refuses are compiled by RE2, which is Prometheus'
engine, and so are those of a series selector that it accepts. Bounds are those of `core/promql`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import promql_parser

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core import diagnostics, gotemplate, naming, promql

# What queries are held to; "backend" leaves it to the one that is asked.
Dialect = Literal["promql", "metricsql", "backend"]

_SELECTORS: Final = 'a series selector such as \'{__name__=~"^http_.*",pod!=""}\''
_REGEX_REFUSED: Final = "illegal regex for "


def check_selector(text: str) -> Diagnostic | None:
    """Looks at a `seriesQuery`."""
    if not text.strip():
        return diagnostics.MISSING_FIELD.at(f"is required: {_SELECTORS}")
    try:
        expression = promql.parse(text)
    except ValueError as error:
        return _explain(str(error))
    if not _is_selector(expression):
        return diagnostics.INVALID_SELECTOR.at(f"must be {_SELECTORS}, not another expression")
    for pattern in _patterns(expression):
        try:
            naming.compile_regex(pattern)
        except ValueError as error:
            message = f"the expression {pattern} is refused: {error}"
            return diagnostics.INVALID_SELECTOR.at(message)
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
    template: gotemplate.Template,
    samples: Sequence[Mapping[str, object]],
    dialect: Dialect = "backend",
) -> Diagnostic | None:
    """Renders a query template with each sample of a request's data and parses the result.

    Args:
        template: the compiled template.
        samples: at least one; the first is the usual request.
        dialect: what the result is held to.
    """
    found = [_render_and_parse(template, sample, dialect) for sample in samples]
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
    template: gotemplate.Template, sample: Mapping[str, object], dialect: Dialect
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
        return _unparsed(str(error), query[:200], dialect)
    return None


def _unparsed(reason: str, query: str, dialect: Dialect) -> Diagnostic | None:
    """What it means that a query does not parse: a fault of PromQL, or the backend's to decide.

    None where RE2 accepts what the parser does not.
    """
    fault = _fault(reason)
    if not fault:
        return None
    rendered = f"{fault} (rendered: {query})"
    if dialect == "promql":
        return diagnostics.INVALID_QUERY.at(
            f"is not valid PromQL: {rendered}; for VictoriaMetrics, check with --dialect metricsql"
        )
    return diagnostics.OTHER_DIALECT.at(
        "is not PromQL as known here; it is sent as it is, once for each read, and the backend "
        f"decides: {rendered}"
    )


def _explain(reason: str) -> Diagnostic | None:
    """Why a series query does not parse; None where RE2 accepts what the parser does not."""
    fault = _fault(reason)
    return diagnostics.INVALID_SELECTOR.at(f"is not valid PromQL: {fault}") if fault else None


def _fault(reason: str) -> str:
    """The parser's reason; empty where RE2, which is Prometheus' engine, takes the expression."""
    if not reason.startswith(_REGEX_REFUSED):
        return reason
    try:
        naming.compile_regex(reason.removeprefix(_REGEX_REFUSED))
    except ValueError as error:
        return f"{reason}: {error}"
    return ""
