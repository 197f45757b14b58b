from __future__ import annotations

from metrics_apiserver.core.gotemplate.cursor import Cursor
from metrics_apiserver.core.gotemplate.lexer import TokenKind, lex


def test_reading_back_and_forth() -> None:
    cursor = Cursor(lex("<< .A>>"))
    assert cursor.next().kind is TokenKind.LEFT
    assert cursor.next().kind is TokenKind.SPACE
    cursor.back()
    assert cursor.peek_solid().text == ".A"
    assert cursor.next_solid().text == ".A"
    cursor.index = 0
    assert cursor.next().kind is TokenKind.LEFT


def test_the_source_is_read_no_further_than_needed() -> None:
    cursor = Cursor(lex("<<.A \x01"))
    assert [cursor.next().kind for _ in range(2)] == [TokenKind.LEFT, TokenKind.FIELD]
