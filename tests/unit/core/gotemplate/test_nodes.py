from __future__ import annotations

import pytest

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate.nodes import (
    Action,
    Branch,
    Break,
    Continue,
    Jump,
    Node,
    Range,
    Text,
    execute_all,
)
from metrics_apiserver.core.gotemplate.operands import (
    Dot,
    FunctionCall,
    Literal,
    Pipeline,
    Variable,
)
from metrics_apiserver.core.gotemplate.state import State
from metrics_apiserver.core.gotemplate.values import NO_VALUE, Byte, Value

SHOW_DOT = Action(Pipeline(0, Dot(0)))
SHOW_X = Action(Pipeline(0, Variable(0, "$x")))
SHOW_Y = Action(Pipeline(0, Variable(0, "$y")))
NONE = (Text(0, "none"),)


def execute(*nodes: Node, dot: Value = "dot") -> str:
    state = State([("$", dot), ("$x", "outer")])
    execute_all(nodes, state, dot)
    assert [name for name, _ in state.variables] == ["$", "$x"]
    return "".join(state.output)


def value(of: Value, *variables: str, assigns: bool = False) -> Pipeline:
    return Pipeline(0, Literal(0, of), variables=variables, assigns=assigns)


def test_text_and_actions() -> None:
    assert execute(Text(0, "a "), Action(value(1)), Action(value(NO_VALUE))) == "a 1<no value>"
    assert execute(Action(value(2, "$x", assigns=True)), SHOW_X) == "2"


@pytest.mark.parametrize(
    ("of", "changes_dot", "text"),
    [("y", False, "dot"), ("y", True, "y"), ("", False, "none"), ("", True, "none")],
)
def test_if_and_with(of: str, changes_dot: bool, text: str) -> None:
    assert execute(Branch(value(of), (SHOW_DOT,), NONE, changes_dot)) == text


def test_variables_end_with_their_branch() -> None:
    assert execute(Branch(value("y", "$x"), (SHOW_X,), (), changes_dot=False), SHOW_X) == "youter"


@pytest.mark.parametrize(
    ("of", "text"),
    [
        (["a", "b"], "ab"),
        ({"k": "v", "a": "b"}, "bv"),
        (3, "012"),
        (Byte(2), "01"),
        (-1, "none"),
        ([], "none"),
        ({}, "none"),
        (NO_VALUE, "none"),
    ],
)
def test_ranges(of: Value, text: str) -> None:
    assert execute(Range(value(of), (SHOW_DOT,), NONE)) == text
    assert execute(Range(value(of, "$x"), (SHOW_X,), NONE), SHOW_X) == f"{text}outer"


def test_ranges_of_bytes_give_bytes() -> None:
    body = Action(Pipeline(0, FunctionCall(0, "printf", (Literal(0, "%T"), Dot(0)))))
    assert execute(Range(value(Byte(1)), (body,), ())) == "uint8"


def test_ranges_with_two_variables() -> None:
    body = (SHOW_X, Text(0, "="), SHOW_Y, Text(0, ";"))
    assert execute(Range(value(["a", "b"], "$x", "$y"), body, ())) == "0=a;1=b;"
    assert execute(Range(value({"k": "v"}, "$x", "$y"), body, ())) == "k=v;"


def test_ranges_that_assign() -> None:
    assert execute(Range(value(["a"], "$x", assigns=True), (SHOW_X,), ()), SHOW_X) == "aa"


def test_break_and_continue() -> None:
    after_b = Branch(
        Pipeline(0, FunctionCall(0, "eq", (Dot(0), Literal(0, "b"))), variables=("$z",)),
        (Jump(Break),),
        (Jump(Continue),),
        changes_dot=False,
    )
    assert execute(Range(value(["a", "b", "c"]), (SHOW_DOT, after_b, Text(0, "x")), NONE)) == "ab"


@pytest.mark.parametrize(
    ("of", "why"),
    [
        ("abc", "range can't iterate over abc"),
        (1.5, "range can't iterate over 1.5"),
        (True, "range can't iterate over true"),
        (3, "can't use 3 to iterate over more than one variable"),
    ],
)
def test_what_cannot_be_ranged_over(of: Value, why: str) -> None:
    loop = Range(Pipeline(4, Literal(0, of), variables=("$x", "$y")), (), ())
    with pytest.raises(TemplateError, match=f"^{why}$") as caught:
        execute(loop)
    assert caught.value.offset == 4


def test_every_turn_is_a_step() -> None:
    with pytest.raises(TemplateError, match="takes more than 10000 steps"):
        execute(Range(value(1 << 62), (), ()))
