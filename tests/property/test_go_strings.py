"""String literals and regular expressions: Go's spelling, and no way out of a matcher."""

from __future__ import annotations

import promql_parser
import pytest
import re2
from hypothesis import assume, example, given
from hypothesis import strategies as st

from metrics_apiserver.base import strconv
from metrics_apiserver.core import promql
from tests.fakes.oracle import Oracle, is_settled

pytestmark = pytest.mark.timeout(600)

HOSTILE = ['"', "\\", "\n", "\r", "\x00", "`", "{", "}", "#", "$", "|", ".*", "\u2028", "\x85"]
HOSTILE += ["😀", "é", "a", "1", ",", '"} or {', "\x7f", "\ufffd", "\ufeff", "=~"]
anything = st.one_of(st.text(), st.lists(st.sampled_from(HOSTILE)).map("".join))
operators: list[promql.MatchOperator] = ["=", "!=", "=~", "!~"]


@given(text=anything.filter(is_settled))
def test_quote_writes_what_go_writes(oracle: Oracle, text: str) -> None:
    assert strconv.quote(text) == oracle.ask("quote", text=text)["text"]


@given(text=anything)
def test_quote_means_the_same_to_go(oracle: Oracle, text: str) -> None:
    assert oracle.ask("unquote", text=strconv.quote(text))["text"] == text
    assert strconv.unquote(strconv.quote(text)) == text


ESCAPES = ["x41", "u00e9", "U0001F600", "uD800", "U00110000", "101", "400", "n", "a"]
WHOLE = ["\\'", '\\"', "\\t", "\\377", "\\xff", "\\xc3\\xa9", "\\400", "é", "\n", "\r", "\\"]
pieces = st.lists(st.sampled_from([*ESCAPES, *WHOLE, "'", '"', "`"]), max_size=4).map("".join)


@given(text=st.one_of(pieces, pieces.map('"{}"'.format), pieces.map("`{}`".format)))
@example("`a`b`")
@example('"')
@example("''")
def test_unquote_reads_what_go_reads(oracle: Oracle, text: str) -> None:
    assume(not text.startswith("'") or text == "''")
    answer = oracle.ask("unquote", text=text)
    try:
        read = strconv.unquote(text)
    except ValueError:
        # Go's shortcut for text without escapes lets the empty character through.
        assert "error" in answer or text == "''"
        return
    assert "error" not in answer, answer
    # JSON carries a byte that is no UTF-8 as a replacement character.
    shown = read.encode(errors="surrogateescape").decode(errors="replace")
    if "\ufffd" not in shown:
        assert shown == answer["text"]


@given(text=pieces.map("'{}'".format))
@example("''")
@example("'\\xff'")
@example("'\\\"'")
@example("'\n'")
def test_a_character_constant_is_read_as_go_reads_it(oracle: Oracle, text: str) -> None:
    answer = oracle.ask("char", text=text)
    try:
        code = strconv.unquote_char(text)
    except ValueError:
        assert "error" in answer
        return
    assert str(code) == answer["text"]


@given(text=anything)
def test_a_regex_literal_is_escaped_as_go_escapes_it(oracle: Oracle, text: str) -> None:
    assert promql.escape_regex(text) == oracle.ask("quotemeta", text=text)["text"]


@given(wanted=st.lists(anything, min_size=1, max_size=3), other=anything)
def test_a_name_list_matches_its_names_and_nothing_else(wanted: list[str], other: str) -> None:
    matcher = promql.names_matcher("pod", wanted)
    if matcher.op == "=":
        assert matcher.value == wanted[0]
        return
    # Prometheus anchors at both ends and lets the dot match newlines.
    options = re2.Options()
    options.dot_nl = True
    pattern = re2.compile(f"^(?:{matcher.value})$", options)
    assert all(pattern.match(name) for name in wanted)
    assert bool(pattern.match(other)) == (other in wanted)


@given(label=st.text(max_size=8), op=st.sampled_from(operators), value=anything)
@example("pod", "=", 'x"} or {__name__=~".+"} #')
@example("pod", "=", "x" * 10_000 + '"')
def test_a_matcher_parses_back_to_its_value(
    label: str, op: promql.MatchOperator, value: str
) -> None:
    name = promql.sanitize_label(label)
    if op in ("=~", "!~"):
        value = promql.escape_regex(value)
    tree = promql.parse(f"up{{a='1',{promql.Matcher(name, op, value)}}}")
    assert isinstance(tree, promql_parser.VectorSelector)
    matchers = {matcher.name: matcher for matcher in tree.matchers.matchers}
    assert set(matchers) == {"a", name} or name == "a"
    found = [m for m in tree.matchers.matchers if m.name == name and m.value == value]
    assert found


@given(value=st.binary(max_size=8))
def test_bytes_that_are_no_text_stay_inside_the_literal(value: bytes) -> None:
    literal = strconv.quote(value.decode(errors="surrogateescape"))
    assert literal.isascii() or literal.isprintable()
    assert strconv.unquote(literal).encode(errors="surrogateescape") == value
    promql.parse(f"up{{a={literal}}}")
