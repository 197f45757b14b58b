"""The `%` directives of a `printf` template: verb, flags, width, precision, argument.

Follows `doPrintf` in Go's `fmt/print.go`. Refused: verbs that Go or `formatting` does not know, and
a width or precision above 64 Ki, which could only overrun the output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from metrics_apiserver.base import strconv
from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate.values import MAX_BYTES, Value

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


def check_format(template: str) -> None:
    """Refuses, before any argument is known, what `sprintf` would always refuse.

    Raises:
        TemplateError: an unknown verb, or a width or precision above 64 Ki.
    """
    for match in scan(template):
        _bound(match["width"])
        _bound(match["precision"])


def scan(template: str) -> Iterator[re.Match[str]]:
    """The directives of a template in order; the group `verb` of a `%%` is a `%`.

    Raises:
        TemplateError: while iterating, at one that is not supported.
    """
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


class Arguments:
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

    def read(self, match: re.Match[str]) -> tuple[Value, Directive]:
        """The operand of a directive that `scan` found, and how to write it.

        Raises:
            TemplateError: there is no such operand, or a `*` has no int or a negative precision.
        """
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
        return value, Directive(match["verb"], flags, abs(width), precision)

    def check_all_used(self) -> None:
        if not self._reordered and self._next < len(self._values):
            raise TemplateError(f"printf: {len(self._values) - self._next} arguments too many")
