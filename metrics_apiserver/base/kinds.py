"""The kinds of values that flags have, as Go's pflag reads them from text.

`string`, `bool`, `int`, `float`, `duration`, `strings` (commas separate members) and `stringArray`
(one member each time). `seconds` is a duration that may also be a bare number, which Go refuses.
Refused are digits other than ASCII's, numbers that are not finite, whole numbers beyond 64 bits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from metrics_apiserver.base import durations, strconv

_BARE_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_FLOAT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def _parse_bool(text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _parse_int(text: str) -> int:
    number = strconv.parse_int(text)
    if number is None:
        raise ValueError(f"{text!r} is no whole number")
    return number


def _parse_float(text: str) -> float:
    if _FLOAT.fullmatch(text) is None or math.isinf(float(text)):
        raise ValueError(f"{text!r} is no number")
    return float(text)


def _parse_seconds(text: str) -> float:
    return float(text) if _BARE_NUMBER.fullmatch(text) else durations.parse_go(text)


def _split(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


READERS: Mapping[str, Callable[[str], Any]] = {
    "string": str,
    "bool": _parse_bool,
    "int": _parse_int,
    "float": _parse_float,
    "duration": durations.parse_go,
    "seconds": _parse_seconds,
    "strings": _split,
    "stringArray": lambda text: [text],
}
LISTS = frozenset({"strings", "stringArray"})
