"""Proves that a template gives the same values when GroupBy has the namespace label too.

The exact query groups by the resource's label, as the predecessor does; the bulk query has to group
by the namespace label too. Within one namespace that label is constant, so grouping by it changes
no value, but it can be seen: an operand that has it does not match one that lacks it, and a
subquery over other series that is grouped by it counts other groups. `why_not` follows, through
the syntax tree, which vectors have the namespace label in the bulk query only, and refuses
wherever that could change a value. `core/bulk/proof` does the other half: it proves the query for
many objects equal to the same query for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import promql_parser as ast

# These keep the labels of the samples that they select; every other aggregation has its own.
_CHOOSING: Final = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
_SETS: Final = frozenset({"and", "or", "unless"})


class _MayDiffer(Exception):
    """Why the two forms may differ."""


@dataclass(frozen=True, slots=True)
class _State:
    """What is known of a vector.

    Attributes:
        carries: it depends on the sentinel, that is, on the objects that are read.
        gains: it has the namespace label in the bulk query and lacks it in the exact one.
    """

    carries: bool
    gains: bool = False


_FREE: Final = _State(carries=False)


@dataclass(frozen=True, slots=True)
class AddedLabel:
    """A label that GroupBy has in the bulk query only.

    Attributes:
        label: its name; every series that has the sentinel has a value of it.
        mark: a name that occurs nowhere else, which stands for the label in a query to be proved.
    """

    label: str
    mark: str


def why_not(query: ast.Expr, sentinel: str, added: AddedLabel) -> str | None:
    """None where adding the label to GroupBy is proved to change no value; else the reason why not.

    Args:
        query: rendered with the sentinel among LabelMatchers and the mark as one more label in
            GroupBy, then parsed.
        sentinel: name of a label that occurs nowhere else.
        added: the label.
    """
    try:
        _Walk(sentinel, added.mark, added.label).state(query)
    except _MayDiffer as found:
        return str(found)
    return None


class _Walk:
    def __init__(self, sentinel: str, mark: str, label: str) -> None:
        self._sentinel = sentinel
        self._mark = mark
        self._label = label

    def state(self, node: ast.Expr) -> _State:
        if self._sentinel not in repr(node):
            self._refuse_mark(node, "GroupBy is used in a part that is not about the objects")
            return _FREE
        match node:
            case ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
                return self.state(node.expr)
            case ast.Call():
                return self._call(node)
            case ast.AggregateExpr():
                return self._aggregate(node)
            case ast.BinaryExpr():
                return self._binary(node)
            case _:
                self._refuse_mark(node, "GroupBy is used in a series selector")
                return _State(carries=True)

    def _refuse_mark(self, node: object, why: str) -> None:
        if self._mark in repr(node):
            raise _MayDiffer(why)

    def _call(self, node: ast.Call) -> _State:
        states = [self.state(argument) for argument in node.args]
        carrying = [state for state in states if state.carries]
        if len(carrying) > 1:
            raise _MayDiffer(f"{node.func.name} takes two arguments that are about the objects")
        if carrying[0].gains and node.func.name in ("label_replace", "label_join"):
            sources = [argument.val for argument in node.args[3:4]]
            if node.func.name == "label_join":
                sources = [argument.val for argument in node.args[3:]]
            if self._label in sources:
                raise _MayDiffer(f"{node.func.name} reads the label {self._label}")
        return carrying[0]

    def _aggregate(self, node: ast.AggregateExpr) -> _State:
        if node.param is not None and self.state(node.param).carries:
            raise _MayDiffer(f"the parameter of {node.op} is about the objects")
        inner = self.state(node.expr)
        modifier = node.modifier
        if modifier is None or modifier.type == ast.AggModifierType.Without:
            self._refuse_labels(modifier.labels if modifier else (), "without")
            return inner
        gains = inner.gains or self._label not in modifier.labels
        return inner if str(node.op) in _CHOOSING else _State(carries=True, gains=gains)

    def _refuse_labels(self, labels: Sequence[str], where: str) -> None:
        if self._mark in labels or self._label in labels:
            raise _MayDiffer(f"{where} (...) names the label {self._label}")

    def _binary(self, node: ast.BinaryExpr) -> _State:
        left, right = self.state(node.lhs), self.state(node.rhs)
        modifier = node.modifier
        if modifier is not None:
            self._refuse_labels(modifier.group_labels or (), "group_left or group_right")
        matching = modifier.matching if modifier is not None else None
        if left.carries and right.carries:
            return self._match(node, matching, left, right)
        if not left.carries and str(node.op) in _SETS:
            raise _MayDiffer(f"the left side of {node.op} is not about the objects")
        return self._join(node, matching, left if left.carries else right)

    def _match(
        self,
        node: ast.BinaryExpr,
        matching: ast.LabelModifier | None,
        left: _State,
        right: _State,
    ) -> _State:
        """Two sides that are about the objects."""
        named = _names(matching)
        if named is not None and self._label not in named:
            # The exact form matches without the namespace, which the bulk form adds to both sides.
            if str(node.op) in _SETS or _is_many(node):
                return self._many(node, left, right)
            return _State(carries=True, gains=True)
        if named is None:
            self._refuse_labels(matching.labels if matching else (), "ignoring")
        if left.gains != right.gains:
            raise _MayDiffer(
                f"one side of {node.op} lacks the label {self._label} in the exact query"
            )
        return left

    def _many(self, node: ast.BinaryExpr, left: _State, right: _State) -> _State:
        """The side whose labels the result has."""
        if str(node.op) == "or" and left.gains != right.gains:
            raise _MayDiffer(f"one side of or lacks the label {self._label} in the exact query")
        card = node.modifier.card if node.modifier is not None else None
        return right if card == ast.VectorMatchCardinality.OneToMany else left

    def _join(
        self, node: ast.BinaryExpr, matching: ast.LabelModifier | None, carrying: _State
    ) -> _State:
        """One side is the same for all objects: a number, or a vector."""
        named = _names(matching)
        if named is not None and self._mark in named:
            raise _MayDiffer("on (...) uses GroupBy towards a side that is not about the objects")
        sees_label = named is None or self._label in named
        other = node.rhs if self._sentinel in repr(node.lhs) else node.lhs
        if sees_label and carrying.gains and not _is_scalar(other):
            raise _MayDiffer(f"{node.op} compares the label {self._label} with another vector")
        return carrying


def _names(matching: ast.LabelModifier | None) -> Sequence[str] | None:
    """The labels of `on (...)`; None for `ignoring (...)` and for neither."""
    if matching is None or matching.type != ast.LabelModifierType.Include:
        return None
    labels: Sequence[str] = matching.labels
    return labels


def _is_many(node: ast.BinaryExpr) -> bool:
    card = node.modifier.card if node.modifier is not None else None
    return card in (
        ast.VectorMatchCardinality.OneToMany,
        ast.VectorMatchCardinality.ManyToOne,
    )


def _is_scalar(node: ast.Expr) -> bool:
    match node:
        case ast.NumberLiteral():
            return True
        case ast.ParenExpr() | ast.UnaryExpr():
            return _is_scalar(node.expr)
        case ast.BinaryExpr():
            return _is_scalar(node.lhs) and _is_scalar(node.rhs)
        case ast.Call():
            return bool(node.func.return_type == ast.ValueType.Scalar)
        case _:
            return False
