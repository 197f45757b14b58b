from __future__ import annotations

import pytest

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate import checks
from metrics_apiserver.core.gotemplate.operands import Dot, FunctionCall, Literal, Operand

FIELDS: dict[str, type] = {"Name": str, "Map": dict[str, str], "List": list[str], "Plain": dict}
TEXT = Literal(2, "x")


def test_fields_that_are_read() -> None:
    fields = checks.Fields(FIELDS)
    fields.use(("Name",), 0)
    fields.use(("Map", "k"), 0)
    fields.use(("Plain", "k"), 0)
    assert fields.used == {"Name", "Map", "Plain"}
    fields.use((), 0)
    assert fields.used == set(FIELDS)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("Nope",), "unknown field .Nope; there are .Name, .Map, .List, .Plain"),
        (("Name", "x"), "can't evaluate field x in type string"),
        (("Map", "k", "x"), "can't evaluate field x in type string"),
        (("List", "x"), "can't evaluate field x in type []string"),
    ],
)
def test_fields_that_are_not(names: tuple[str, ...], why: str) -> None:
    with pytest.raises(TemplateError) as caught:
        checks.Fields(FIELDS).use(names, 3)
    assert (caught.value.message, caught.value.offset) == (why, 3)


@pytest.mark.parametrize(
    ("words", "piped"),
    [
        ([Dot(0)], False),
        ([FunctionCall(0, "print")], False),
        ([FunctionCall(0, "printf", ()), Literal(0, "%s"), TEXT], False),
        ([FunctionCall(0, "printf"), Dot(0)], False),
        ([FunctionCall(0, "printf")], True),
        ([FunctionCall(0, "len")], True),
        ([FunctionCall(0, "slice"), TEXT, TEXT, TEXT, TEXT], False),
        ([FunctionCall(0, "print"), FunctionCall(0, "println")], True),
    ],
)
def test_commands_that_may_work(words: list[Operand], piped: bool) -> None:
    checks.check_command(words, piped=piped)


@pytest.mark.parametrize(
    ("words", "piped", "why"),
    [
        ([TEXT, TEXT], False, "can't give argument to non-function"),
        ([TEXT], True, "can't give argument to non-function"),
        ([FunctionCall(2, "len")], False, "wrong number of args for len: want at least 1 got 0"),
        (
            [FunctionCall(2, "len"), TEXT],
            True,
            "wrong number of args for len: want at most 1 got 2",
        ),
        (
            [FunctionCall(0, "print"), FunctionCall(2, "len")],
            False,
            "wrong number of args for len: want at least",
        ),
        (
            [FunctionCall(0, "printf"), Literal(2, 1)],
            False,
            "printf: the first argument must be a string",
        ),
        ([FunctionCall(0, "printf"), Literal(2, "%z")], False, 'printf: "%z" is not supported'),
    ],
)
def test_commands_that_never_work(words: list[Operand], piped: bool, why: str) -> None:
    with pytest.raises(TemplateError, match=f"^{why}") as caught:
        checks.check_command(words, piped=piped)
    assert caught.value.offset == 2
