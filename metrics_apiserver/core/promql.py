"""PromQL text: string literals, matchers, and whether a query parses.

Every name and value that comes from a request enters a query through here, escaped first for RE2
where it is one alternative of a regular expression, then as a string literal, so no input can
leave its matcher. Follows the predecessor's `pkg/naming/metrics_query.go` and `pkg/client`, but
for these: `!=` is understood, one value is compared as text and never as a regular expression, and
keys that are no Prometheus label names are changed into such.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import promql_parser

from metrics_apiserver.base import strconv
from metrics_apiserver.base.errors import BadRequest
from metrics_apiserver.core.selector import Operator, Requirement, Selector

MatchOperator = Literal["=", "!=", "=~", "!~"]

_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NOT_IN_LABEL_NAME: Final = re.compile(r"[^a-zA-Z0-9_]")
_RE2_ESCAPES: Final = str.maketrans({char: f"\\{char}" for char in r"\.+*?()|[]{}^$"})
# What may nest an expression one level deeper, and what hides such characters. promql-parser
# recurses for each level and ends the whole process when the stack is used up: at 10 000 levels in
# 8 MiB.
_NESTING: Final = re.compile(r"[-+*/%^<>=!(\[{]|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_OPAQUE: Final = re.compile(
    r"""#[^\n]*|"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|`[^`]*+`?""", re.DOTALL
)
_MAX_QUERY: Final = 64 * 1024
_MAX_NESTING: Final = 500

quote = strconv.quote


def escape_regex(value: str) -> str:
    """One literal as part of a regular expression for RE2, before `quote`."""
    return value.translate(_RE2_ESCAPES)


def sanitize_label(name: str) -> str:
    """A Prometheus label name: every character outside `[a-zA-Z0-9_]` becomes `_`."""
    label = _NOT_IN_LABEL_NAME.sub("_", name)
    return label if _LABEL_NAME.fullmatch(label) else f"_{label}"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label matcher.

    Attributes:
        label: label name; one that only Prometheus 3 accepts is written in quotes.
        op: matching operator.
        value: the plain value, or for `=~` and `!~` the regular expression.
    """

    label: str
    op: MatchOperator
    value: str

    def __str__(self) -> str:
        label = self.label if _LABEL_NAME.fullmatch(self.label) else quote(self.label)
        return f"{label}{self.op}{quote(self.value)}"


def matchers_from_selector(selector: Selector) -> list[Matcher]:
    """The matchers of a metric selector, in its order.

    Args:
        selector: parsed `metricLabelSelector`, or `labelSelector` of an external metric.

    Raises:
        BadRequest: `>` or `<`, which PromQL cannot compare labels by.
    """
    return [
        _matcher(sanitize_label(requirement.key), requirement)
        for requirement in selector.requirements
    ]


def _matcher(label: str, requirement: Requirement) -> Matcher:
    match requirement.operator:
        case Operator.EXISTS:
            return Matcher(label, "!=", "")
        case Operator.DOES_NOT_EXIST:
            return Matcher(label, "=", "")
        case Operator.IN | Operator.EQUALS | Operator.DOUBLE_EQUALS:
            return names_matcher(label, requirement.values)
        case Operator.NOT_IN | Operator.NOT_EQUALS:
            positive = names_matcher(label, requirement.values)
            return Matcher(label, "!=" if positive.op == "=" else "!~", positive.value)
        case _:
            raise BadRequest(
                f'operator "{requirement.operator}" is not supported in metric selectors'
                f" (requirement {strconv.quote(str(requirement))})"
            )


def names_matcher(label: str, names: Sequence[str]) -> Matcher:
    """Matches any of these values, and nothing else.

    Args:
        label: label name.
        names: at least one; no name at all would match the series that lack the label.
    """
    if not names:
        raise ValueError(f"no value to match {label} with")
    if len(names) == 1:
        return Matcher(label, "=", names[0])
    return Matcher(label, "=~", "|".join(map(escape_regex, names)))


def parse(query: str) -> promql_parser.Expr:
    """The syntax tree of a query.

    Raises:
        ValueError: with the parser's text, or because the query is over 64 Ki characters or has
            more than 500 operators, brackets and matchers.
    """
    if len(query) > _MAX_QUERY:
        raise ValueError(f"the query is longer than {_MAX_QUERY} characters")
    if len(_NESTING.findall(_OPAQUE.sub(" ", query))) > _MAX_NESTING:
        raise ValueError(f"the query has more than {_MAX_NESTING} operators and brackets")
    return promql_parser.parse(_quoted(query))


def _quoted(query: str) -> str:
    """The query with its backtick strings in double quotes.

    Nothing is escaped between backticks, which the parser does not know.
    """
    if "`" not in query:
        return query
    return _OPAQUE.sub(_quote_backticks, query)


def _quote_backticks(found: re.Match[str]) -> str:
    text = found[0]
    whole = text.startswith("`") and text.endswith("`") and len(text) > 1
    return quote(text[1:-1]) if whole else text


def validate(query: str) -> None:
    """Refuses a query that `parse` refuses.

    Raises:
        ValueError: as `parse` does.
    """
    parse(query)
