"""What is executed in a template: text, actions, `if`, `with`, `range`, `break` and `continue`.

Follows the walking half of Go's `text/template/exec.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate import formatting
from metrics_apiserver.core.gotemplate.operands import Pipeline
from metrics_apiserver.core.gotemplate.state import State, fail
from metrics_apiserver.core.gotemplate.values import NO_VALUE, Byte, Missing, Value, is_true


class Break(Exception):
    """`<<break>>`."""


class Continue(Exception):
    """`<<continue>>`."""


class Node(Protocol):
    """What may stand in the text: itself text, an action or a control structure."""

    def execute(self, state: State, dot: Value) -> None: ...


def execute_all(nodes: Iterable[Node], state: State, dot: Value) -> None:
    for node in nodes:
        node.execute(state, dot)


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
                    fail(text, self.pipeline.offset)
                counter = Byte if isinstance(value, Byte) else int
                return ((NO_VALUE, counter(number)) for number in range(value))
            case Sequence() if not isinstance(value, str):
                return enumerate(value)
            case _:
                shown = formatting.show(value)
                text = f"range can't iterate over {shown}"
                raise TemplateError(text, offset=self.pipeline.offset)

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
