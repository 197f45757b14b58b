"""Number constants of templates: Go's integer syntax and plain decimal floats.

Follows `newNumber` in Go's `text/template/parse/node.go`: text with a point or an exponent is a
float64, everything else an int. Hexadecimal floats are refused.
"""

from __future__ import annotations

import math
import re
from typing import Final

from metrics_apiserver.base import strconv

_OCTAL: Final = re.compile(r"[+-]?0(?:_?[0-7])*")
_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MIN_INT: Final = -(1 << 63)
_MAX_INT: Final = (1 << 63) - 1
_MAX_TEXT: Final = 100


def parse(text: str) -> int | float:
    """The value of a number constant.

    Raises:
        ValueError: in Go's words.
    """
    shown = strconv.quote(text[:_MAX_TEXT])
    if len(text) > _MAX_TEXT:
        raise ValueError(f"illegal number syntax: {shown}")
    try:
        number = int(text, 8) if _OCTAL.fullmatch(text) else int(text, 0)
    except ValueError:
        return _parse_float(text, shown)
    if not _MIN_INT <= number <= _MAX_INT:
        raise ValueError(f"integer overflow: {shown}")
    return number


def _parse_float(text: str, shown: str) -> float:
    # Without a point or an exponent it is an integer that could not be read, such as 09.
    if not _FLOAT.fullmatch(text) or text.lstrip("+-").isdigit():
        raise ValueError(f"illegal number syntax: {shown}")
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"illegal number syntax: {shown}")
    return value
