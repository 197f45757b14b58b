"""Numbers as `resource.Quantity` text and back: the one place for NaN, infinity, milli, saturation.

A metric value is written in whole milli units, as the predecessor writes it, but rounded to the
nearest (half to even) and held inside int64: a larger Quantity reads back as 0 in the
HorizontalPodAutoscaler, and a wrapped one as a large negative number. NaN and the infinities have
no Quantity and are refused; what that means for a rule is decided by the caller.
Follows apimachinery `pkg/api/resource` (quantity.go, amount.go, suffix.go).
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

from metrics_apiserver.base import strconv
from metrics_apiserver.base.errors import QuantityError

MAX_INT64: Final = (1 << 63) - 1

_DECIMAL_SUFFIXES: Final = ("m", "", "k", "M", "G", "T", "P", "E")
_BINARY_SUFFIXES: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL_EXPONENTS: Final = {"n": -9, "u": -6} | {
    suffix: 3 * index - 3 for index, suffix in enumerate(_DECIMAL_SUFFIXES)
}
_BINARY_EXPONENTS: Final = {s: 10 * i for i, s in enumerate(_BINARY_SUFFIXES) if s}
_QUANTITY: Final = re.compile(
    r"(?P<sign>[+-]?)(?=\.?[0-9])(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?"
    r"(?P<suffix>[numkMGTPE]?|[KMGTPE]i|[eE](?P<exponent>[+-]?[0-9]+))"
)
# Longer text and larger exponents name no quantity that a metric or a resource can have; Go would
# build integers of that many digits.
_MAX_TEXT: Final = 256
_MAX_EXPONENT: Final = 1000


def from_float(value: float) -> str:
    """Canonical DecimalSI text of a metric value, such as `1500m` or `12k`.

    Args:
        value: in the metric's own unit; what lies beyond ±9223372036854775807 milli is held there.

    Raises:
        QuantityError: NaN or infinite.
    """
    return from_milli(_to_milli(value))


def from_bytes(value: float) -> str:
    """Canonical BinarySI text of an amount of bytes, such as `128Mi`.

    Amounts below 1024 and amounts with a fraction are written as DecimalSI, as Go does.

    Raises:
        QuantityError: NaN or infinite.
    """
    milli = _to_milli(value)
    amount, fraction = divmod(abs(milli), 1000)
    if fraction or amount < 1024:
        return from_milli(milli)
    index = 0
    while amount % 1024 == 0:
        amount //= 1024
        index += 1
    return f"{'-' if milli < 0 else ''}{amount}{_BINARY_SUFFIXES[index]}"


def from_milli(milli: int) -> str:
    """Canonical DecimalSI text of a number of milli units within int64."""
    if milli == 0:
        return "0"
    index = 0
    while milli % 1000 == 0:
        milli //= 1000
        index += 1
    return f"{milli}{_DECIMAL_SUFFIXES[index]}"


def _to_milli(value: float) -> int:
    if not math.isfinite(value):
        raise QuantityError(f"{value} is not a quantity")
    whole = int(value)
    # The shortest decimal that names this float is what Prometheus printed; rounding that one keeps
    # 0.0005 a tie, which its binary expansion is not.
    milli = whole * 1000 if whole == value else round(Decimal(repr(value)) * 1000)
    return max(-MAX_INT64, min(MAX_INT64, milli))


def parse(text: str) -> Decimal:
    """The exact value of any Quantity; finer than nano is rounded away from zero, as Go does.

    Binary amounts beyond int64 are held at it, also as Go does. Text without a digit is refused;
    Go reads some of it (`+`, `Ki`) as 0.

    Raises:
        QuantityError: not a Quantity, or with more than 256 characters or an exponent above 1000.
    """
    match = _QUANTITY.fullmatch(text) if 0 < len(text) <= _MAX_TEXT else None
    if match is None:
        raise QuantityError(f"{strconv.quote(text[:_MAX_TEXT])} is not a quantity")
    sign, suffix, fraction = match["sign"], match["suffix"], match["fraction"] or ""
    digits = int(f"0{match['whole']}{fraction}")
    if suffix in _BINARY_EXPONENTS:
        nano = _scale_up(digits << _BINARY_EXPONENTS[suffix], 9 - len(fraction))
        nano = min(nano, MAX_INT64 * 10**9)
    else:
        exponent = int(match["exponent"] or _DECIMAL_EXPONENTS[suffix])
        if abs(exponent) > _MAX_EXPONENT:
            raise QuantityError(f"the exponent of {strconv.quote(text)} is out of range")
        nano = _scale_up(digits, exponent + 9 - len(fraction))
    return Decimal(f"{sign}{nano}E-9")


def _scale_up(number: int, exponent: int) -> int:
    """`number` times ten to the `exponent`, rounded up to a whole number."""
    power: int = 10 ** abs(exponent)
    return number * power if exponent >= 0 else -(-number // power)
