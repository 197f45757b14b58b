"""YAML text into nodes that remember their lines; strict and bounded.

Rule files are half-trusted: a person who may edit a ConfigMap must not be able to exhaust or
confuse the server. Refused: more than 1 MiB, text that is not UTF-8, nesting deeper than 50,
aliases and merge keys (an alias bomb is 2 ms to load and an explosion to walk), repeated keys, keys
that are not scalars, a second document, tags that ask for another type. Scalars are not turned into
numbers here: the reader of a field decides by the field's type, as yaml.v2 does for the predecessor
(`pkg/config/loader.go`). libyaml's events are composed here, because PyYAML's own composer recurses
without a bound.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import yaml

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.core import diagnostics

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 50
MAX_KEY: Final = 200
MAX_REPEATED: Final = 100  # repeated keys that are reported
_TAGS: Final = frozenset(
    (None, "!", *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq")))
)
_NOT_PRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)
_NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))
# libyaml where PyYAML was built with it; the pure-Python loader gives the same events, slower.
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text as written, without a type yet.

    Attributes:
        line: 1-based.
        plain: not quoted and not a block: may mean null, a boolean or a number.
        literal: a `|` block, whose lines stand in the file as they stand in the value.
    """

    value: str
    line: int
    plain: bool = False
    literal: bool = False

    @property
    def null(self) -> bool:
        return self.plain and self.value in _NULLS

    def line_at(self, offset: int) -> int:
        """The line of a character of the value, as exactly as the style allows."""
        if not self.literal or offset < 0:
            return self.line
        return self.line + 1 + self.value.rstrip("\n").count("\n", 0, offset)


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping with its value; the line is the key's."""

    key: str
    line: int
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    entries: tuple[Entry, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Node, ...]
    line: int


Node = Scalar | Mapping | Sequence


@dataclass(frozen=True, slots=True)
class Document:
    """A loaded text.

    Attributes:
        diagnostics: repeated keys; of each the first value is kept, so that reading goes on and
            reports everything at once. A document with any must not be used.
    """

    root: Node
    diagnostics: tuple[Diagnostic, ...]


class _Refused(Exception):
    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.diagnostic = diagnostics.NOT_YAML.at(message, line=line)


def load(text: bytes, source: str) -> Document:
    """The only document of a YAML text; an empty text is a null scalar.

    Raises:
        ConfigError: not YAML, or beyond the bounds.
    """
    try:
        composer = _Composer(_decode(text))
        return Document(composer.document(), tuple(composer.repeated))
    except _Refused as error:
        raise ConfigError(source, (error.diagnostic,)) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        message = ", ".join(part for part in (error.problem, error.context) if part)
        line = mark.line + 1 if mark else 0
        diagnostic = diagnostics.NOT_YAML.at(f"is not YAML: {message}", line=line)
        raise ConfigError(source, (diagnostic,)) from error


def _decode(text: bytes) -> str:
    if len(text) > MAX_BYTES:
        raise _Refused(f"is longer than {MAX_BYTES} bytes", 0)
    try:
        decoded = text.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _Refused("is not UTF-8", text.count(b"\n", 0, error.start) + 1) from error
    found = _NOT_PRINTABLE.search(decoded)
    if found:
        line = decoded.count("\n", 0, found.start()) + 1
        raise _Refused(f"holds the control character U+{ord(found.group()):04X}", line)
    return decoded


class _Composer:
    """Events to nodes; depth is counted before it is descended into."""

    def __init__(self, text: str) -> None:
        self._loader = _LOADER(text)
        self.repeated: list[Diagnostic] = []

    def document(self) -> Node:
        try:
            return self._only_document()
        finally:
            self._loader.dispose()

    def _only_document(self) -> Node:
        self._next()  # stream start
        if isinstance(self._loader.peek_event(), yaml.StreamEndEvent):
            return Scalar("", 1, plain=True)
        node = self._document()
        while not isinstance(self._loader.peek_event(), yaml.StreamEndEvent):
            more = self._document()
            # A closing `---`, as templating tools leave it, is an empty second document.
            if not (isinstance(more, Scalar) and more.null):
                raise _Refused("holds more than one document: only one can be used", more.line)
        return node

    def _document(self) -> Node:
        self._next()  # document start
        node = self._node(self._next(), 0)
        self._next()  # document end
        return node

    def _next(self) -> Any:
        return self._loader.get_event()

    def _node(self, event: Any, depth: int) -> Node:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise _Refused("aliases are not allowed: write the value out", line)
        if event.tag not in _TAGS:
            raise _Refused(f"the tag {event.tag[:MAX_KEY]} is not allowed", line)
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style in (None, "") and event.tag is None
            return Scalar(event.value, line, plain=plain, literal=event.style == "|")
        if depth >= MAX_DEPTH:
            raise _Refused(f"is nested deeper than {MAX_DEPTH}", line)
        if isinstance(event, yaml.SequenceStartEvent):
            return Sequence(self._items(depth + 1), line)
        return Mapping(self._entries(depth + 1), line)

    def _items(self, depth: int) -> tuple[Node, ...]:
        items: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth))
        return tuple(items)

    def _entries(self, depth: int) -> tuple[Entry, ...]:
        entries: dict[str, Entry] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._node(event, depth)
            if not isinstance(key, Scalar):
                raise _Refused("a key must be a word, not a list or a mapping", key.line)
            if len(key.value) > MAX_KEY:
                raise _Refused(f"a key is longer than {MAX_KEY} characters", key.line)
            if key.plain and key.value == "<<":
                raise _Refused("merge keys (<<) are not allowed: write the keys out", key.line)
            value = self._node(self._next(), depth)
            first = entries.setdefault(key.value, Entry(key.value, key.line, value))
            if first.value is not value and len(self.repeated) < MAX_REPEATED:
                message = f"the key {key.value} is there already, in line {first.line}"
                self.repeated.append(diagnostics.REPEATED_KEY.at(message, line=key.line))
        return tuple(entries.values())
