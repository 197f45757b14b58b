"""Go's `fmt`: `print`, `println` and `printf` over the values of templates.

Follows `fmt/print.go` and `fmt/format.go` for the verbs v s q x X d b o c t T e E f F g G with
flags, width and precision. Where Go would write an error into its output
(`%!d(string=hi)`) this raises, because that output is no query. Refused: other verbs, Go-syntax
forms (`%#v`, `%+q`, `% x`), and a width or precision above 64 Ki.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from metrics_apiserver.base import strconv
from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate.directives import Arguments, Directive, scan
from metrics_apiserver.core.gotemplate.values import (
    NO_VALUE,
    Kind,
    Struct,
    Value,
    bounded,
    encode,
    kind,
    type_name,
)

_BASES: Final = {"v": "d", "d": "d", "b": "b", "o": "o", "x": "x", "X": "X"}
_PREFIXES: Final = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}
_MAX_RUNE: Final = 0x10FFFF
_SHORTEST_EXPONENT: Final = 6


_PLAIN: Final = Directive("v")


def sprint(arguments: Sequence[Value]) -> str:
    """Go's `Sprint`: a space between operands of which neither is a string."""
    parts: list[str] = []
    for index, argument in enumerate(arguments):
        if index and not isinstance(argument, str) and not isinstance(arguments[index - 1], str):
            parts.append(" ")
        parts.append(show(argument))
    return bounded("".join(parts))


def sprintln(arguments: Sequence[Value]) -> str:
    """Go's `Sprintln`: spaces between all operands and a newline."""
    return bounded(" ".join(map(show, arguments)) + "\n")


def show(value: Value) -> str:
    """What `%v` writes."""
    return value if isinstance(value, str) else _format(value, _PLAIN)


def sprintf(template: str, arguments: Sequence[Value]) -> str:
    """Go's `Sprintf`.

    Raises:
        TemplateError: wherever Go would write an error into the text, or it is over 64 KiB.
    """
    cursor = Arguments(arguments)
    parts: list[str] = []
    position = 0
    for match in scan(template):
        parts.append(template[position : match.start()])
        parts.append("%" if match["verb"] == "%" else _format(*cursor.read(match)))
        bounded(parts[-1])
        position = match.end()
    cursor.check_all_used()
    return bounded("".join([*parts, template[position:]]))


def _format(value: Value, directive: Directive) -> str:
    if directive.verb == "T" and not isinstance(value, Struct):
        name = "<nil>" if value is NO_VALUE else type_name(value)
        text = _format_string(name, replace(directive, verb="s"))
    else:
        text = _WRITERS[kind(value)](value, directive)
    if text is None:
        verb = strconv.quote(f"%{directive.flags}{directive.verb}")
        raise TemplateError(f"printf: {verb} cannot write a value of type {type_name(value)}")
    return text


def _format_string(value: str, directive: Directive) -> str | None:
    if not directive.is_one_of("vsqxX"):
        return None
    precision = directive.precision
    if directive.verb in "xX":
        octets = encode(value)[:precision].hex()
        return directive.pad(octets if directive.verb == "x" else octets.upper())
    shown = value if precision is None else value[:precision]
    return directive.pad(strconv.quote(shown) if directive.verb == "q" else shown)


def _format_int(value: int, directive: Directive) -> str | None:
    verb, flags = directive.verb, directive.flags
    if verb == "c":
        valid = 0 <= value <= _MAX_RUNE and not 0xD800 <= value <= 0xDFFF
        return directive.pad(chr(value) if valid else "\ufffd")
    if verb not in _BASES or (verb == "v" and "#" in flags):
        return None
    sign = _sign(value, directive)
    digits = _pad_digits(format(abs(value), _BASES[verb]), len(sign), directive)
    prefix = _PREFIXES.get(verb, "") if "#" in flags and digits else ""
    if prefix == "0" and digits.startswith("0"):
        prefix = ""
    return directive.pad(f"{sign if digits else ''}{prefix}{digits}", zeros=False)


def _sign(value: float, directive: Directive) -> str:
    if value < 0:
        return "-"
    # With %v the plus flag asks for field names instead.
    if "+" in directive.flags and directive.verb != "v":
        return "+"
    return " " if " " in directive.flags else ""


def _pad_digits(digits: str, sign_width: int, directive: Directive) -> str:
    """Leading zeros by precision, else by the `0` flag; nothing for 0 with precision 0."""
    if directive.precision is not None:
        return (
            "" if digits == "0" and not directive.precision else digits.zfill(directive.precision)
        )
    if "0" in directive.flags and "-" not in directive.flags:
        return digits.zfill(directive.width - sign_width)
    return digits


def _format_float(value: float, directive: Directive) -> str | None:
    verb = "g" if directive.verb == "v" else directive.verb
    if verb not in "eEfFgG" or "#" in directive.flags:
        return None
    sign = _sign(math.copysign(1, value), directive)
    if verb in "gG" and directive.precision is None:
        digits = _shortest(abs(value))
        digits = digits.upper() if verb == "G" else digits
    else:
        precision = 6 if directive.precision is None else directive.precision
        digits = format(abs(value), f".{precision}{verb}")
    if "0" in directive.flags and "-" not in directive.flags:
        digits = digits.zfill(directive.width - len(sign))
    return directive.pad(sign + digits, zeros=False)


def _shortest(value: float) -> str:
    """The fewest digits that name a finite float; an exponent below 1e-4 and from 1e6 (Go's %g)."""
    number = Decimal(repr(value)).normalize()
    _, digits, _ = number.as_tuple()
    exponent = number.adjusted() if number else 0
    if -4 <= exponent < _SHORTEST_EXPONENT:
        return format(number, "f")
    mantissa = "".join(map(str, digits))
    fraction = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
    return f"{mantissa[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _format_bool(value: bool, directive: Directive) -> str | None:
    return directive.pad(str(value).lower()) if directive.is_one_of("tv") else None


def _format_slice(value: Sequence[str], directive: Directive) -> str:
    return f"[{' '.join(_format(element, directive) for element in value)}]"


def _format_map(value: Mapping[str, str], directive: Directive) -> str:
    pairs = (f"{_format(key, directive)}:{_format(value[key], directive)}" for key in sorted(value))
    return f"map[{' '.join(pairs)}]"


def _format_struct(value: Struct, directive: Directive) -> str | None:
    if not directive.is_one_of("vsq") or "+" in directive.flags:
        return None
    return f"{{{' '.join(_format(field, directive) for field in value.fields.values())}}}"


def _format_nil(_value: Value, directive: Directive) -> str | None:
    return directive.pad("<nil>") if directive.is_one_of("v") else None


# Each writer takes values of its own kind only, which a table cannot say.
_WRITERS: Final[Mapping[Kind, Callable[[Any, Directive], str | None]]] = {
    "string": _format_string,
    "bool": _format_bool,
    "int": _format_int,
    "uint8": _format_int,
    "float64": _format_float,
    "slice": _format_slice,
    "map": _format_map,
    "struct": _format_struct,
    "nil": _format_nil,
}
