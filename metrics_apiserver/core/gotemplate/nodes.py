"""A parsed template, and its evaluation: every node knows how it is evaluated or executed.

Follows Go's `text/template/exec.go`: pipelines, fields and map keys, the stack of variables, and
`range` over slices, maps, numbers and nothing. Steps and bytes of output are counted, because a
template is configuration and must not be able to hold up the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NoReturn, Protocol

from metrics_apiserver.core.errors import TemplateError
from metrics_apiserver.core.gotemplate import formatting
from metrics_apiserver.core.gotemplate.functions import FUNCTIONS
from metrics_apiserver.core.gotemplate.values import (
    MAX_BYTES,
    NO_VALUE,
    Byte,
    Missing,
    Struct,
    Value,
    is_true,
    length,
    type_name,
)

MAX_STEPS: Final = 10_000


class Break(Exception):
    """`<<break>>`."""


class Continue(Exception):
    """`<<continue>>`."""


@dataclass(slots=True)
class State:
    """One rendering under way.

    Attributes:
        variables: stack of names and values; the innermost is the last.
        steps: nodes executed and arguments evaluated so far.
        size: bytes written so far.
    """

    variables: list[tuple[str, Value]]
    output: list[str] = field(default_factory=list)
    steps: int = 0
    size: int = 0

    def step(self, offset: int) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TemplateError(f"the template takes more than {MAX_STEPS} steps", offset=offset)

    def write(self, text: str, offset: int) -> None:
        self.size += length(text)
        if self.size > MAX_BYTES:
            raise TemplateError(f"the result is longer than {MAX_BYTES} bytes", offset=offset)
        self.output.append(text)

    def position(self, name: str, offset: int) -> int:
        """Where on the stack the innermost variable of this name lies."""
        index = len(self.variables) - 1
        while index >= 0 and self.variables[index][0] != name:
            index -= 1
        if index < 0:
            _fail(f"undefined variable: {name}", offset)
        return index

    def assign(self, name: str, value: Value, offset: int) -> None:
        self.variables[self.position(name, offset)] = (name, value)


def _fail(message: str, offset: int) -> NoReturn:
    raise TemplateError(message, offset=offset)


class Operand(Protocol):
    """What may stand as an argument."""

    @property
    def offset(self) -> int: ...

    def evaluate(self, state: State, dot: Value) -> Value: ...


class Node(Protocol):
    """What may stand in the text: itself text, an action or a control structure."""

    def execute(self, state: State, dot: Value) -> None: ...


def execute_all(nodes: Iterable[Node], state: State, dot: Value) -> None:
    for node in nodes:
        node.execute(state, dot)


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
                _fail(f"can't evaluate field {name} in type {type_name(value)}", offset)
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
class Call:
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
            _fail(f"error calling {self.name}: {error.message}", self.offset)

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
    calls: tuple[Call, ...] = ()
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


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text."""

    offset: int
    text: str

    def execute(self, state: State, _dot: Value) -> None:
        state.step(self.offset)
        state.write(self.text, self.offset)


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose value is printed, unless it goes into a variable."""

    pipeline: Pipeline

    def execute(self, state: State, dot: Value) -> None:
        offset = self.pipeline.offset
        state.step(offset)
        value = self.pipeline.evaluate(state, dot)
        if not self.pipeline.variables:
            shown = "<no value>" if value is NO_VALUE else formatting.show(value)
            state.write(shown, offset)


@dataclass(frozen=True, slots=True)
class Jump:
    """`break` and `continue`."""

    leaves: type[Break | Continue]

    def execute(self, _state: State, _dot: Value) -> None:
        raise self.leaves


@dataclass(frozen=True, slots=True)
class Branch:
    """`if`, and `with`, which also changes the dot."""

    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]
    changes_dot: bool

    def execute(self, state: State, dot: Value) -> None:
        state.step(self.pipeline.offset)
        mark = len(state.variables)
        value = self.pipeline.evaluate(state, dot)
        if is_true(value):
            execute_all(self.body, state, value if self.changes_dot else dot)
        else:
            execute_all(self.otherwise, state, dot)
        del state.variables[mark:]


@dataclass(frozen=True, slots=True)
class Range:
    """`range` over a slice, a map in the order of its keys, or the numbers below an int."""

    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]

    def execute(self, state: State, dot: Value) -> None:
        mark = len(state.variables)
        items = self._items(self.pipeline.evaluate(state, dot))
        empty = True
        with suppress(Break):
            for index, element in items:
                empty = False
                self._turn(state, index, element)
        if empty:
            execute_all(self.otherwise, state, dot)
        del state.variables[mark:]

    def _items(self, value: Value) -> Iterable[tuple[Value, Value]]:
        two = len(self.pipeline.variables) > 1
        match value:
            case Missing():
                return ()
            case Mapping():
                return sorted(value.items())
            case int() if not isinstance(value, bool):
                if two:
                    text = f"can't use {value} to iterate over more than one variable"
                    _fail(text, self.pipeline.offset)
                counter = Byte if isinstance(value, Byte) else int
                return ((NO_VALUE, counter(number)) for number in range(value))
            case Sequence() if not isinstance(value, str):
                return enumerate(value)
            case _:
                shown = formatting.show(value)
                _fail(f"range can't iterate over {shown}", self.pipeline.offset)

    def _turn(self, state: State, index: Value, element: Value) -> None:
        state.step(self.pipeline.offset)
        mark = len(state.variables)
        values = (element,) if len(self.pipeline.variables) < 2 else (index, element)
        for place, (name, value) in enumerate(zip(self.pipeline.variables, values, strict=False)):
            if self.pipeline.assigns:
                state.assign(name, value, self.pipeline.offset)
            else:
                state.variables[mark - len(values) + place] = (name, value)
        with suppress(Continue):
            execute_all(self.body, state, element)
        del state.variables[mark:]
