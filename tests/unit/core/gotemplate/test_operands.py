from __future__ import annotations

import pytest

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate.operands import (
    Chain,
    Dot,
    FunctionCall,
    Literal,
    Operand,
    Pipeline,
    Variable,
)
from metrics_apiserver.core.gotemplate.state import State
from metrics_apiserver.core.gotemplate.values import NO_VALUE, Struct, Value

DATA = Struct({"Name": "n", "Map": {"k": "v"}, "List": ["a"]})
TRUE, FALSE = Literal(0, 1), Literal(0, "")


def evaluate(operand: Operand, *variables: tuple[str, Value]) -> Value:
    return operand.evaluate(State([("$", DATA), *variables]), DATA)


@pytest.mark.parametrize(
    ("operand", "value"),
    [
        (Literal(0, 5), 5),
        (Dot(0), DATA),
        (Dot(0, ("Name",)), "n"),
        (Dot(0, ("Map", "k")), "v"),
        (Dot(0, ("Map", "x")), NO_VALUE),
        (Dot(0, ("Map", "x", "y")), NO_VALUE),
        (Variable(0, "$"), DATA),
        (Variable(0, "$", ("List",)), ["a"]),
        (Chain(0, Dot(0, ("Map",)), ("k",)), "v"),
        (FunctionCall(0, "len", (Dot(0, ("List",)),)), 1),
        (FunctionCall(0, "and", (TRUE, FALSE, Literal(0, 2))), ""),
        (FunctionCall(0, "and", (TRUE, Literal(0, 2))), 2),
        (FunctionCall(0, "or", (FALSE, TRUE, FunctionCall(0, "index"))), 1),
        (FunctionCall(0, "or", (FALSE, Literal(0, 0))), 0),
        (Pipeline(0, Literal(0, "a"), (FunctionCall(0, "print", (Literal(0, "b"),)),)), "ba"),
        (Pipeline(0, FALSE, (FunctionCall(0, "or"),)), ""),
        (Pipeline(0, TRUE, (FunctionCall(0, "or", (FALSE,)),)), 1),
    ],
)
def test_values(operand: Operand, value: Value) -> None:
    assert evaluate(operand) == value


def test_variables() -> None:
    state = State([("$", DATA)])
    assert Pipeline(0, TRUE, variables=("$x",)).evaluate(state, DATA) == 1
    assert Pipeline(0, FALSE, variables=("$x",), assigns=True).evaluate(state, DATA) == ""
    assert state.variables == [("$", DATA), ("$x", "")]
    assert Variable(0, "$x").evaluate(state, DATA) == ""


@pytest.mark.parametrize(
    ("operand", "why"),
    [
        (Dot(3, ("Nope",)), "can't evaluate field Nope in type the template's data"),
        (Dot(3, ("Name", "x")), "can't evaluate field x in type string"),
        (Variable(3, "$x"), r"undefined variable: \$x"),
        (FunctionCall(3, "len", (Literal(0, 1),)), "error calling len: len of type int"),
    ],
)
def test_errors_have_their_place(operand: Operand, why: str) -> None:
    with pytest.raises(TemplateError, match=f"^{why}$") as caught:
        evaluate(operand)
    assert caught.value.offset == 3
