from __future__ import annotations

import pytest

from metrics_apiserver.base import strconv


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("", '""'),
        ("plain é 😀", '"plain é 😀"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ("\x00\x1f\x7f", r'"\x00\x1f\x7f"'),
        ("\x85\u2028", r'"\u0085\u2028"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("\udcff", r'"\xff"'),
        ("\ud800", r'"\xed\xa0\x80"'),
        ("a`b", '"a`b"'),
    ],
)
def test_quote(value: str, literal: str) -> None:
    assert strconv.quote(value) == literal


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ('""', ""),
        ("``", ""),
        ('"é😀"', "é😀"),
        ("`a\\n\r\nb`", "a\\n\nb"),
        (r'"\a\b\f\n\r\t\v\\\""', '\a\b\f\n\r\t\v\\"'),
        (r'"\101\x41\u0041\U00000041"', "AAAA"),
        (r'"\xc3\xa9"', "é"),
        (r'"\xff\377"', "\udcff\udcff"),
        ('"\udcff"', "\udcff"),
    ],
)
def test_unquote(literal: str, value: str) -> None:
    assert strconv.unquote(literal) == value


@pytest.mark.parametrize(
    "literal",
    [
        "",
        '"',
        "a",
        "'a'",
        '"a`',
        "`a`b`",
        '"a"b"',
        '"a\nb"',
        r'"\q"',
        r'"\'"',
        r'"\400"',
        r'"\x4"',
        r'"\ud800"',
        r'"\U00110000"',
        '"\\"',
        f'"{chr(55296)}"',
    ],
)
def test_what_is_no_string_literal(literal: str) -> None:
    with pytest.raises(ValueError, match=r"invalid syntax|surrogates"):
        strconv.unquote(literal)


@pytest.mark.parametrize(
    ("literal", "code"),
    [
        ("'a'", 97),
        ("'é'", 233),
        (r"'\n'", 10),
        (r"'\''", 39),
        (r"'\xff'", 255),
        (r"'\377'", 255),
        (r"'\u00e9'", 233),
        ("'\"'", 34),
    ],
)
def test_a_character_constant(literal: str, code: int) -> None:
    assert strconv.unquote_char(literal) == code


@pytest.mark.parametrize(
    ("literal", "words"),
    [
        ("''", "invalid syntax"),
        ("a", "invalid syntax"),
        ("'''", "invalid syntax"),
        ("'ab'", "malformed character constant: 'ab'"),
        (r"'\"'", "invalid syntax"),
        ("'\\'", "invalid syntax"),
        ('"ab"', "invalid syntax"),
        ("'ab", "invalid syntax"),
    ],
)
def test_what_is_no_character_constant(literal: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        strconv.unquote_char(literal)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-9223372036854775808", -(1 << 63)),
        ("+9223372036854775807", (1 << 63) - 1),
        ("007", 7),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("", None),
        ("-", None),
        ("1_0", None),
        (" 1", None),
        ("٣", None),
        ("1.0", None),
        ("0" * 65, None),
    ],
)
def test_parse_int(text: str, number: int | None) -> None:
    assert strconv.parse_int(text) == number
