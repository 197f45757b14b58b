from __future__ import annotations

import pytest

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate.lexer import Token, TokenKind, lex


def tokens(text: str) -> list[tuple[str, str, int]]:
    return [(token.kind.name, token.text, token.offset) for token in lex(text)]


def inside(text: str) -> list[tuple[str, str]]:
    """Kinds and texts of what stands between the delimiters."""
    found = tokens(f"<<{text}>>")
    assert found[0][0] == "LEFT"
    assert [kind for kind, _, _ in found[-2:]] == ["RIGHT", "END"]
    return [(kind, word) for kind, word, _ in found[1:-2]]


def test_plain_text() -> None:
    assert tokens("") == [("END", "", 0)]
    assert tokens("a > b < c") == [("TEXT", "a > b < c", 0), ("END", "", 9)]


def test_offsets() -> None:
    assert tokens("é<<.A>> b") == [
        ("TEXT", "é", 0),
        ("LEFT", "<<", 1),
        ("FIELD", ".A", 3),
        ("RIGHT", ">>", 5),
        ("TEXT", " b", 7),
        ("END", "", 9),
    ]


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("a <<- 1 ->> b", ["a", "b"]),
        ("a \n<<- 1>> b", ["a", " b"]),
        ("a <<1 ->>\n b", ["a ", "b"]),
        ("a <<1   ->>\n b", ["a ", "b"]),
        (" <<- 1 ->> ", []),
        ("a <</* c */>> b", ["a ", " b"]),
        ("a <<- /* c */ ->> b", ["a", "b"]),
        ("<</* << >> */>>", []),
        ("a <<-1>> b", ["a ", " b"]),
    ],
)
def test_trim_markers_and_comments(text: str, texts: list[str]) -> None:
    assert [word for kind, word, _ in tokens(text) if kind == "TEXT"] == texts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" .A ", [("SPACE", " "), ("FIELD", ".A"), ("SPACE", " ")]),
        (".A.é_1", [("FIELD", ".A"), ("FIELD", ".é_1")]),
        (". .", [("DOT", "."), ("SPACE", " "), ("DOT", ".")]),
        ("..A", [("DOT", "."), ("FIELD", ".A")]),
        ("$|$x", [("VARIABLE", "$"), ("PIPE", "|"), ("VARIABLE", "$x")]),
        ("$x:=1", [("VARIABLE", "$x"), ("DECLARE", ":="), ("NUMBER", "1")]),
        (
            "$x = 1",
            [("VARIABLE", "$x"), ("SPACE", " "), ("ASSIGN", "="), ("SPACE", " "), ("NUMBER", "1")],
        ),
        ("(a)", [("LEFT_PAREN", "("), ("IDENTIFIER", "a"), ("RIGHT_PAREN", ")")]),
        ("true false", [("BOOL", "true"), ("SPACE", " "), ("BOOL", "false")]),
        ("nil,if", [("KEYWORD", "nil"), ("SIGN", ","), ("KEYWORD", "if")]),
        ('"a\\">>"', [("STRING", '"a\\">>"')]),
        ("`a\n\\`", [("STRING", "`a\n\\`")]),
        ("'\\''", [("CHARACTER", "'\\''")]),
        ("-1.5e+3", [("NUMBER", "-1.5e+3")]),
        ("0x_1F.8p-1", [("NUMBER", "0x_1F.8p-1")]),
        (
            "0b1 0o7 .5",
            [
                ("NUMBER", "0b1"),
                ("SPACE", " "),
                ("NUMBER", "0o7"),
                ("SPACE", " "),
                ("NUMBER", ".5"),
            ],
        ),
        ("+", [("NUMBER", "+")]),
        ("<!", [("SIGN", "<"), ("SIGN", "!")]),
    ],
)
def test_inside_actions(text: str, found: list[tuple[str, str]]) -> None:
    assert inside(text) == found


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("<<", "unclosed action", 2),
        ("<<1", "unclosed action", 3),
        ("a<<(1>>", "unclosed left paren", 5),
        ("<<1)>>", "unexpected right paren", 3),
        ("<</* a", "unclosed comment", 2),
        ("<</* a */ b>>", "comment ends before closing delimiter", 7),
        ('<<"a', "unterminated quoted string", 2),
        ('<<"a\n">>', "unterminated quoted string", 2),
        ("<<`a", "unterminated raw quoted string", 2),
        ("<<'a", "unterminated character constant", 2),
        ("<<:", "expected :=", 2),
        ("<<é~\x01>>", "bad character U+007E '~'", 3),
        ("<<\x01>>", "unrecognized character in action: U+0001", 2),
        ("<<€>>", "unrecognized character in action: U+20AC '€'", 2),
        ("<<.A@>>", "bad character U+0040 '@'", 4),
        ("<<.²>>", "bad character U+00B2 '²'", 3),
        ("<<$x²>>", "bad character U+00B2 '²'", 4),
        ("<<1a>>", 'bad number syntax: "1a"', 2),
        ("<<1+2>>", 'bad number syntax: "1+"', 2),
        ("<<2i>>", "complex constants are not supported", 2),
    ],
)
def test_errors(text: str, message: str, offset: int) -> None:
    with pytest.raises(TemplateError) as caught:
        list(lex(text))
    assert (caught.value.message, caught.value.offset) == (message, offset)


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (Token(TokenKind.END, "", 0), "EOF"),
        (Token(TokenKind.KEYWORD, "end", 0), "<end>"),
        (Token(TokenKind.SIGN, ",", 0), '","'),
        (Token(TokenKind.TEXT, "x" * 21, 0), f'"{"x" * 20}..."'),
    ],
)
def test_tokens_in_messages(token: Token, shown: str) -> None:
    assert str(token) == shown
