"""The values that templates handle, as Go's reflection sees them.

A template's data is a struct of strings, `[]string` and `map[string]string`; its constants add
int, float64 and bool, and `index` of a string gives a uint8. Strings are measured and cut in
UTF-8 bytes, as in Go; half a character stands as `surrogateescape`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias

from metrics_apiserver.base.errors import TemplateError

MAX_BYTES: Final = 64 * 1024


class Byte(int):
    """A uint8, which prints as a number but is no int to comparisons and types."""


class Missing(Enum):
    """Go's invalid value: nil, or the value of a map key that is not there."""

    NO_VALUE = "<no value>"


NO_VALUE: Final = Missing.NO_VALUE


@dataclass(frozen=True, slots=True)
class Struct:
    """The data of one rendering; fields in the order in which Go declares them."""

    fields: Mapping[str, str | Sequence[str] | Mapping[str, str]]


Value: TypeAlias = str | bool | int | float | Sequence[str] | Mapping[str, str] | Struct | Missing
Kind = Literal["string", "bool", "int", "uint8", "float64", "slice", "map", "struct", "nil"]

_KINDS: Final[tuple[tuple[type, Kind], ...]] = (
    (str, "string"),
    (bool, "bool"),
    (Byte, "uint8"),
    (int, "int"),
    (float, "float64"),
    (Mapping, "map"),
    (Struct, "struct"),
    (Missing, "nil"),
)
_TYPE_NAMES: Final[dict[Kind, str]] = {
    "slice": "[]string",
    "map": "map[string]string",
    "struct": "the template's data",
}


def kind(value: Value) -> Kind:
    """The Go kind of a value."""
    return next((name for python, name in _KINDS if isinstance(value, python)), "slice")


def type_name(value: Value) -> str:
    """The Go type of a value, as its error messages write it."""
    of = kind(value)
    return _TYPE_NAMES.get(of, of)


def is_true(value: Value) -> bool:
    """What `if`, `with`, `and`, `or` and `not` make of a value."""
    if isinstance(value, Struct):
        return True
    return value is not NO_VALUE and bool(value)


def encode(text: str) -> bytes:
    """The bytes of a Go string."""
    return text.encode(errors="surrogateescape")


def decode(octets: bytes) -> str:
    """The Go string of these bytes."""
    return octets.decode(errors="surrogateescape")


def length(text: str) -> int:
    """Bytes of a Go string."""
    return len(text) if text.isascii() else len(encode(text))


def bounded(text: str) -> str:
    """The text, unless it is longer than any output may be.

    Raises:
        TemplateError: more than 64 KiB.
    """
    if length(text) > MAX_BYTES:
        raise TemplateError(f"the result is longer than {MAX_BYTES} bytes")
    return text
