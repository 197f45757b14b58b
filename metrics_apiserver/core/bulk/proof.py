"""Proves that one query for many objects gives each of them the result of a query of its own.

The keys are the namespace label and the resource label, or one of them. An expression can be
evaluated in bulk if its result for some objects is exactly the part of its result for many that
has their labels: selectors with the label matchers, per-series functions, aggregations that keep
the keys, and binary operations whose matching keeps them. Everything that is not on a list here is
refused with a reason, and the rule is then queried for each read: a missed proof costs time, a
wrong one gives wrong numbers.

The query is rendered with a *sentinel* among its label matchers, a label name that occurs nowhere
else, so that the proof sees which selectors have them. What functions and operators do follows
Prometheus' `promql/engine.go` and `promql/functions.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from typing import Any, Final, NoReturn

import promql_parser as ast

from metrics_apiserver.core import promql
from metrics_apiserver.core.bulk import grouping
from metrics_apiserver.core.bulk.grouping import AddedLabel

_PER_SERIES: Final = frozenset(
    {"abs", "ceil", "changes", "clamp", "clamp_max", "clamp_min", "day_of_month", "day_of_week"}
    | {"day_of_year", "days_in_month", "deg", "delta", "deriv", "double_exponential_smoothing"}
    | {"exp", "floor", "hour", "idelta", "increase", "irate", "ln", "log10"}
    | {"log2", "minute", "month", "predict_linear", "rad", "rate", "resets", "round", "sgn", "sqrt"}
    | {"timestamp", "year", "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "sin"}
    | {"sinh", "tan", "tanh", "avg_over_time", "count_over_time", "last_over_time"}
    | {"max_over_time", "min_over_time", "present_over_time", "quantile_over_time"}
    | {"stddev_over_time", "stdvar_over_time", "sum_over_time", "histogram_avg", "histogram_count"}
    | {"histogram_stddev", "histogram_stdvar", "histogram_sum"}
    # These put together the series of one histogram, which differ in `le` alone.
    | {"histogram_fraction", "histogram_quantile"}
)
_RELABELLING: Final = frozenset({"label_join", "label_replace"})
_NUMBERS: Final = frozenset({"pi", "time"})
_AGGREGATIONS: Final = frozenset(
    {"avg", "bottomk", "count", "count_values", "group", "max", "min", "quantile", "stddev"}
    | {"stdvar", "sum", "topk"}
)
_MAX_DEPTH: Final = 100


class _Form(Enum):
    """How the result of an expression depends on the objects that are read."""

    NUMBER = auto()
    COMMON = auto()  # a vector that is the same for all objects
    PER_OBJECT = auto()


class _NotProved(Exception):
    """Why there is no proof."""


def why_not(
    query: str, sentinel: str, keys: frozenset[str], added: AddedLabel | None = None
) -> str | None:
    """Looks for a reason why a query cannot be evaluated in bulk.

    Args:
        query: rendered for many objects, with the sentinel as one of the label matchers.
        sentinel: a label name that the query has nowhere else; not empty.
        keys: the labels that tell objects apart, at least one.
        added: the label that GroupBy has beside those of the exact query, if any.

    Returns:
        None where the results are proved equal, else the reason why not, in a few words.
    """
    if not keys or keys & {"__name__", "le"}:
        return f"answers cannot be told apart by {', '.join(sorted(keys)) or 'no label'}"
    try:
        expression = promql.parse(query)
        form = _Prover(sentinel, keys, added).classify(expression)
    except _NotProved as refusal:
        return str(refusal)
    except ValueError as error:
        return f"the query does not parse: {error}"
    if form is not _Form.PER_OBJECT:
        return "no selector takes the label matchers"
    return None if added is None else grouping.why_not(expression, sentinel, added)


def _refuse(reason: str) -> NoReturn:
    raise _NotProved(reason)


class _Prover:
    def __init__(self, sentinel: str, keys: frozenset[str], added: AddedLabel | None) -> None:
        self._sentinel = sentinel
        self._keys = keys
        self._added = added
        self._depth = 0
        self._cases: Mapping[type[ast.Expr], Callable[[Any], _Form]] = {
            ast.VectorSelector: self._selector,
            ast.MatrixSelector: lambda matrix: self._selector(matrix.vector_selector),
            ast.SubqueryExpr: lambda subquery: self.classify(subquery.expr),
            ast.ParenExpr: lambda paren: self.classify(paren.expr),
            ast.UnaryExpr: lambda unary: self.classify(unary.expr),
            ast.Call: self._call,
            ast.AggregateExpr: self._aggregation,
            ast.BinaryExpr: self._binary,
        }

    def classify(self, expression: ast.Expr) -> _Form:
        if self._sentinel not in expression.prettify():
            return _Form.NUMBER if _is_number(expression) else _Form.COMMON
        case = self._cases.get(type(expression))
        if case is None:
            _refuse("the label matchers stand where no selector is")
        if self._depth == _MAX_DEPTH:
            _refuse(f"the query is nested more than {_MAX_DEPTH} levels deep")
        self._depth += 1
        form = case(expression)
        self._depth -= 1
        return form

    def _selector(self, selector: ast.VectorSelector) -> _Form:
        """It has the sentinel somewhere; as a matcher's name it is in its place."""
        matchers = selector.matchers
        if matchers.or_matchers:
            _refuse("a selector has alternatives")
        places = [matcher.name for matcher in matchers.matchers].count(self._sentinel)
        texts = [selector.name or "", *(matcher.value for matcher in matchers.matchers)]
        if not places or any(self._sentinel in text for text in texts):
            _refuse("the label matchers stand inside a name or value")
        return _Form.PER_OBJECT

    def _call(self, call: ast.Call) -> _Form:
        name = call.func.name
        if name in _RELABELLING:
            return self._relabelling(name, call.args)
        if name not in _PER_SERIES:
            _refuse(f"{name}() cannot be evaluated in bulk")
        forms = [self.classify(argument) for argument in call.args]
        if sorted(form is _Form.NUMBER for form in forms) != [False] + [True] * (len(forms) - 1):
            _refuse(f"{name}() has a parameter that is no number")
        return _Form.PER_OBJECT

    def _relabelling(self, name: str, arguments: list[Any]) -> _Form:
        """Label surgery: only the target label changes, whatever the others are read for."""
        target = arguments[1]
        if not isinstance(target, ast.StringLiteral) or target.val in self._keys:
            _refuse(f"{name}() changes a label that tells answers apart")
        if any(self._sentinel in argument.prettify() for argument in arguments[1:]):
            _refuse("the label matchers stand inside a name or value")
        return self.classify(arguments[0])

    def _aggregation(self, aggregation: ast.AggregateExpr) -> _Form:
        name, modifier = str(aggregation.op), aggregation.modifier
        if name not in _AGGREGATIONS:
            _refuse(f"{name} cannot be evaluated in bulk")
        if modifier is None:
            _refuse(f"{name} puts all series together")
        labels = self._meant(modifier.labels)
        named, shown = frozenset(labels), ", ".join(labels)
        if modifier.type == ast.AggModifierType.By:
            self._check_kept(self._keys <= named, f"{name} by ({shown})")
        else:
            self._check_kept(not self._keys & named, f"{name} without ({shown})")
        self._check_parameter(name, aggregation.param)
        if self.classify(aggregation.expr) is not _Form.PER_OBJECT:
            _refuse("the label matchers stand where no selector is")
        return _Form.PER_OBJECT

    def _check_parameter(self, name: str, parameter: ast.Expr | None) -> None:
        """A number; for count_values the label that it sets."""
        if isinstance(parameter, ast.StringLiteral):
            if parameter.val in self._keys:
                _refuse(f"{name} changes a label that tells answers apart")
        elif parameter is not None and not _is_number(parameter):
            _refuse(f"the parameter of {name} is no number")

    def _meant(self, labels: Iterable[str]) -> list[str]:
        """Labels of a modifier, with the added one in the place of its mark."""
        added = self._added
        if added is None:
            return list(labels)
        return [added.label if label == added.mark else label for label in labels]

    def _check_kept(self, kept: bool, what: str) -> None:
        if not kept:
            _refuse(f"{what} does not keep {', '.join(sorted(self._keys))} apart")

    def _binary(self, binary: ast.BinaryExpr) -> _Form:
        name, modifier = str(binary.op), binary.modifier
        left, right = self.classify(binary.lhs), self.classify(binary.rhs)
        if _Form.PER_OBJECT not in (left, right):
            _refuse("the label matchers stand where no selector is")
        if _Form.NUMBER in (left, right):
            return _Form.PER_OBJECT
        if modifier is not None:
            self._check_modifier(name, modifier)
        if left is right:
            if modifier is not None and modifier.matching is not None:
                self._check_matching(name, modifier.matching)
            return _Form.PER_OBJECT
        many = ast.VectorMatchCardinality.ManyToOne
        if right is _Form.PER_OBJECT:
            many = ast.VectorMatchCardinality.OneToMany
        if modifier is None or modifier.card != many or not _matches_nothing(modifier.matching):
            _refuse(f"{name} joins a vector without the label matchers other than on () group_left")
        return _Form.PER_OBJECT

    def _check_modifier(self, name: str, modifier: ast.BinModifier) -> None:
        if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
            _refuse(f"{name} fills in values")
        if self._keys.intersection(self._meant(modifier.group_labels or ())):
            _refuse(f"{name} copies a label that tells answers apart")

    def _check_matching(self, name: str, matching: ast.LabelModifier) -> None:
        labels = self._meant(matching.labels)
        named, shown = frozenset(labels), ", ".join(labels)
        if matching.type == ast.LabelModifierType.Include:
            self._check_kept(self._keys <= named, f"{name} on ({shown})")
        else:
            self._check_kept(not self._keys & named, f"{name} ignoring ({shown})")


def _matches_nothing(matching: ast.LabelModifier | None) -> bool:
    """Whether it is `on ()`."""
    if matching is None or matching.type != ast.LabelModifierType.Include:
        return False
    return not matching.labels


def _is_number(expression: ast.Expr) -> bool:
    """Whether it is a scalar that no series plays a part in."""
    match expression:
        case ast.NumberLiteral():
            return True
        case ast.ParenExpr() | ast.UnaryExpr():
            return _is_number(expression.expr)
        case ast.BinaryExpr():
            return _is_number(expression.lhs) and _is_number(expression.rhs)
        case ast.Call():
            return expression.func.name in _NUMBERS
        case _:
            return False
