"""Tokens into a tree of nodes, refusing at load what could never be rendered.

Follows Go's `text/template/parse/parse.go`. Refused beyond it, since Go would fail at every
rendering: unknown fields, wrong numbers of arguments, arguments given to what is no function.
Refused although Go accepts it: `define`, `template`, `block` and `call`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NoReturn

from metrics_apiserver.base import strconv
from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate import checks, numbers
from metrics_apiserver.core.gotemplate.cursor import Cursor
from metrics_apiserver.core.gotemplate.functions import FUNCTIONS
from metrics_apiserver.core.gotemplate.lexer import Token, TokenKind, lex
from metrics_apiserver.core.gotemplate.nodes import (
    Action,
    Branch,
    Break,
    Continue,
    Jump,
    Node,
    Range,
    Text,
)
from metrics_apiserver.core.gotemplate.operands import (
    Chain,
    Dot,
    FunctionCall,
    Literal,
    Operand,
    Pipeline,
    Variable,
)
from metrics_apiserver.core.gotemplate.state import fail
from metrics_apiserver.core.gotemplate.values import NO_VALUE, Value

_MAX_DEPTH: Final = 50
_CONTROLS: Final = ("if", "range", "with")
_JUMPS: Final[Mapping[str, type[Break | Continue]]] = {"break": Break, "continue": Continue}
_OPERANDS: Final = frozenset(
    {
        TokenKind.BOOL,
        TokenKind.CHARACTER,
        TokenKind.DOT,
        TokenKind.FIELD,
        TokenKind.IDENTIFIER,
        TokenKind.LEFT_PAREN,
    }
    | {TokenKind.NUMBER, TokenKind.STRING, TokenKind.VARIABLE}
)
_CONSTANTS: Final[Mapping[TokenKind, Callable[[str], Value]]] = {
    TokenKind.NUMBER: numbers.parse,
    TokenKind.STRING: strconv.unquote,
    TokenKind.CHARACTER: strconv.unquote_char,
}


class TemplateParser:
    """Recursive descent with as many tokens of look-back as needed.

    Attributes:
        fields: what the template reads of its data.
        branches: whether it has `if`, `with` or `range`.
    """

    def __init__(self, text: str, fields: Mapping[str, type]) -> None:
        self.fields = checks.Fields(fields)
        self.branches = False
        self._tokens = Cursor(lex(text))
        self._variables = ["$"]
        self._loops = 0
        self._depth = 0
        self._dot_is_data = True

    def parse(self) -> tuple[Node, ...]:
        """The nodes of the whole template.

        Raises:
            TemplateError: with the offset of the fault.
        """
        nodes, end = self._nodes()
        if end.kind is not TokenKind.END:
            _fail(f"unexpected <<{end.text}>>", end)
        return nodes

    def _expect_right(self, context: str) -> None:
        token = self._tokens.next_solid()
        if token.kind is not TokenKind.RIGHT:
            _unexpected(token, context)

    @contextmanager
    def _nested(self, token: Token) -> Iterator[None]:
        if self._depth == _MAX_DEPTH:
            _fail(f"nested more than {_MAX_DEPTH} levels deep", token)
        self._depth += 1
        yield
        self._depth -= 1

    def _nodes(self) -> tuple[tuple[Node, ...], Token]:
        """Nodes up to `end`, `else` or the end of the text, and that token."""
        nodes: list[Node] = []
        while (token := self._tokens.next()).kind is not TokenKind.END:
            if token.kind is TokenKind.TEXT:
                nodes.append(Text(token.offset, token.text))
                continue
            word = self._tokens.next_solid()
            if word.kind is TokenKind.KEYWORD and word.text in ("end", "else"):
                return tuple(nodes), word
            nodes.append(self._statement(word))
        return tuple(nodes), token

    def _statement(self, word: Token) -> Node:
        if word.kind is TokenKind.KEYWORD:
            if word.text in _CONTROLS:
                return self._control(word)
            if word.text in _JUMPS:
                return self._jump(word)
            if word.text != "nil":
                # Go knows it: the file is fine, but for the rule.
                fail(f"<<{word.text}>> is not supported", word.offset)
        self._tokens.back()
        return Action(self._pipeline("command", TokenKind.RIGHT))

    def _jump(self, word: Token) -> Node:
        self._expect_right(f"<<{word.text}>>")
        if not self._loops:
            _fail(f"<<{word.text}>> outside <<range>>", word)
        return Jump(_JUMPS[word.text])

    def _control(self, word: Token) -> Node:
        self.branches = True
        with self._nested(word):
            mark, outer = len(self._variables), self._dot_is_data
            pipeline = self._pipeline(word.text, TokenKind.RIGHT)
            self._dot_is_data = outer and word.text == "if"
            self._loops += word.text == "range"
            body, end = self._nodes()
            self._loops -= word.text == "range"
            self._dot_is_data = outer
            otherwise = self._otherwise(word, end)
            del self._variables[mark:]
        if word.text == "range":
            return Range(pipeline, body, otherwise)
        return Branch(pipeline, body, otherwise, changes_dot=word.text == "with")

    def _otherwise(self, word: Token, end: Token) -> tuple[Node, ...]:
        nodes: tuple[Node, ...] = ()
        if end.kind is TokenKind.KEYWORD and end.text == "else":
            following = self._tokens.next_solid()
            same = following.kind is TokenKind.KEYWORD and following.text == word.text != "range"
            if same:
                return (self._control(following),)
            if following.kind is not TokenKind.RIGHT:
                _unexpected(following, "else")
            nodes, end = self._nodes()
        if end.kind is TokenKind.END:
            _fail(f"unexpected EOF: <<{word.text}>> has no <<end>>", word)
        if end.text != "end":
            _fail(f"expected end; found <<{end.text}>>", end)
        self._expect_right("end")
        return nodes

    def _pipeline(self, context: str, end: TokenKind) -> Pipeline:
        start = self._tokens.peek_solid()
        variables, assigns = self._declaration(context)
        commands: list[Operand] = []
        while (token := self._tokens.next_solid()).kind is not end:
            if token.kind not in _OPERANDS and token.text != "nil":
                _unexpected(token, context)
            self._tokens.back()
            commands.append(self._command(token, piped=bool(commands)))
        if not commands:
            _fail(f"missing value for {context}", start)
        if not assigns:
            self._variables.extend(variables)
        calls = tuple(command for command in commands[1:] if isinstance(command, FunctionCall))
        return Pipeline(start.offset, commands[0], calls, variables, assigns)

    def _declaration(self, context: str) -> tuple[tuple[str, ...], bool]:
        """The names before `:=` or `=`, and whether it is `=`; reads nothing where none are."""
        names: list[str] = []
        while True:
            mark = self._tokens.index
            variable = self._tokens.next_solid()
            if variable.kind is not TokenKind.VARIABLE:
                break
            sign = self._tokens.next_solid()
            if sign.kind in (TokenKind.DECLARE, TokenKind.ASSIGN):
                names.append(variable.text)
                self._check_targets(names, sign)
                return tuple(names), sign.kind is TokenKind.ASSIGN
            if sign.text != ",":
                break
            names.append(variable.text)
            if context != "range" or len(names) > 1:
                _fail(f"too many declarations in {context}", sign)
        if names:
            _fail("range can only initialize variables", variable)
        self._tokens.index = mark
        return (), False

    def _check_targets(self, names: list[str], sign: Token) -> None:
        for name in names:
            if name == "$":
                _fail("cannot assign to $", sign)
            if sign.kind is TokenKind.ASSIGN and name not in self._variables:
                _fail(f"undefined variable: {name}", sign)

    def _command(self, start: Token, *, piped: bool) -> Operand:
        """One command of a pipeline, with the `|` after it if there is one."""
        words: list[Operand] = []
        while True:
            operand = self._operand()
            if operand is not None:
                words.append(operand)
            token = self._tokens.next()
            if token.kind in (TokenKind.RIGHT, TokenKind.RIGHT_PAREN):
                self._tokens.back()
                break
            if token.kind is TokenKind.PIPE:
                break
            if token.kind is not TokenKind.SPACE:
                _unexpected(token, "operand")
        head = words[0]
        checks.check_command(words, piped=piped)
        if isinstance(head, Literal) and head.value is NO_VALUE:
            _fail("nil is not a command", start)
        if isinstance(head, FunctionCall):
            return FunctionCall(head.offset, head.name, tuple(words[1:]))
        return head

    def _operand(self) -> Operand | None:
        """A term with the fields written right after it; None where no term stands."""
        token = self._tokens.next_solid()
        if token.kind not in _OPERANDS and token.text != "nil":
            self._tokens.back()
            return None
        if token.kind is TokenKind.FIELD:
            return self._dot(token, (token.text[1:], *self._names()))
        if token.kind is TokenKind.VARIABLE:
            return self._variable(token, self._names())
        operand = self._term(token)
        names = self._names()
        if not names:
            return operand
        if not isinstance(operand, FunctionCall | Pipeline):
            _fail(f"unexpected . after term {strconv.quote(token.text)}", token)
        if isinstance(operand, FunctionCall):
            checks.check_command([operand], piped=False)
        return Chain(token.offset, operand, names)

    def _names(self) -> tuple[str, ...]:
        names: list[str] = []
        while (token := self._tokens.next()).kind is TokenKind.FIELD:
            names.append(token.text[1:])
        self._tokens.back()
        return tuple(names)

    def _dot(self, token: Token, names: tuple[str, ...]) -> Operand:
        if self._dot_is_data:
            self.fields.use(names, token.offset)
        return Dot(token.offset, names)

    def _variable(self, token: Token, names: tuple[str, ...]) -> Operand:
        if token.text not in self._variables:
            _fail(f"undefined variable {strconv.quote(token.text)}", token)
        if token.text == "$":
            self.fields.use(names, token.offset)
        return Variable(token.offset, token.text, names)

    def _term(self, token: Token) -> Operand:
        match token.kind:
            case TokenKind.DOT:
                return self._dot(token, ())
            case TokenKind.LEFT_PAREN:
                with self._nested(token):
                    return self._pipeline("parenthesized pipeline", TokenKind.RIGHT_PAREN)
            case TokenKind.IDENTIFIER:
                if token.text not in FUNCTIONS:
                    _fail(f"function {strconv.quote(token.text)} not defined", token)
                return FunctionCall(token.offset, token.text)
            case TokenKind.KEYWORD:
                return Literal(token.offset, NO_VALUE)
            case TokenKind.BOOL:
                return Literal(token.offset, token.text == "true")
            case _:
                return _constant(token)


def _constant(token: Token) -> Literal:
    try:
        return Literal(token.offset, _CONSTANTS[token.kind](token.text))
    except ValueError as error:
        _fail(str(error), token)


def _unexpected(token: Token, context: str) -> NoReturn:
    _fail(f"unexpected {token} in {context}", token)


def _fail(message: str, token: Token) -> NoReturn:
    raise TemplateError(message, offset=token.offset, syntax=True)
