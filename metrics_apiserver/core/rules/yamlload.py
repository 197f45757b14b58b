"""YAML text into nodes that remember their lines; strict and bounded.

Rule files are half-trusted: a person who may edit a ConfigMap must not be able to exhaust or
confuse the server. Refused: more than 1 MiB, text that is not UTF-8, nesting deeper than 50, more
than 100 000 values repeated by aliases (an alias bomb is 2 ms to load and an explosion to walk),
repeated keys, keys that are not scalars, a second document, tags that ask for another type. Merge
keys (`<<`) mean what they mean to yaml.v2. Scalars are not turned into numbers here: the reader of
a field decides by the field's type, as yaml.v2 does for the predecessor (`pkg/config/loader.go`).
libyaml's events are composed here, because PyYAML's own composer recurses without a bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import yaml

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.core import diagnostics

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 50
MAX_KEY: Final = 200
MAX_NODES: Final = 100_000  # that aliases may repeat
# Keys whose values are mappings that a merge key and a later key fill together.
_JOINED: Final = frozenset(("resources", "overrides", "name", "resourceRules", "cpu", "memory"))
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


@dataclass(slots=True)
class _Anchored:
    """A value that aliases may repeat; its nodes and levels are counted for the first of them."""

    node: Node
    size: int = 0
    height: int = 0


def _measure(node: Node) -> tuple[int, int]:
    """How many nodes and levels there are, aliases written out."""
    inner: Iterable[Node] = ()
    if isinstance(node, Mapping):
        inner = (entry.value for entry in node.entries)
    elif isinstance(node, Sequence):
        inner = node.items
    size, height = 1, 0
    for one in inner:
        more, levels = _measure(one)
        size += more
        height = max(height, levels + 1)
    return size, height


class _Composer:
    """Events to nodes; depth is counted before it is descended into."""

    def __init__(self, text: str) -> None:
        self._loader = _LOADER(text)
        self._anchors: dict[str, _Anchored | None] = {}  # None while the value is being read
        self._repeated_nodes = 0
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
        if isinstance(event, yaml.AliasEvent) and event.anchor:
            return self._aliased(event.anchor, line, depth)
        if event.anchor is None:
            return self._value(event, line, depth)
        self._anchors[event.anchor] = None
        node = self._value(event, line, depth)
        self._anchors[event.anchor] = _Anchored(node)
        return node

    def _aliased(self, name: str, line: int, depth: int) -> Node:
        """The value that an alias repeats, within the budget."""
        shown = name[:MAX_KEY]
        if name not in self._anchors:
            raise _Refused(f"the alias *{shown} has no anchor before it", line)
        anchored = self._anchors[name]
        if anchored is None:
            raise _Refused(f"the alias *{shown} stands inside its own value", line)
        if not anchored.size:
            anchored.size, anchored.height = _measure(anchored.node)
        if depth + anchored.height > MAX_DEPTH:
            raise _Refused(f"is nested deeper than {MAX_DEPTH}", line)
        self._repeated_nodes += anchored.size
        if self._repeated_nodes > MAX_NODES:
            raise _Refused(f"repeats more than {MAX_NODES} values by its aliases", line)
        return anchored.node

    def _value(self, event: Any, line: int, depth: int) -> Node:
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
        own: dict[str, int] = {}  # keys that are not merged in, with their lines
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._node(event, depth)
            if not isinstance(key, Scalar):
                raise _Refused("a key must be a word, not a list or a mapping", key.line)
            if len(key.value) > MAX_KEY:
                raise _Refused(f"a key is longer than {MAX_KEY} characters", key.line)
            value = self._node(self._next(), depth)
            if key.plain and key.value == "<<":
                self._merge(entries, value, key.line)
                continue
            if key.value in own:
                message = f"the key {key.value} is there already, in line {own[key.value]}"
                self._report_repeated(message, key.line)
                continue
            own[key.value] = key.line
            self._put(entries, Entry(key.value, key.line, value))
        return tuple(entries.values())

    def _merge(self, entries: dict[str, Entry], value: Node, line: int) -> None:
        """What a merge key names: a mapping, or a list of them of which the first counts most."""
        for mapping in reversed(value.items) if isinstance(value, Sequence) else (value,):
            if not isinstance(mapping, Mapping):
                raise _Refused("a merge key (<<) needs a mapping, or a list of them", line)
            for entry in mapping.entries:
                self._put(entries, entry)

    def _put(self, entries: dict[str, Entry], entry: Entry) -> None:
        """The later entry counts, as in yaml.v2, and mappings that are Go structs are joined."""
        earlier = entries.get(entry.key)
        value = entry.value
        before = earlier.value if earlier and entry.key in _JOINED else None
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            inner = {one.key: one for one in before.entries}
            for one in value.entries:
                if entry.key == "overrides" and one.key in inner:
                    message = f"the key {one.key} is there already, by a merge key (<<)"
                    self._report_repeated(message, one.line)
                self._put(inner, one)
            value = Mapping(tuple(inner.values()), value.line)
        entries[entry.key] = Entry(entry.key, entry.line, value)

    def _report_repeated(self, message: str, line: int) -> None:
        if len(self.repeated) < MAX_REPEATED:
            self.repeated.append(diagnostics.REPEATED_KEY.at(message, line=line))
