"""One rendering under way: its variables, its output, and how much of its bounds is used up.

A template is configuration and must not be able to hold up the server: steps and bytes are counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NoReturn

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate.values import MAX_BYTES, Value, length

MAX_STEPS: Final = 10_000


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
            fail(f"undefined variable: {name}", offset)
        return index

    def assign(self, name: str, value: Value, offset: int) -> None:
        self.variables[self.position(name, offset)] = (name, value)


def fail(message: str, offset: int) -> NoReturn:
    """Raises a TemplateError with its place."""
    raise TemplateError(message, offset=offset)
