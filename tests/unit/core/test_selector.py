from __future__ import annotations

import pytest

from metrics_apiserver.base.errors import BadRequest, InvalidSelector
from metrics_apiserver.core import selector
from metrics_apiserver.core.selector import Operator, Requirement, Selector


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        (" \t\r\n", ""),
        ("\x00 a=b", ""),
        ("a", "a"),
        ("!a", "!a"),
        ("! a", "!a"),
        ("a=b", "a=b"),
        ("a = b", "a=b"),
        ("a==b", "a==b"),
        ("a!=b", "a!=b"),
        ("a=", "a="),
        ("a=,b", "a=,b"),
        ("a!=", "a!="),
        ("a>1", "a>1"),
        ("a<1", "a<1"),
        ("a in (b)", "a in (b)"),
        ("a in (c,b,c)", "a in (b,c)"),
        ("a notin (b, c)", "a notin (b,c)"),
        ("a in ()", "a in ()"),
        ("a in (,)", "a in ()"),
        ("a in (,b)", "a in (,b)"),
        ("a in (b,)", "a in (,b)"),
        ("a in (b,,c)", "a in (,b,c)"),
        ("a in(b)", "a in (b)"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("notin", "notin"),
        ("b=1,a=2", "a=2,b=1"),
        ("b,a,!a", "a,!a,b"),
        ("a\x00=\x00b", "a=b"),
        ("example.com/a=b", "example.com/a=b"),
    ],
)
def test_what_parses(text: str, canonical: str) -> None:
    parsed = selector.parse(text)
    assert str(parsed) == canonical
    assert selector.parse(canonical) == parsed
    assert parsed.empty == (not canonical)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("=", "found '=', expected: !, identifier, or 'end of string'"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("a,=", "found '=', expected: identifier after ','"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("!=a", "found '!=', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a==(", "unable to parse requirement: found '(', expected: identifier"),
        ("a===b", "unable to parse requirement: found '=', expected: identifier"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (b=", "unable to parse requirement: found '=', expected: ',' or ')'"),
        ("a in (,", "unable to parse requirement: found '', expected: ',', or identifier"),
        ("a in (b,=", "unable to parse requirement: found '=', expected: ',', or identifier"),
    ],
)
def test_what_does_not_parse(text: str, words: str) -> None:
    with pytest.raises(InvalidSelector) as caught:
        selector.parse(text)
    assert caught.value.message == words


@pytest.mark.parametrize("sign", ["(", ")", ",", "=", "==", "!=", "<", ">"])
def test_no_sign_stands_for_a_key_or_a_value(sign: str) -> None:
    with pytest.raises(InvalidSelector) as caught:
        selector.parse(f"{sign}a")
    assert caught.value.message == f"found '{sign}', expected: !, identifier, or 'end of string'"
    with pytest.raises(InvalidSelector) as caught:
        selector.parse(f"a,{sign}a")
    assert caught.value.message == f"found '{sign}', expected: identifier after ','"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("_a", '<nil>: Invalid value: "_a": name part must consist of alphanumeric'),
        ("a=_", 'values[0][a]: Invalid value: "_": a valid label must be an empty string'),
        ("a>b", "values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be"),
        ("a>-1", 'values[0][a]: Invalid value: "-1": a valid label must be'),
        ("a>", "values[0]: Invalid value: \"\": for 'Gt', 'Lt' operators, the value must be"),
        ("a>&", '[values[0]: Invalid value: "&": for '),
        ("a in (_,b,-)", '[values[0][a]: Invalid value: "-": '),
    ],
)
def test_keys_and_values_are_checked(text: str, words: str) -> None:
    with pytest.raises(InvalidSelector) as caught:
        selector.parse(text)
    assert caught.value.message.startswith(f"unable to parse requirement: {words}")


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("", {}, True),
        ("a", {"a": ""}, True),
        ("a", {}, False),
        ("!a", {}, True),
        ("!a", {"a": ""}, False),
        ("a=b", {"a": "b"}, True),
        ("a=", {}, False),
        ("a==b", {"a": "c"}, False),
        ("a!=b", {}, True),
        ("a!=b", {"a": "b"}, False),
        ("a in (b,c)", {"a": "c"}, True),
        ("a in (b,c)", {}, False),
        ("a notin (b,c)", {}, True),
        ("a notin (b,c)", {"a": "c"}, False),
        ("a>5", {"a": "6"}, True),
        ("a>5", {"a": "5"}, False),
        ("a>5", {}, False),
        ("a>5", {"a": "x"}, False),
        ("a<5", {"a": "-4"}, True),
        ("a<5", {"a": "5"}, False),
        ("a,b=c", {"a": "", "b": "c"}, True),
        ("a,b=c", {"a": ""}, False),
    ],
)
def test_matching(text: str, labels: dict[str, str], matches: bool) -> None:
    assert selector.parse(text).matches(labels) is matches


def test_a_requirement_whose_bound_is_no_integer_matches_nothing() -> None:
    assert not Requirement("a", Operator.GREATER_THAN, ("x",)).matches({"a": "5"})


@pytest.mark.parametrize("operator", [Operator.GREATER_THAN, Operator.LESS_THAN])
@pytest.mark.parametrize("bound", ["-7", "-1", "0", "1", "7"])
def test_an_object_without_the_label_is_neither_above_nor_below(
    operator: Operator, bound: str
) -> None:
    assert not Requirement("a", operator, (bound,)).matches({"b": "5"})


def test_to_label_selector() -> None:
    parsed = selector.parse("z=1,y==2,x in (b,a),w notin (c),v!=d,u,!t")
    assert selector.to_label_selector(parsed) == {
        "matchLabels": {"y": "2", "z": "1"},
        "matchExpressions": [
            {"key": "t", "operator": "DoesNotExist"},
            {"key": "u", "operator": "Exists"},
            {"key": "v", "operator": "NotIn", "values": ["d"]},
            {"key": "w", "operator": "NotIn", "values": ["c"]},
            {"key": "x", "operator": "In", "values": ["a", "b"]},
        ],
    }
    assert selector.to_label_selector(selector.parse("a=b")) == {"matchLabels": {"a": "b"}}
    assert selector.to_label_selector(selector.parse("a")) == {
        "matchExpressions": [{"key": "a", "operator": "Exists"}]
    }
    assert selector.to_label_selector(Selector()) is None


@pytest.mark.parametrize(("text", "name"), [("a>1", "gt"), ("a<1", "lt")])
def test_a_label_selector_cannot_compare(text: str, name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        selector.to_label_selector(selector.parse(text))
    assert caught.value.message == f'"{name}" isn\'t supported in label selectors'
