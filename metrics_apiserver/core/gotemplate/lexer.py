"""Template text into tokens: plain text, and what stands between `<<` and `>>`.

Follows Go's `text/template/parse/lex.go`, trim markers and comments included. Complex constants
are refused. Tokens are made on demand, so that the fault reported is the first one in the text.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NoReturn

from metrics_apiserver.base import strconv
from metrics_apiserver.base.errors import TemplateError

LEFT_DELIMITER: Final = "<<"
RIGHT_DELIMITER: Final = ">>"

_SPACES: Final = " \t\r\n"
_LEFT_TRIM: Final = re.compile(r"-(?=[ \t\r\n])")
_RIGHT: Final = re.compile(r"(?P<trim>[ \t\r\n]-)?>>")
_TRAILING_SPACE: Final = re.compile(r"[ \t\r\n]+")
_TERMINATORS: Final = frozenset(" \t\r\n.,|:)(")
_KEYWORDS: Final = frozenset(
    {"block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template"}
    | {"with"}
)
_TOKEN: Final = re.compile(
    r"""
    (?P<SPACE>[ \t\r\n]+(?!->>))
    |(?P<DECLARE>:=)
    |(?P<ASSIGN>=)
    |(?P<PIPE>\|)
    |(?P<STRING>"(?:[^"\\\n]|\\[^\n])*"|`[^`]*`)
    |(?P<CHARACTER>'(?:[^'\\\n]|\\[^\n])*')
    |(?P<VARIABLE>\$\w*)
    |(?P<NUMBER>(?=[-+0-9]|\.[0-9])[-+]?
        (?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][-+]?[0-9_]*)?
        |0[oO][0-7_]*(?:\.[0-7_]*)?
        |0[bB][01_]*(?:\.[01_]*)?
        |[0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9_]*)?)i?)
    |(?P<FIELD>\.\w*)
    |(?P<IDENTIFIER>\w+)
    |(?P<LEFT_PAREN>\()
    |(?P<RIGHT_PAREN>\))
    |(?P<SIGN>[!-~])
    """,
    re.VERBOSE,
)
_UNTERMINATED: Final = {
    '"': "unterminated quoted string",
    "`": "unterminated raw quoted string",
    "'": "unterminated character constant",
    ":": "expected :=",
}


class TokenKind(Enum):
    """What a token is; SIGN is any other printable ASCII character."""

    TEXT = auto()
    LEFT = auto()
    RIGHT = auto()
    SPACE = auto()
    DECLARE = auto()
    ASSIGN = auto()
    PIPE = auto()
    STRING = auto()
    CHARACTER = auto()
    VARIABLE = auto()
    NUMBER = auto()
    DOT = auto()
    FIELD = auto()
    BOOL = auto()
    KEYWORD = auto()
    IDENTIFIER = auto()
    LEFT_PAREN = auto()
    RIGHT_PAREN = auto()
    SIGN = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the template.

    Attributes:
        text: as written, but for TEXT already trimmed; empty for END.
        offset: 0-based character offset into the template.
    """

    kind: TokenKind
    text: str
    offset: int

    def __str__(self) -> str:
        """As error messages name it."""
        if self.kind is TokenKind.END:
            return "EOF"
        if self.kind is TokenKind.KEYWORD:
            return f"<{self.text}>"
        return strconv.quote(self.text if len(self.text) <= 20 else f"{self.text[:20]}...")


def lex(text: str) -> Iterator[Token]:
    """The tokens of a template, the last one END.

    Raises:
        TemplateError: while iterating, at the first character that fits nowhere.
    """
    position = 0
    while (left := text.find(LEFT_DELIMITER, position)) >= 0:
        inner = left + len(LEFT_DELIMITER)
        trimmed = _LEFT_TRIM.match(text, inner)
        plain = text[position:left]
        plain = plain.rstrip(_SPACES) if trimmed else plain
        if plain:
            yield Token(TokenKind.TEXT, plain, position)
        after_marker = inner + 2 if trimmed else inner
        if text.startswith("/*", after_marker):
            position = _skip_comment(text, after_marker)
            continue
        yield Token(TokenKind.LEFT, LEFT_DELIMITER, left)
        position = yield from _lex_action(text, after_marker)
    if position < len(text):
        yield Token(TokenKind.TEXT, text[position:], position)
    yield Token(TokenKind.END, "", len(text))


