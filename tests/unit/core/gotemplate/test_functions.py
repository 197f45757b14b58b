from __future__ import annotations

import pytest

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate.functions import FUNCTIONS
from metrics_apiserver.core.gotemplate.values import MAX_BYTES, NO_VALUE, Byte, Struct, Value

LIST = ["a", "b"]
MAP = {"k": "v"}


def call(name: str, *arguments: Value) -> Value:
    function = FUNCTIONS[name].call
    assert function is not None
    return function(arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("index", ["ab"], "ab"),
        ("index", ["ab", 1], 98),
        ("index", ["é", 0], 0xC3),
        ("index", ["ab", Byte(0)], 97),
        ("index", [LIST, 0], "a"),
        ("index", [LIST, 1, 0], 98),
        ("index", [MAP, "k"], "v"),
        ("index", [MAP, "x"], ""),
        ("slice", ["abc"], "abc"),
        ("slice", ["abc", 1], "bc"),
        ("slice", ["abc", 1, 2], "b"),
        ("slice", ["é", 0, 1], "\udcc3"),
        ("slice", [LIST, 1], ["b"]),
        ("slice", [LIST, 0, 1, 1], ["a"]),
        ("len", ["é"], 2),
        ("len", [LIST], 2),
        ("len", [MAP], 1),
        ("not", [""], True),
        ("eq", ["a", "b", "a"], True),
        ("eq", ["a", "b"], False),
        ("eq", [1, Byte(1)], True),
        ("eq", [1.5, 1.5], True),
        ("eq", [True, True], True),
        ("eq", [NO_VALUE, NO_VALUE], True),
        ("eq", [LIST, NO_VALUE], False),
        ("ne", ["a", "b"], True),
        ("lt", ["a", "b"], True),
        ("lt", ["\ue000", "😀"], True),
        ("le", [1, Byte(1)], True),
        ("gt", [2, 1], True),
        ("ge", [1.5, 2.5], False),
        ("print", ["a", 1], "a1"),
        ("println", [], "\n"),
        ("printf", ["%s-%d", "a", 1], "a-1"),
        ("html", ["<a href='x'>\"&\x00"], "&lt;a href=&#39;x&#39;&gt;&#34;&amp;\ufffd"),
        ("html", [NO_VALUE], "&lt;no value&gt;"),
        ("html", [1, 2], "1 2"),
        ("js", ["'\"\\<>&=\n\x7fé\u2028"], r"\'\"\\\u003C\u003E\u0026\u003D\u000A" "\x7fé\\u2028"),
        ("js", ["\udcc3"], r"\uFFFD"),
        ("urlquery", ["a b&é/~-_."], "a+b%26%C3%A9%2F~-_."),
    ],
)
def test_functions(name: str, arguments: list[Value], value: Value) -> None:
    assert call(name, *arguments) == value


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("index", [NO_VALUE], "index of untyped nil"),
        ("index", ["ab", 2], "index out of range: 2"),
        ("index", ["ab", -1], "index out of range: -1"),
        ("index", ["ab", "a"], "cannot index slice/array with type string"),
        ("index", [LIST, True], "cannot index slice/array with type bool"),
        ("index", [LIST, 2], "index out of range: 2"),
        ("index", [MAP, 1], "value has type int; should be string"),
        ("index", [1, 1], "can't index item of type int"),
        ("index", [Struct({}), 1], "can't index item of type the template's data"),
        ("slice", ["abc", 1, 2, 3], "cannot 3-index slice a string"),
        ("slice", ["abc", 4], "index out of range: 4"),
        ("slice", ["abc", 2, 1], "invalid slice index: 2 > 1"),
        ("slice", [LIST, 0, 2, 1], "invalid slice index: 2 > 1"),
        ("slice", [1], "can't slice item of type int"),
        ("len", [1], "len of type int"),
        ("eq", ["a", 1], "incompatible types for comparison: string and int"),
        ("eq", [LIST, LIST], r"non-comparable type \[\]string"),
        ("lt", [True, True], "invalid type for comparison"),
        ("lt", ["a", 1], "incompatible types for comparison: string and int"),
        ("lt", [1, 1.5], "incompatible types for comparison: int and float64"),
        ("printf", [1], "wrong type for value; expected string; got int"),
    ],
)
def test_errors(name: str, arguments: list[Value], why: str) -> None:
    with pytest.raises(TemplateError, match=f"^{why}$"):
        call(name, *arguments)


@pytest.mark.parametrize("name", ["html", "js", "urlquery"])
def test_texts_are_bounded(name: str) -> None:
    with pytest.raises(TemplateError, match="longer than"):
        call(name, "<" * (MAX_BYTES // 2))


def test_and_or_are_evaluated_elsewhere() -> None:
    assert FUNCTIONS["and"].call is FUNCTIONS["or"].call is None
