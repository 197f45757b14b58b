"""What has a value in a template: constants, fields, variables, calls and pipelines.

Follows the evaluating half of Go's `text/template/exec.go`: fields of the data, keys of maps, the
stack of variables, and the value that a pipeline hands on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate.functions import FUNCTIONS
from metrics_apiserver.core.gotemplate.state import State, fail
from metrics_apiserver.core.gotemplate.values import (
    NO_VALUE,
    Struct,
    Value,
    is_true,
    type_name,
)


class Operand(Protocol):
    """What may stand as an argument."""

    @property
    def offset(self) -> int: ...

    def evaluate(self, state: State, dot: Value) -> Value: ...


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; `nil` is NO_VALUE."""

    offset: int
    value: Value

    def evaluate(self, _state: State, _dot: Value) -> Value:
        return self.value


@dataclass(frozen=True, slots=True)
class Dot:
    """`.` alone, or with names the fields of what it stands for: `.Series`."""

    offset: int
    names: tuple[str, ...] = ()

    def evaluate(self, _state: State, dot: Value) -> Value:
        return _select(dot, self.names, self.offset)


@dataclass(frozen=True, slots=True)
class Variable:
    """`$`, `$x` or fields of one: `$.Series`."""

    offset: int
    name: str
    names: tuple[str, ...] = ()

    def evaluate(self, state: State, _dot: Value) -> Value:
        value = state.variables[state.position(self.name, self.offset)][1]
        return _select(value, self.names, self.offset)


def _select(value: Value, names: Sequence[str], offset: int) -> Value:
    for name in names:
        match value:
            case Struct(fields) if name in fields:
                value = fields[name]
            case Mapping():
                value = value.get(name, NO_VALUE)
            case _ if value is NO_VALUE:
                return NO_VALUE
            case _:
                fail(f"can't evaluate field {name} in type {type_name(value)}", offset)
    return value


@dataclass(frozen=True, slots=True)
class Chain:
    """Fields of a function's result or of a pipeline in parentheses."""

    offset: int
    operand: Operand
    names: tuple[str, ...]

    def evaluate(self, state: State, dot: Value) -> Value:
        return _select(self.operand.evaluate(state, dot), self.names, self.offset)


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function with its written arguments; a piped value comes after them."""

    offset: int
    name: str
    arguments: tuple[Operand, ...] = ()

    def evaluate(self, state: State, dot: Value) -> Value:
        return self.apply(state, dot, ())

    def apply(self, state: State, dot: Value, piped: tuple[Value, ...]) -> Value:
        state.step(self.offset)
        call = FUNCTIONS[self.name].call
        if call is None:
            return self._first(state, dot, piped)
        values = [*(argument.evaluate(state, dot) for argument in self.arguments), *piped]
        try:
            return call(values)
        except TemplateError as error:
            fail(f"error calling {self.name}: {error.message}", self.offset)

    def _first(self, state: State, dot: Value, piped: tuple[Value, ...]) -> Value:
        """`or` gives its first true argument, `and` its first false one, both else the last."""
        value: Value = NO_VALUE
        for argument in self.arguments:
            value = argument.evaluate(state, dot)
            if is_true(value) == (self.name == "or"):
                return value
        return piped[0] if piped else value


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands of which each takes the result of the one before, and what they are assigned to.

    Attributes:
        calls: the commands after the first.
        variables: names declared or assigned, two of them only in `range`.
        assigns: `=` rather than `:=`.
    """

    offset: int
    first: Operand
    calls: tuple[FunctionCall, ...] = ()
    variables: tuple[str, ...] = ()
    assigns: bool = False

    def evaluate(self, state: State, dot: Value) -> Value:
        value = self.first.evaluate(state, dot)
        for call in self.calls:
            value = call.apply(state, dot, (value,))
        for name in self.variables:
            if self.assigns:
                state.assign(name, value, self.offset)
            else:
                state.variables.append((name, value))
        return value
