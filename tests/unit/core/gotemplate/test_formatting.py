from __future__ import annotations

import pytest

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate import formatting
from metrics_apiserver.core.gotemplate.values import MAX_BYTES, NO_VALUE, Byte, Struct, Value

DATA = Struct({"A": "a", "B": ["b", "c"]})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], ""),
        (["a", "b"], "ab"),
        ([1, 2], "1 2"),
        ([1, "a", 2], "1a2"),
        ([["a", "b"], {"k": "v", "a": "b"}], "[a b] map[a:b k:v]"),
        ([NO_VALUE, True, Byte(7), 1.5, DATA], "<nil> true 7 1.5 {a [b c]}"),
    ],
)
def test_sprint(values: list[Value], text: str) -> None:
    assert formatting.sprint(values) == text


def test_sprintln() -> None:
    assert formatting.sprintln([]) == "\n"
    assert formatting.sprintln(["a", 1]) == "a 1\n"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.5, "1.5"),
        (100000.0, "100000"),
        (1000000.0, "1e+06"),
        (123456789.0, "1.23456789e+08"),
        (1e100, "1e+100"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
    ],
)
def test_floats_as_short_as_may_be(number: float, text: str) -> None:
    assert formatting.show(number) == text


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("a 100%% b", [], "a 100% b"),
        ("%s|%v|%q|%x|%X", ["é", "é", "é", "é", "é"], 'é|é|"é"|c3a9|C3A9'),
        ("%5s|%-5s|%05s|%.1s", ["é", "é", "é", "éa"], "    é|é    |0000é|é"),
        ("%.1q|%.1x|%+s|% s|%#s", ["éa", "éa", "a", "a", "a"], '"é"|c3|a|a|a'),
        ("%d|%5d|%-5d|%05d|%+d|% d", [1, 1, 1, -1, 1, 1], "1|    1|1    |-0001|+1| 1"),
        ("%.3d|%.0d|%5.0d|%+.0d", [1, 0, 0, 0], "001||     |"),
        (
            "%x|%X|%o|%b|%#x|%#X|%#o|%#b|%#o",
            [255] * 8 + [0],
            "ff|FF|377|11111111|0xff|0XFF|0377|0b11111111|0",
        ),
        ("%c|%c|%3c|%c", [97, -1, 233, 0xD800], "a|\ufffd|  é|\ufffd"),
        ("%v|%+v|% v|%d", [1, 1, 1, Byte(200)], "1|1| 1|200"),
        ("%t|%v|%6t", [True, False, True], "true|false|  true"),
        (
            "%e|%E|%f|%F|%g|%G",
            [1.5, 1.5, 1.5, 1.5, 1e6, 1e6],
            "1.500000e+00|1.500000E+00|1.500000|1.500000|1e+06|1E+06",
        ),
        (
            "%.1f|%8.2f|%08.2f|%-8.2f|%+.1f|% .1f",
            [1.25, 1.5, -1.5, 1.5, 1.5, 1.5],
            "1.2|    1.50|-0001.50|1.50    |+1.5| 1.5",
        ),
        ("%.3g|%v|%08v", [1234.5, 2.5, 2.5], "1.23e+03|2.5|000002.5"),
        (
            "%T|%T|%T|%T|%T|%8T",
            ["a", 1, ["a"], NO_VALUE, 1.5, True],
            "string|int|[]string|<nil>|float64|    bool",
        ),
        ("%s|%q|%3v", [["a", "b"], ["a", "b"], {"k": "v"}], '[a b]|["a" "b"]|map[  k:  v]'),
        ("%v|%s", [DATA, DATA], "{a [b c]}|{a [b c]}"),
        ("%v|%7v", [NO_VALUE, NO_VALUE], "<nil>|  <nil>"),
    ],
)
def test_sprintf(template: str, values: list[Value], text: str) -> None:
    assert formatting.sprintf(template, values) == text


@pytest.mark.parametrize(
    ("template", "value", "type_name"),
    [
        ("%d", "a", "string"),
        ("%#v", "a", "string"),
        ("%s", 1, "int"),
        ("%#v", 1, "int"),
        ("%d", 1.5, "float64"),
        ("%#g", 1.5, "float64"),
        ("%s", True, "bool"),
        ("%s", NO_VALUE, "nil"),
        ("%d", DATA, "the template's data"),
        ("%+v", DATA, "the template's data"),
        ("%T", DATA, "the template's data"),
        ("%d", ["a"], "string"),
    ],
)
def test_what_go_would_write_an_error_for(template: str, value: Value, type_name: str) -> None:
    with pytest.raises(
        TemplateError, match=f'"{template}" cannot write .* {type_name}'.replace("+", r"\+")
    ):
        formatting.sprintf(template, [value])


def test_every_argument_must_be_used() -> None:
    with pytest.raises(TemplateError, match="1 arguments too many"):
        formatting.sprintf("%s", ["a", "b"])
    with pytest.raises(TemplateError, match="2 arguments too many"):
        formatting.sprintf("", ["a", "b"])
    assert formatting.sprintf("%[2]s", ["a", "b"]) == "b"


def test_texts_are_bounded() -> None:
    long = "x" * MAX_BYTES
    assert formatting.sprintf("%s", [long]) == long
    for template in ("%s%s", "%65536d%s"):
        with pytest.raises(TemplateError, match="longer than"):
            formatting.sprintf(template, [long if template == "%s%s" else 1, long])
    with pytest.raises(TemplateError, match="longer than"):
        formatting.sprint([long, "a"])
    with pytest.raises(TemplateError, match="longer than"):
        formatting.sprintln([long])
