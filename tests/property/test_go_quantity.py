"""Quantities: the text that apimachinery writes, and the value that it reads."""

from __future__ import annotations

import math
import re
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metrics_apiserver.base.errors import QuantityError
from metrics_apiserver.core import quantity
from tests.fakes.oracle import Oracle

pytestmark = pytest.mark.timeout(600)

INT64 = (1 << 63) - 1
round_numbers = st.builds(
    lambda digits, power, sign: max(-INT64, min(INT64, sign * digits * 10**power)),
    st.integers(0, 2000),
    st.integers(0, 19),
    st.sampled_from([1, -1]),
)
powers_of_two = st.builds(
    lambda digits, power: min(INT64, digits * 1000 << power),
    st.integers(0, 2000),
    st.integers(0, 50),
)
finite = st.floats(allow_nan=False, allow_infinity=False)
plain = st.builds(lambda n, d: n / 10**d, st.integers(-(10**9), 10**9), st.integers(0, 9))
SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
SUFFIXES += ["K", "i", "e", "Em", "ki", "mm"]
texts = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "+", "-", "--", " "]),
    st.from_regex(r"[0-9]{0,22}(\.[0-9]{0,14})?", fullmatch=True),
    st.one_of(
        st.sampled_from(SUFFIXES),
        st.from_regex(r"[eE][-+]?[0-9]{0,2}", fullmatch=True),
        st.text(alphabet="eEinumkKMGTP0123456789+-. _", max_size=5),
    ),
)


@given(milli=st.one_of(st.integers(-INT64, INT64), round_numbers))
@example(milli=INT64)
@example(milli=-INT64)
def test_decimal_text_is_canonical(oracle: Oracle, milli: int) -> None:
    answer = oracle.ask("quantity", milli=str(milli), format="DecimalSI")
    assert quantity.from_milli(milli) == answer["text"]


@given(value=st.one_of(finite, plain, st.integers(-(10**16), 10**16), powers_of_two))
@example(value=4.35)
@example(value=10.9999999)
@example(value=0.0005)
@example(value=-0.0)
@example(value=1e300)
@example(value=-9.3e15)
def test_a_float_becomes_the_nearest_milli_value_inside_int64(oracle: Oracle, value: float) -> None:
    text = quantity.from_float(value)
    milli = max(-INT64, min(INT64, round(Fraction(repr(value)) * 1000)))
    assert text == oracle.ask("quantity", milli=str(milli), format="DecimalSI")["text"]
    assert quantity.parse(text) == Decimal(milli) / 1000
    assert (
        quantity.from_bytes(value)
        == (oracle.ask("quantity", milli=str(milli), format="BinarySI")["text"])
    )


@given(text=st.one_of(texts, st.text(max_size=8)))
@example("")
@example("+")
@example(".")
@example(".Ki")
@example("1.")
@example(".5Gi")
@example("-.5e1")
@example("1e")
@example("1E")
@example("1Ee3")
@example("9223372036854775808")
@example("9223372036854775807.5Ki")
@example("-9223372036854775808Ei")
@example("0.0000000001")
@example("0.1n")
@example("1000000000000000000000000000000e-60")
def test_every_text_is_read_as_apimachinery_reads_it(oracle: Oracle, text: str) -> None:
    answer = oracle.ask("parse_quantity", text=text)
    try:
        value = quantity.parse(text)
    except QuantityError:
        # Go takes some texts without a digit before the suffix for 0.
        assert "error" in answer or not re.match(r"[+-]?\.?[0-9]", text)
        return
    assert "error" not in answer
    with localcontext(prec=400):
        assert value == Decimal(answer["text"])


def test_what_has_no_quantity_is_refused() -> None:
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(QuantityError):
            quantity.from_float(value)
        with pytest.raises(QuantityError):
            quantity.from_bytes(value)