def _skip_comment(text: str, start: int) -> int:
    end = text.find("*/", start + 2)
    if end < 0:
        _fail("unclosed comment", start)
    right = _RIGHT.match(text, end + 2)
    if right is None:
        _fail("comment ends before closing delimiter", end)
    return _after_right(text, right)


def _after_right(text: str, right: re.Match[str]) -> int:
    following = _TRAILING_SPACE.match(text, right.end()) if right["trim"] else None
    return following.end() if following else right.end()


def _lex_action(text: str, position: int) -> Generator[Token, None, int]:
    """Tokens up to and with the closing delimiter; returns the place where plain text goes on."""
    depth = 0
    while (right := _RIGHT.match(text, position)) is None:
        token = _next_token(text, position)
        depth += (token.kind is TokenKind.LEFT_PAREN) - (token.kind is TokenKind.RIGHT_PAREN)
        if depth < 0:
            _fail("unexpected right paren", position)
        yield token
        position += len(token.text)
    if depth:
        _fail("unclosed left paren", position)
    yield Token(TokenKind.RIGHT, RIGHT_DELIMITER, position)
    return _after_right(text, right)


def _next_token(text: str, position: int) -> Token:
    match = _TOKEN.match(text, position)
    if match is None:
        if position == len(text):
            _fail("unclosed action", position)
        _fail(f"unrecognized character in action: {_named(text[position])}", position)
    kind, word = TokenKind[match.lastgroup or "END"], match[0]
    if kind is TokenKind.SIGN and word in _UNTERMINATED:
        _fail(_UNTERMINATED[word], position)
    if kind is TokenKind.NUMBER:
        _check_number(text, match)
    elif kind in (TokenKind.VARIABLE, TokenKind.FIELD, TokenKind.IDENTIFIER):
        _check_word(text, match)
        kind = _word_kind(kind, word)
    return Token(kind, word, position)


def _word_kind(kind: TokenKind, word: str) -> TokenKind:
    if word == ".":
        return TokenKind.DOT
    if kind is TokenKind.IDENTIFIER and word in ("true", "false"):
        return TokenKind.BOOL
    return TokenKind.KEYWORD if kind is TokenKind.IDENTIFIER and word in _KEYWORDS else kind


def _check_number(text: str, match: re.Match[str]) -> None:
    following = text[match.end() : match.end() + 1]
    if match[0].endswith("i"):
        _fail("complex constants are not supported", match.start())
    if _is_word_character(following) or following in ("+", "-"):
        _fail(f"bad number syntax: {strconv.quote(match[0] + following)}", match.start())


def _check_word(text: str, match: re.Match[str]) -> None:
    """Go knows fewer letters and digits than `re`, and few characters that may follow a word."""
    word = match[0].lstrip(".$")
    for index, char in enumerate(word, match.end() - len(word)):
        if not _is_word_character(char):
            _fail(f"bad character {_named(char)}", index)
    end = match.end()
    if end < len(text) and text[end] not in _TERMINATORS and not _RIGHT.match(text, end):
        _fail(f"bad character {_named(text[end])}", end)


def _is_word_character(char: str) -> bool:
    return char == "_" or char.isalpha() or char.isdecimal()


def _named(char: str) -> str:
    shown = f" '{char}'" if char.isprintable() else ""
    return f"U+{ord(char):04X}{shown}"


def _fail(message: str, offset: int) -> NoReturn:
    raise TemplateError(message, offset=offset, syntax=True)
