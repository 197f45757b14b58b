"""The Kubernetes label-selector grammar: parse, canonical text, matching, LabelSelector JSON.

Accepts and refuses exactly what apimachinery's `labels.Parse` does and says so in its words, since
those words reach users through `kubectl describe hpa`. Also its oddities hold: a NUL ends a token,
`in` and `notin` are keys and values where a key or value may stand, `k in ()` is `k in ("")`.
Follows `pkg/labels/selector.go` and `pkg/api/validate/content/kube.go`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from metrics_apiserver.base import strconv
from metrics_apiserver.base.errors import BadRequest, InvalidSelector
from metrics_apiserver.core import labelsyntax

# A NUL ends a token or, where one would begin, the whole text.
_TOKEN: Final = re.compile(r"[ \t\r\n]*([=!]=|[=!(),<>]|[^=!(),<> \t\r\n\x00]+)\x00?")


class Operator(StrEnum):
    """The values are those of apimachinery's `selection.Operator`."""

    IN = "in"
    NOT_IN = "notin"
    EQUALS = "="
    DOUBLE_EQUALS = "=="
    NOT_EQUALS = "!="
    EXISTS = "exists"
    DOES_NOT_EXIST = "!"
    GREATER_THAN = "gt"
    LESS_THAN = "lt"


_OPERATORS: Final = {
    "in": Operator.IN,
    "notin": Operator.NOT_IN,
    "=": Operator.EQUALS,
    "==": Operator.DOUBLE_EQUALS,
    "!=": Operator.NOT_EQUALS,
    ">": Operator.GREATER_THAN,
    "<": Operator.LESS_THAN,
}
_EXPECTED_OPERATORS: Final = "in, notin, =, ==, !=, gt, lt"
_SYMBOLS: Final = {operator: symbol for symbol, operator in _OPERATORS.items()}
_NO_IDENTIFIERS: Final = frozenset({"", "!", "(", ")", ",", "=", "==", "!=", "<", ">"})
_SETS: Final = frozenset({Operator.IN, Operator.NOT_IN})
_INTEGERS: Final = frozenset({Operator.GREATER_THAN, Operator.LESS_THAN})


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label.

    Attributes:
        values: sorted, without repetition; empty for EXISTS and DOES_NOT_EXIST, exactly one for
            every operator but IN and NOT_IN.
    """

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
            case Operator.NOT_IN | Operator.NOT_EQUALS:
                return value not in self.values
            case Operator.GREATER_THAN | Operator.LESS_THAN:
                return value is not None and self._compares(value)
            case _:
                return value in self.values

    def _compares(self, value: str) -> bool:
        left, right = strconv.parse_int(value), strconv.parse_int(self.values[0])
        if left is None or right is None:
            return False
        return left > right if self.operator is Operator.GREATER_THAN else left < right

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"
            case Operator.IN | Operator.NOT_IN:
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case _:
                return f"{self.key}{_SYMBOLS[self.operator]}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements that must all hold, sorted by key; without any it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.requirements

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        """Canonical text, equal to Go's `Selector.String()`."""
        return ",".join(map(str, self.requirements))


EVERYTHING = Selector()


def parse(text: str) -> Selector:
    """Parses the value of `labelSelector` or `metricLabelSelector`; empty text selects everything.

    Raises:
        InvalidSelector: with Go's words.
    """
    if not text:
        return EVERYTHING
    try:
        requirements = _SelectorParser(_scan(text)).parse()
    except _SyntaxFault as fault:
        raise InvalidSelector(str(fault)) from None
    return Selector(tuple(sorted(requirements, key=lambda requirement: requirement.key)))


def to_label_selector(selector: Selector) -> dict[str, object] | None:
    """The metav1.LabelSelector of a metric selector, as MetricValue carries it; None when empty.

    `!=` becomes `NotIn` with one value, which the predecessor could not say.

    Raises:
        BadRequest: `>` or `<`, which a LabelSelector cannot say.
    """
    labels: dict[str, str] = {}
    expressions: list[dict[str, object]] = []
    for requirement in selector.requirements:
        if requirement.operator in (Operator.EQUALS, Operator.DOUBLE_EQUALS):
            labels[requirement.key] = requirement.values[0]
        else:
            expressions.append(_expression(requirement))
    parts: dict[str, object] = {"matchLabels": labels, "matchExpressions": expressions}
    return {name: part for name, part in parts.items() if part} or None


