"""Go's `fmt`: `print`, `println` and `printf` over the values of templates.

Follows `fmt/print.go` and `fmt/format.go` for the verbs v s q x X d b o c t T e E f F g G with
flags, width, precision, `*` and argument indexes. Where Go would write an error into its output
(`%!d(string=hi)`) this raises, because that output is no query. Refused: other verbs, Go-syntax
forms (`%#v`, `%+q`, `% x`), and a width or precision above 64 Ki.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from metrics_apiserver.core import strconv
from metrics_apiserver.core.errors import TemplateError
from metrics_apiserver.core.gotemplate.values import (
    MAX_BYTES,
    NO_VALUE,
    Kind,
    Struct,
    Value,
    bounded,
    encode,
    kind,
    type_name,
)

_DIRECTIVE: Final = re.compile(
    r"%(?P<flags>[-+# 0]*)(?:(?P<width>[0-9]+)|(?P<width_index>\[[0-9]+\])?(?P<width_star>\*))?"
    r"(?P<dot>\.(?:(?P<precision>[0-9]+)|(?P<precision_index>\[[0-9]+\])?(?P<precision_star>\*))?)?"
    r"(?P<index>\[[0-9]+\])?(?P<verb>.)",
    re.DOTALL,
)
_PERCENT: Final = re.compile(r"%[^*]*%")
_VERBS: Final = frozenset("vsqxXdboctTeEfFgG")
# What asks for Go syntax or for ASCII, or spreads hexadecimal digits.
_REFUSED_FLAGS: Final = {"v": "#", "q": "#+", "x": "# ", "X": "# "}
_BASES: Final = {"v": "d", "d": "d", "b": "b", "o": "o", "x": "x", "X": "X"}
_PREFIXES: Final = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}
_MAX_RUNE: Final = 0x10FFFF
_SHORTEST_EXPONENT: Final = 6


@dataclass(frozen=True, slots=True)
class Directive:
    """One `%` directive.

    Attributes:
        verb: the letter.
        flags: characters of `-+# 0`.
        width: minimal number of characters.
        precision: None where none is given.
    """

    verb: str
    flags: str = ""
    width: int = 0
    precision: int | None = None

    def pad(self, text: str, *, zeros: bool = True) -> str:
        """Fills up to the width; `-` fills on the right, `0` fills with zeros on the left."""
        if "-" in self.flags:
            return text.ljust(self.width)
        return text.rjust(self.width, "0" if zeros and "0" in self.flags else " ")

    def is_one_of(self, verbs: str) -> bool:
        """Whether it has one of these verbs and asks for no form that is refused."""
        refused = _REFUSED_FLAGS.get(self.verb, "")
        return self.verb in verbs and not any(flag in refused for flag in self.flags)


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
    cursor = _Arguments(arguments)
    parts: list[str] = []
    position = 0
    for match in _directives(template):
        parts.append(template[position : match.start()])
        parts.append("%" if match["verb"] == "%" else cursor.format(match))
        bounded(parts[-1])
        position = match.end()
    cursor.check_all_used()
    return bounded("".join([*parts, template[position:]]))


def check_format(template: str) -> None:
    """Refuses, before any argument is known, what `sprintf` would always refuse.

    Raises:
        TemplateError: an unknown verb, or a width or precision above 64 Ki.
    """
    for match in _directives(template):
        _bound(match["width"])
        _bound(match["precision"])


def _directives(template: str) -> Iterator[re.Match[str]]:
    position = 0
    while (percent := template.find("%", position)) >= 0:
        match = _DIRECTIVE.match(template, percent)
        if match is None or not (match["verb"] in _VERBS or _PERCENT.fullmatch(match[0])):
            shown = strconv.quote(match[0] if match else template[percent : percent + 20])
            raise TemplateError(f"printf: {shown} is not supported")
        yield match
        position = match.end()


def _bound(digits: str | None) -> int:
    number = int((digits or "0")[-20:])
    if number > MAX_BYTES:
        raise TemplateError(f"printf: a width or precision above {MAX_BYTES} is not supported")
    return number


class _Arguments:
    """The operands of one call and how far they are used up."""

    def __init__(self, values: Sequence[Value]) -> None:
        self._values = values
        self._next = 0
        self._reordered = False

    def _take(self, index: str | None, directive: str) -> Value:
        if index:
            self._reordered = True
            self._next = _bound(index[1:-1]) - 1
        if not 0 <= self._next < len(self._values):
            raise TemplateError(f"printf: no argument for {strconv.quote(directive)}")
        self._next += 1
        return self._values[self._next - 1]

    def _star(self, index: str | None, directive: str) -> int:
        value = self._take(index, directive)
        if not isinstance(value, int) or isinstance(value, bool):
            raise TemplateError(f"printf: the * of {strconv.quote(directive)} needs an int")
        _bound(str(abs(value)))
        return value

    def format(self, match: re.Match[str]) -> str:
        flags, precision = match["flags"], None
        width = _bound(match["width"])
        if match["width_star"]:
            width = self._star(match["width_index"], match[0])
            # A negative width is the `-` flag.
            flags = f"-{flags}" if width < 0 else flags
        if match["precision_star"]:
            precision = self._star(match["precision_index"], match[0])
            if precision < 0:
                raise TemplateError(
                    f"printf: the precision of {strconv.quote(match[0])} is negative"
                )
        elif match["dot"]:
            precision = _bound(match["precision"])
        value = self._take(match["index"], match[0])
        return _format(value, Directive(match["verb"], flags, abs(width), precision))

    def check_all_used(self) -> None:
        if not self._reordered and self._next < len(self._values):
            raise TemplateError(f"printf: {len(self._values) - self._next} arguments too many")


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
