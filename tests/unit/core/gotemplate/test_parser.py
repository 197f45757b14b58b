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
)
from metrics_apiserver.core.gotemplate.operands import (
    Chain,
    Dot,
    FunctionCall,
    Literal,
    Pipeline,
    Variable,
)
from metrics_apiserver.core.gotemplate.parser import TemplateParser
from metrics_apiserver.core.gotemplate.values import NO_VALUE

FIELDS: dict[str, type] = {"A": str, "M": dict[str, str], "L": list[str]}
ONE = Literal(3, 1)


def parse(text: str) -> list[Node]:
    return list(TemplateParser(text, FIELDS).parse())


def pipeline(text: str) -> Pipeline:
    (node,) = parse(f"<<{text}>>")
    assert isinstance(node, Action)
    return node.pipeline


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (".A", Pipeline(2, Dot(2, ("A",)))),
        (" .M.k ", Pipeline(3, Dot(3, ("M", "k")))),
        ("$.M.k", Pipeline(2, Variable(2, "$", ("M", "k")))),
        (".", Pipeline(2, Dot(2))),
        ("1.5", Pipeline(2, Literal(2, 1.5))),
        ("'a'", Pipeline(2, Literal(2, 97))),
        (r'"\n"', Pipeline(2, Literal(2, "\n"))),
        ("true", Pipeline(2, Literal(2, True))),
        ("false", Pipeline(2, Literal(2, False))),
        ("print", Pipeline(2, FunctionCall(2, "print"))),
        ("eq nil .A", Pipeline(2, FunctionCall(2, "eq", (Literal(5, NO_VALUE), Dot(9, ("A",)))))),
        ("(1)", Pipeline(2, Pipeline(3, ONE))),
        ("(.M).k", Pipeline(2, Chain(2, Pipeline(3, Dot(3, ("M",))), ("k",)))),
        ("print.k", Pipeline(2, Chain(2, FunctionCall(2, "print"), ("k",)))),
        (".A|len", Pipeline(2, Dot(2, ("A",)), (FunctionCall(5, "len"),))),
        (
            ".A | print 1 | len",
            Pipeline(
                2,
                Dot(2, ("A",)),
                (FunctionCall(7, "print", (Literal(13, 1),)), FunctionCall(17, "len")),
            ),
        ),
        (".A | ", Pipeline(2, Dot(2, ("A",)))),
        ("$x := 1", Pipeline(2, Literal(8, 1), variables=("$x",))),
    ],
)
def test_pipelines(text: str, found: Pipeline) -> None:
    assert pipeline(text) == found


def test_texts_and_assignments() -> None:
    assert parse("") == []
    assert parse("a<<$x:=1>>b<<$x = $x>>") == [
        Text(0, "a"),
        Action(Pipeline(3, Literal(7, 1), variables=("$x",))),
        Text(10, "b"),
        Action(Pipeline(13, Variable(18, "$x"), variables=("$x",), assigns=True)),
    ]


def test_branches() -> None:
    (node,) = parse("<<if 1>>a<<else if 2>>b<<else>>c<<end>>")
    inner = Branch(Pipeline(19, Literal(19, 2)), (Text(22, "b"),), (Text(31, "c"),), False)
    assert node == Branch(Pipeline(5, Literal(5, 1)), (Text(8, "a"),), (inner,), False)
    (node,) = parse("<<with 1>><<else with 2>><<end>>")
    inner = Branch(Pipeline(22, Literal(22, 2)), (), (), True)
    assert node == Branch(Pipeline(7, Literal(7, 1)), (), (inner,), True)


def test_ranges() -> None:
    (node,) = parse("<<range $i, $e := .L>><<break>><<continue>><<else>>a<<end>>")
    assert node == Range(
        Pipeline(8, Dot(18, ("L",)), variables=("$i", "$e")),
        (Jump(Break), Jump(Continue)),
        (Text(51, "a"),),
    )


