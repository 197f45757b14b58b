from __future__ import annotations

from typing import Any

import pytest

from metrics_apiserver.base.errors import BadRequest
from metrics_apiserver.core import promql, selector
from metrics_apiserver.core.promql import Matcher


def test_quote_is_gos() -> None:
    assert promql.quote('a"\n\x85') == r'"a\"\n\u0085"'


def test_escape_regex() -> None:
    assert promql.escape_regex(r"a.b\c+*?()|[]{}^$-é") == (r"a\.b\\c\+\*\?\(\)\|\[\]\{\}\^\$-é")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("app", "app"),
        ("_x1", "_x1"),
        ("sls.project", "sls_project"),
        ("app.kubernetes.io/name", "app_kubernetes_io_name"),
        ("a-b", "a_b"),
        ("é", "_"),
        ("1a", "_1a"),
        ("", "_"),
    ],
)
def test_label_names(name: str, label: str) -> None:
    assert promql.sanitize_label(name) == label


def test_matchers_are_written_as_promql() -> None:
    assert str(Matcher("pod", "=~", 'a\\.b|"')) == r'pod=~"a\\.b|\""'
    assert str(Matcher("sls.project", "=", "x")) == '"sls.project"="x"'


@pytest.mark.parametrize(
    ("text", "matchers"),
    [
        ("", []),
        ("a", ['a!=""']),
        ("!a", ['a=""']),
        ("a=b", ['a="b"']),
        ("a==b", ['a="b"']),
        ("a!=b.c", ['a!="b.c"']),
        ("a in (b.c)", ['a="b.c"']),
        ("a in (b.c,d)", ['a=~"b\\\\.c|d"']),
        ("a notin (b)", ['a!="b"']),
        ("a notin (b.c,d)", ['a!~"b\\\\.c|d"']),
        ("a in (b,)", ['a=~"|b"']),
        ("sls.project=x,b=y", ['b="y"', 'sls_project="x"']),
    ],
)
def test_matchers_of_a_selector(text: str, matchers: list[str]) -> None:
    parsed = selector.parse(text)
    assert list(map(str, promql.matchers_from_selector(parsed))) == matchers


def test_labels_that_are_no_plain_names_are_quoted() -> None:
    assert str(Matcher("sls.project", "=", "x")) == '"sls.project"="x"'


@pytest.mark.parametrize("text", ["a>1", "a<1"])
def test_promql_cannot_compare_labels(text: str) -> None:
    with pytest.raises(BadRequest, match="is not supported in metric selectors"):
        promql.matchers_from_selector(selector.parse(text))


def test_names() -> None:
    assert promql.names_matcher("pod", ["a.b"]) == Matcher("pod", "=", "a.b")
    assert promql.names_matcher("pod", ["a.b", "c"]) == Matcher("pod", "=~", r"a\.b|c")
    with pytest.raises(ValueError, match="no value to match pod with"):
        promql.names_matcher("pod", [])


@pytest.mark.parametrize(
    "query",
    [
        "up",
        "sum(rate(x[5m])) by (pod)",
        "x # ((((",
        f'up{{a="{"(" * 1000}"}}',
        "up{a='\\'('}",
        f'up{{a=~"{"x|" * 10000}"}}',
        "up{a=`(`}",
        "# it's (\nx",
    ],
)
def test_queries(query: str) -> None:
    promql.validate(query)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "no expression"),
        ("sum(", "invalid promql query|unclosed left parenthesis"),
        ('up{a="', "unterminated"),
        ("x" * (64 * 1024 + 1), "longer than 65536 characters"),
        ("(" * 10_000 + "x" + ")" * 10_000, "more than 500 operators"),
        ("-" * 100_000, "longer than"),
        ("x" + "+x" * 501, "more than 500 operators"),
        ("x" + " AND x" * 501, "more than 500 operators"),
        ("# don't\n" + "x" + "+x" * 501 + "+'a'", "more than 500 operators"),
        ('"' * 30_001, "invalid|unterminated|unexpected"),
    ],
)
def test_what_is_no_query(query: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        promql.validate(query)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"`/lane/\d+/.*`", r"/lane/\d+/.*"),
        ('`it\'s "so"`', 'it\'s "so"'),
        ('"`"', "`"),
        ("'`\\\\d`'", r"`\d`"),
        ("`two\nlines\t\u00e9`", "two\nlines\té"),
        ("`#no comment`", "#no comment"),
        ("``", ""),
        (r"`\`", "\\"),
    ],
)
def test_nothing_is_escaped_between_backticks(text: str, value: str) -> None:
    for query in (f"up{{a={text}}}", f"up{{b=`\\z`,a={text}}} # `\\d", f"# `\nup{{a={text}}}"):
        parsed: Any = promql.parse(query)
        assert [one.value for one in parsed.matchers.matchers if one.name == "a"] == [value]
    call: Any = promql.parse(f"label_replace(up, `a`, {text}, `b`, `(.*)`)")
    assert call.args[2].val == value


def test_a_backtick_that_is_never_closed() -> None:
    with pytest.raises(ValueError, match=r"."):
        promql.parse("up{a=`b}")
