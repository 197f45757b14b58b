from __future__ import annotations

import pytest

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate import directives
from metrics_apiserver.core.gotemplate.directives import Arguments, Directive
from metrics_apiserver.core.gotemplate.values import Value


def read(template: str, *values: Value) -> list[tuple[Value, Directive]]:
    arguments = Arguments(values)
    found = [arguments.read(match) for match in directives.scan(template)]
    arguments.check_all_used()
    return found


@pytest.mark.parametrize(
    ("template", "values", "found"),
    [
        ("", [], []),
        ("%s", ["a"], [("a", Directive("s"))]),
        ("a %-05d b", [1], [(1, Directive("d", "-0", 5))]),
        (
            "%8.3f%.e",
            [1.5, 2.5],
            [(1.5, Directive("f", "", 8, 3)), (2.5, Directive("e", "", 0, 0))],
        ),
        ("%*d", [5, 1], [(1, Directive("d", "", 5))]),
        ("%*d", [-5, 1], [(1, Directive("d", "-", 5))]),
        ("%.*f", [2, 1.5], [(1.5, Directive("f", "", 0, 2))]),
        ("%[2]s%[1]s", ["a", "b"], [("b", Directive("s")), ("a", Directive("s"))]),
        ("%[3]*.[2]*[1]f", [1.5, 2, 8], [(1.5, Directive("f", "", 8, 2))]),
        ("%[1]s", ["a", "b"], [("a", Directive("s"))]),
    ],
)
def test_reading(template: str, values: list[Value], found: list[tuple[Value, Directive]]) -> None:
    assert read(template, *values) == found


@pytest.mark.parametrize(
    ("template", "values", "why"),
    [
        ("%s", [], 'no argument for "%s"'),
        ("%[2]s", ["a"], r'no argument for "%\[2\]s"'),
        ("%[0]s", ["a"], "no argument for"),
        ("%s", ["a", "b"], "1 arguments too many"),
        ("%*d", ["a", 1], r'the \* of "%\*d" needs an int'),
        ("%*d", [True, 1], "needs an int"),
        ("%.*d", [-1, 1], r'the precision of "%\.\*d" is negative'),
        ("%*d", [65537, 1], "a width or precision above 65536"),
    ],
)
def test_operands_that_do_not_fit(template: str, values: list[Value], why: str) -> None:
    with pytest.raises(TemplateError, match=why):
        read(template, *values)


@pytest.mark.parametrize("template", ["", "100%% %-5d %s", "%5%", "%65536d"])
def test_templates_that_may_work(template: str) -> None:
    directives.check_format(template)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("%", 'printf: "%" is not supported'),
        ("a%5", 'printf: "%5" is not supported'),
        ("%z", 'printf: "%z" is not supported'),
        ("%\n", "is not supported"),
        ("%*%", r'printf: "%\*%" is not supported'),
        ("%1000000000s", "above 65536"),
        ("%.65537f", "above 65536"),
        (f"%{'9' * 5000}d", "above 65536"),
    ],
)
def test_templates_that_never_work(template: str, why: str) -> None:
    with pytest.raises(TemplateError, match=why):
        directives.check_format(template)


@pytest.mark.parametrize(
    ("flags", "zeros", "text"),
    [("", True, "   a"), ("0", True, "000a"), ("0", False, "   a"), ("-0", True, "a   ")],
)
def test_padding(flags: str, zeros: bool, text: str) -> None:
    assert Directive("s", flags, 4).pad("a", zeros=zeros) == text


def test_forms_that_are_refused() -> None:
    assert Directive("s", "#").is_one_of("vs")
    assert not Directive("q").is_one_of("vs")
    assert not Directive("q", "+").is_one_of("q")
