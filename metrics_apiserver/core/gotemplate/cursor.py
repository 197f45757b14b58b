"""Tokens with a place among them that moves back as well as forth.

Reads its source no further than it must, so that a fault of the parser comes before a fault of the
lexer that lies behind it.
"""

from __future__ import annotations

from collections.abc import Iterator

from metrics_apiserver.core.gotemplate.lexer import Token, TokenKind


class Cursor:
    """A place among tokens.

    Attributes:
        index: number of the token that `next` returns.
    """

    def __init__(self, source: Iterator[Token]) -> None:
        self.index = 0
        self._source = source
        self._tokens: list[Token] = []

    def next(self) -> Token:
        """The next token; never called after END has been returned."""
        if self.index == len(self._tokens):
            self._tokens.append(next(self._source))
        self.index += 1
        return self._tokens[self.index - 1]

    def next_solid(self) -> Token:
        """The next token that is no space."""
        while (token := self.next()).kind is TokenKind.SPACE:
            pass
        return token

    def peek_solid(self) -> Token:
        """The next token that is no space, which stays the next one."""
        token = self.next_solid()
        self.back()
        return token

    def back(self) -> None:
        """Un-reads the last token."""
        self.index -= 1
