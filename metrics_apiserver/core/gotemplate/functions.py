"""The functions that templates may call: Go's built-in ones, but for `call`.

Follows `text/template/funcs.go`; faults carry its words. `and` and `or` evaluate their arguments
themselves and so live with the nodes; here is only how many they take.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate import formatting
from metrics_apiserver.core.gotemplate.values import (
    NO_VALUE,
    Byte,
    Value,
    bounded,
    decode,
    encode,
    is_true,
    kind,
    length,
    type_name,
)

_ORDERED: Final = frozenset({"string", "int", "uint8", "float64"})
_COMPARABLE: Final = _ORDERED | {"bool"}
_INTEGERS: Final = frozenset({"int", "uint8"})
_JS_ESCAPES: Final = {
    "\\": "\\\\",
    "'": "\\'",
    '"': '\\"',
    "<": "\\u003C",
    ">": "\\u003E",
    "&": "\\u0026",
    "=": "\\u003D",
}


@dataclass(frozen=True, slots=True)
class Function:
    """A callable with the number of arguments it takes.

    Attributes:
        call: takes the evaluated arguments; None where the node itself evaluates them.
        most: None where there is no upper limit.
    """

    call: Callable[[Sequence[Value]], Value] | None
    least: int = 1
    most: int | None = None


def _index(arguments: Sequence[Value]) -> Value:
    item = arguments[0]
    if item is NO_VALUE:
        raise TemplateError("index of untyped nil")
    for index in arguments[1:]:
        item = _index_once(item, index)
    return item


def _index_once(item: Value, index: Value) -> Value:
    match item:
        case str():
            octets = encode(item)
            return Byte(octets[_position(index, len(octets) - 1)])
        case Mapping():
            if not isinstance(index, str):
                raise TemplateError(f"value has type {type_name(index)}; should be string")
            return item.get(index, "")
        case Sequence():
            return item[_position(index, len(item) - 1)]
        case _:
            raise TemplateError(f"can't index item of type {type_name(item)}")


def _position(index: Value, last: int) -> int:
    if not isinstance(index, int) or isinstance(index, bool):
        raise TemplateError(f"cannot index slice/array with type {type_name(index)}")
    if not 0 <= index <= last:
        raise TemplateError(f"index out of range: {index}")
    return index


def _slice(arguments: Sequence[Value]) -> Value:
    item, indexes = arguments[0], arguments[1:]
    match item:
        case str():
            if len(indexes) == 3:
                raise TemplateError("cannot 3-index slice a string")
            start, end, _ = _bounds(indexes, length(item))
            return decode(encode(item)[start:end])
        case Sequence():
            start, end, _ = _bounds(indexes, len(item))
            return item[start:end]
        case _:
            raise TemplateError(f"can't slice item of type {type_name(item)}")


def _bounds(indexes: Sequence[Value], size: int) -> tuple[int, int, int]:
    """Start, end and capacity; Go lets a slice grow into its capacity, which here is its length."""
    given = [_position(index, size) for index in indexes]
    start, end, capacity = (*given, *(0, size, size)[len(given) :])
    for lower, upper in ((start, end), (end, capacity)):
        if lower > upper:
            raise TemplateError(f"invalid slice index: {lower} > {upper}")
    return start, end, capacity


def _len(arguments: Sequence[Value]) -> Value:
    match arguments[0]:
        case str() as text:
            return length(text)
        case Mapping() | Sequence() as items:
            return len(items)
        case other:
            raise TemplateError(f"len of type {type_name(other)}")


def _not(arguments: Sequence[Value]) -> Value:
    return not is_true(arguments[0])


def _eq(arguments: Sequence[Value]) -> Value:
    return any(_equal(arguments[0], other) for other in arguments[1:])


def _equal(left: Value, right: Value) -> bool:
    kinds = {kind(left), kind(right)}
    if "nil" in kinds:
        return len(kinds) == 1
    if len(kinds) > 1 and not kinds <= _INTEGERS:
        raise _incompatible(left, right)
    if not kinds <= _COMPARABLE:
        raise TemplateError(f"non-comparable type {type_name(left)}")
    return left == right


def _incompatible(left: Value, right: Value) -> TemplateError:
    types = f"{type_name(left)} and {type_name(right)}"
    return TemplateError(f"incompatible types for comparison: {types}")


def _compare(left: Value, right: Value) -> int:
    """Negative, zero or positive as the left value is less, equal or greater."""
    kinds = {kind(left), kind(right)}
    if not kinds <= _ORDERED:
        raise TemplateError("invalid type for comparison")
    if isinstance(left, str) and isinstance(right, str):
        first, second = encode(left), encode(right)
        return (first > second) - (first < second)
    same = len(kinds) == 1 or kinds <= _INTEGERS
    if same and isinstance(left, int | float) and isinstance(right, int | float):
        return (left > right) - (left < right)
    raise _incompatible(left, right)


def _printf(arguments: Sequence[Value]) -> Value:
    template = arguments[0]
    if not isinstance(template, str):
        wrong = type_name(template)
        raise TemplateError(f"wrong type for value; expected string; got {wrong}")
    return formatting.sprintf(template, arguments[1:])


def _joined(arguments: Sequence[Value]) -> str:
    """The one text that the escaping functions escape."""
    return formatting.sprint(["<no value>" if a is NO_VALUE else a for a in arguments])


def _html(arguments: Sequence[Value]) -> Value:
    text = html.escape(_joined(arguments).replace("\x00", "\ufffd"))
    return bounded(text.replace("&quot;", "&#34;").replace("&#x27;", "&#39;"))


def _js(arguments: Sequence[Value]) -> Value:
    return bounded("".join(map(_js_char, _joined(arguments))))


def _js_char(char: str) -> str:
    if char in _JS_ESCAPES:
        return _JS_ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if char.isascii() and code >= 0x20:
        return char
    return f"\\u{0xFFFD if 0xD800 <= code <= 0xDFFF else code:04X}"


def _urlquery(arguments: Sequence[Value]) -> Value:
    return bounded(quote_plus(encode(_joined(arguments))))


FUNCTIONS: Final[Mapping[str, Function]] = {
    "and": Function(None),
    "or": Function(None),
    "not": Function(_not, 1, 1),
    "eq": Function(_eq, 2),
    "ne": Function(lambda a: not _equal(a[0], a[1]), 2, 2),
    "lt": Function(lambda a: _compare(a[0], a[1]) < 0, 2, 2),
    "le": Function(lambda a: _compare(a[0], a[1]) <= 0, 2, 2),
    "gt": Function(lambda a: _compare(a[0], a[1]) > 0, 2, 2),
    "ge": Function(lambda a: _compare(a[0], a[1]) >= 0, 2, 2),
    "index": Function(_index),
    "slice": Function(_slice, 1, 4),
    "len": Function(_len, 1, 1),
    "print": Function(formatting.sprint, 0),
    "println": Function(formatting.sprintln, 0),
    "printf": Function(_printf),
    "html": Function(_html, 0),
    "js": Function(_js, 0),
    "urlquery": Function(_urlquery, 0),
}