def _expression(requirement: Requirement) -> dict[str, object]:
    names = {
        Operator.IN: "In",
        Operator.NOT_IN: "NotIn",
        Operator.NOT_EQUALS: "NotIn",
        Operator.EXISTS: "Exists",
        Operator.DOES_NOT_EXIST: "DoesNotExist",
    }
    name = names.get(requirement.operator)
    if name is None:
        raise BadRequest(
            f"{strconv.quote(requirement.operator)} isn't supported in label selectors"
        )
    expression: dict[str, object] = {"key": requirement.key, "operator": name}
    return expression | ({"values": list(requirement.values)} if requirement.values else {})


class _SyntaxFault(Exception):
    """A fault in a selector's text, in Go's words."""


def _scan(text: str) -> list[str]:
    """Splits into tokens; empty strings stand for the end, two because one may be looked past."""
    tokens: list[str] = []
    position = 0
    while match := _TOKEN.match(text, position):
        tokens.append(match[1])
        position = match.end()
    return [*tokens, "", ""]


def _is_identifier(token: str) -> bool:
    return token not in _NO_IDENTIFIERS


class _SelectorParser:
    """Recursive descent over the tokens of `_scan`."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._position = 0

    def _peek(self) -> str:
        return self._tokens[self._position]

    def _next(self) -> str:
        self._position += 1
        return self._tokens[self._position - 1]

    def parse(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        word = self._peek()
        if not word:
            return requirements
        if not _is_identifier(word) and word != "!":
            raise _SyntaxFault(f"found '{word}', expected: !, identifier, or 'end of string'")
        while True:
            try:
                requirements.append(self._requirement())
            except _SyntaxFault as fault:
                raise _SyntaxFault(f"unable to parse requirement: {fault}") from None
            word = self._next()
            if not word:
                return requirements
            if word != ",":
                raise _SyntaxFault(f"found '{word}', expected: ',' or 'end of string'")
            word = self._peek()
            if not _is_identifier(word) and word != "!":
                raise _SyntaxFault(f"found '{word}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        negated = self._peek() == "!"
        if negated:
            self._next()
        key = self._next()
        if not _is_identifier(key):
            raise _SyntaxFault(f"found '{key}', expected: identifier")
        if faults := labelsyntax.key_faults(key):
            raise _SyntaxFault(_invalid("<nil>", key, "; ".join(faults)))
        if negated:
            return Requirement(key, Operator.DOES_NOT_EXIST)
        if self._peek() in ("", ","):
            return Requirement(key, Operator.EXISTS)
        word = self._next()
        operator = _OPERATORS.get(word)
        if operator is None:
            raise _SyntaxFault(f"found '{word}', expected: {_EXPECTED_OPERATORS}")
        values = self._values() if operator in _SETS else {self._exact_value()}
        return _checked(Requirement(key, operator, tuple(sorted(values))))

    def _exact_value(self) -> str:
        if self._peek() in ("", ","):
            return ""
        word = self._next()
        if not _is_identifier(word):
            raise _SyntaxFault(f"found '{word}', expected: identifier")
        return word

    def _values(self) -> set[str]:
        word = self._next()
        if word != "(":
            raise _SyntaxFault(f"found '{word}' expected: '('")
        word = self._peek()
        if word == ")":
            self._next()
            return {""}
        if word != "," and not _is_identifier(word):
            raise _SyntaxFault(f"found '{word}', expected: ',', ')' or identifier")
        values = self._value_list()
        self._next()
        return values

    def _value_list(self) -> set[str]:
        """Reads up to the closing parenthesis; a missing value beside a comma is empty."""
        values: set[str] = set()
        while True:
            word = self._next()
            following = self._peek()
            if _is_identifier(word):
                values.add(word)
                if following not in (",", ")"):
                    raise _SyntaxFault(f"found '{following}', expected: ',' or ')'")
            elif word == ",":
                if not values or following in (",", ")"):
                    values.add("")
            else:
                raise _SyntaxFault(f"found '{word}', expected: ',', or identifier")
            if following == ")":
                return values


def _checked(requirement: Requirement) -> Requirement:
    faults: list[str] = []
    if requirement.operator in _INTEGERS and strconv.parse_int(requirement.values[0]) is None:
        detail = "for 'Gt', 'Lt' operators, the value must be an integer"
        faults.append(_invalid("values[0]", requirement.values[0], detail))
    for index, value in enumerate(requirement.values):
        if details := labelsyntax.value_faults(value):
            path = f"values[{index}][{requirement.key}]"
            faults.append(_invalid(path, value, "; ".join(details)))
    if faults:
        raise _SyntaxFault(faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")
    return requirement


def _invalid(path: str, value: str, detail: str) -> str:
    return f"{path}: Invalid value: {strconv.quote(value)}: {detail}"