def test_fields_used() -> None:
    def used(text: str) -> set[str]:
        parser = TemplateParser(text, FIELDS)
        parser.parse()
        return parser.fields.used

    assert used("a") == set()
    assert used("<<.A>><<$.L>>") == {"A", "L"}
    assert used("<<with .M>><<.whatever>><<else>><<.A>><<end>>") == {"M", "A"}
    assert used("<<if .M>><<.A>><<end>>") == {"M", "A"}
    assert used("<<range .L>><<.>><<end>>") == {"L"}
    assert used("<<with $x := $>><<end>>") == set(FIELDS)
    assert used("<<.>>") == set(FIELDS)


@pytest.mark.parametrize(
    ("text", "branches"), [("<<.A>>", False), ("<<range 1>><<end>>", True), ("<<len .A>>", False)]
)
def test_whether_it_branches(text: str, branches: bool) -> None:
    parser = TemplateParser(text, FIELDS)
    parser.parse()
    assert parser.branches is branches


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("<<end>>", "unexpected <<end>>", 2),
        ("<<else>>", "unexpected <<else>>", 2),
        ("<<if 1>>", "unexpected EOF: <<if>> has no <<end>>", 2),
        ("<<if 1>><<else>>", "unexpected EOF: <<if>> has no <<end>>", 2),
        ("<<if 1>><<else>><<else>><<end>>", "expected end; found <<else>>", 18),
        ("<<if 1>><<else with 1>><<end>>", "unexpected <with> in else", 15),
        ("<<range 1>><<else range 1>><<end>>", "unexpected <range> in else", 18),
        ("<<if 1>><<end 1>>", 'unexpected "1" in end', 14),
        ("<<break>>", "<<break>> outside <<range>>", 2),
        ("<<range 1>><<else>><<continue>><<end>>", "<<continue>> outside <<range>>", 21),
        ("<<range 1>><<break 1>><<end>>", 'unexpected "1" in <<break>>', 19),
        ('<<define "a">><<end>>', "<<define>> is not supported", 2),
        ('<<template "a">>', "<<template>> is not supported", 2),
        ('<<block "a" .>><<end>>', "<<block>> is not supported", 2),
        ("<<>>", "missing value for command", 2),
        ("<<if>><<end>>", "missing value for if", 4),
        ("<<$x := >>", "missing value for command", 2),
        ("<<,>>", 'unexpected "," in command', 2),
        ("<<.A,>>", 'unexpected "," in operand', 4),
        ("<<(end)>>", "unexpected <end> in parenthesized pipeline", 3),
        ("<<if $x, $y := 1>><<end>>", "too many declarations in if", 7),
        ("<<range $x, $y, $z := 1>><<end>>", "too many declarations in range", 14),
        ("<<range $x, 1>><<end>>", "range can only initialize variables", 12),
        ("<<range $x, $ >><<end>>", "range can only initialize variables", 12),
        ("<<$ := 1>>", "cannot assign to $", 4),
        ("<<$x = 1>>", "undefined variable: $x", 5),
        ("<<$x>>", 'undefined variable "$x"', 2),
        ("<<if $x := 1>><<end>><<$x>>", 'undefined variable "$x"', 23),
        ("<<nil>>", "nil is not a command", 2),
        ("<<foo>>", 'function "foo" not defined', 2),
        ("<<call>>", 'function "call" not defined', 2),
        ('<<"a".b>>', 'unexpected . after term "\\"a\\""', 2),
        ("<<len.b>>", "wrong number of args for len: want at least 1 got 0", 2),
        ("<<'ab'>>", "malformed character constant: 'ab'", 2),
        ("<<09>>", 'illegal number syntax: "09"', 2),
        ("<<.B>>", "unknown field .B; there are .A, .M, .L", 2),
        ("<<$.B>>", "unknown field .B; there are .A, .M, .L", 2),
        ("<<.__class__>>", "unknown field .__class__; there are .A, .M, .L", 2),
        ("<<.A 1>>", "can't give argument to non-function", 2),
        ("<<(" + "(" * 50 + "1" + ")" * 51 + ">>", "nested more than 50 levels deep", 52),
        ("<<if 1>>" * 51, "nested more than 50 levels deep", 402),
    ],
)
def test_errors(text: str, message: str, offset: int) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(text)
    assert (caught.value.message, caught.value.offset) == (message, offset)
