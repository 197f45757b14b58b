"""What is refused at load, though Go would find out only while rendering.

A rule whose template fails at every rendering is a metric that never appears; said at load, with
its place, it is a fault that somebody can mend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_origin

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate import directives
from metrics_apiserver.core.gotemplate.functions import FUNCTIONS
from metrics_apiserver.core.gotemplate.operands import FunctionCall, Literal, Operand
from metrics_apiserver.core.gotemplate.state import fail


class Fields:
    """The fields that the data has, and those of them that the template reads.

    Attributes:
        used: names; all of them once the template handles the data as a whole.
    """

    def __init__(self, fields: Mapping[str, type]) -> None:
        self.used: set[str] = set()
        self._fields = fields

    def use(self, names: Sequence[str], offset: int) -> None:
        """Notes `.A.B` of the data, or without names the data as a whole.

        Raises:
            TemplateError: no such field, or a field of a string or a slice.
        """
        if not names:
            self.used.update(self._fields)
            return
        name = names[0]
        if name not in self._fields:
            known = ", ".join(f".{field}" for field in self._fields)
            fail(f"unknown field .{name}; there are {known}", offset)
        self.used.add(name)
        of = self._fields[name]
        is_map = (get_origin(of) or of) is dict
        deepest = 2 if is_map else 1
        if len(names) > deepest:
            type_name = "string" if is_map or of is str else "[]string"
            fail(f"can't evaluate field {names[deepest]} in type {type_name}", offset)


def check_command(words: Sequence[Operand], *, piped: bool) -> None:
    """Refuses a command that no data could make work.

    Args:
        words: what the command is made of, at least one.
        piped: whether it also takes the result of the command before it.

    Raises:
        TemplateError: arguments for what is no function, or too few, too many, wrong ones.
    """
    head, arguments = words[0], words[1:]
    for argument in arguments:
        if isinstance(argument, FunctionCall):
            _check_count(argument, 0)
    if isinstance(head, FunctionCall):
        _check_count(head, len(arguments) + piped)
        if head.name == "printf" and arguments:
            _check_format(arguments[0])
    elif arguments or piped:
        fail("can't give argument to non-function", head.offset)


def _check_count(call: FunctionCall, given: int) -> None:
    function = FUNCTIONS[call.name]
    if given < function.least:
        count = f"want at least {function.least} got {given}"
        fail(f"wrong number of args for {call.name}: {count}", call.offset)
    if function.most is not None and given > function.most:
        count = f"want at most {function.most} got {given}"
        fail(f"wrong number of args for {call.name}: {count}", call.offset)


def _check_format(operand: Operand) -> None:
    if not isinstance(operand, Literal):
        return
    if not isinstance(operand.value, str):
        fail("printf: the first argument must be a string", operand.offset)
    try:
        directives.check_format(operand.value)
    except TemplateError as error:
        fail(error.message, operand.offset)
