from __future__ import annotations

import math
from decimal import Decimal

import pytest

from metrics_apiserver.base.errors import QuantityError
from metrics_apiserver.core import quantity


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (0.5, "500m"),
        (0.001, "1m"),
        (0.0005, "0"),
        (-0.0005, "0"),
        (0.0015, "2m"),
        (0.0025, "2m"),
        (0.00050001, "1m"),
        (0.0019999, "2m"),
        (1, "1"),
        (1.5, "1500m"),
        (4.35, "4350m"),
        (10.9999999, "11"),
        (999, "999"),
        (1000, "1k"),
        (1001, "1001"),
        (2000.0, "2k"),
        (12345, "12345"),
        (1e6, "1M"),
        (1.2e6, "1200k"),
        (123456789, "123456789"),
        (1e9, "1G"),
        (1e12, "1T"),
        (1e15, "1P"),
        (9.2e15, "9200T"),
        (-1, "-1"),
        (-1000, "-1k"),
        (-1500.5, "-1500500m"),
        (1234.5678, "1234568m"),
        (5e-324, "0"),
        (9.3e15, "9223372036854775807m"),
        (-9.3e15, "-9223372036854775807m"),
        (1e300, "9223372036854775807m"),
    ],
)
def test_metric_values(value: float, text: str) -> None:
    assert quantity.from_float(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "500m"),
        (512, "512"),
        (1000, "1k"),
        (1023.5, "1023500m"),
        (1024, "1Ki"),
        (1025, "1025"),
        (1536, "1536"),
        (2048, "2Ki"),
        (1048576, "1Mi"),
        (1048576.5, "1048576500m"),
        (1e9, "1000000000"),
        (134217728, "128Mi"),
        (1610612736, "1536Mi"),
        (2**40, "1Ti"),
        (2**50, "1Pi"),
        (-2048, "-2Ki"),
        (1e30, "9223372036854775807m"),
    ],
)
def test_amounts_of_bytes(value: float, text: str) -> None:
    assert quantity.from_bytes(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_has_no_quantity(value: float) -> None:
    with pytest.raises(QuantityError, match="is not a quantity"):
        quantity.from_float(value)
    with pytest.raises(QuantityError, match="is not a quantity"):
        quantity.from_bytes(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("40", "40"),
        ("+1.5", "1.5"),
        ("-1500m", "-1.5"),
        ("007", "7"),
        ("1.", "1"),
        (".5", "0.5"),
        ("100u", "0.0001"),
        ("1n", "0.000000001"),
        ("0.1n", "0.000000001"),
        ("-0.1n", "-0.000000001"),
        ("2k", "2000"),
        ("1E", "1e18"),
        ("10P", "1e16"),
        ("1e3", "1000"),
        ("1E-3", "0.001"),
        ("1e+1000", "1e1000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("0.0000000001Ki", "0.000000103"),
        ("16Ei", "9223372036854775807"),
        ("-16Ei", "-9223372036854775807"),
    ],
)
def test_parsing(text: str, value: str) -> None:
    assert quantity.parse(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "NaN",
        "Inf",
        "1 ",
        " 1",
        "--1",
        "1.2.3",
        "1K",
        "1ki",
        "1e",
        "1Ee3",
        "1_0",
        "0x1",
        "+",
        ".",
        "Ki",
        "e5",
        "٣",
        "1" * 257,
    ],
)
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(QuantityError, match="is not a quantity"):
        quantity.parse(text)


@pytest.mark.parametrize("text", ["1e1001", "1e-1001", "0e9999999999999999999999"])
def test_exponents_are_bounded(text: str) -> None:
    with pytest.raises(QuantityError, match="out of range"):
        quantity.parse(text)
