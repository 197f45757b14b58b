from __future__ import annotations

import pytest

from metrics_apiserver.core.gotemplate import numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("42", 42),
        ("+42", 42),
        ("010", 8),
        ("0_7", 7),
        ("0x1F", 31),
        ("0b11", 3),
        ("0o17", 15),
        ("1_000", 1000),
        ("-9223372036854775808", -(1 << 63)),
    ],
)
def test_integers(text: str, value: int) -> None:
    parsed = numbers.parse(text)
    assert (type(parsed), parsed) == (int, value)


@pytest.mark.parametrize(
    ("text", "value"), [("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-1E-1", -0.1)]
)
def test_floats(text: str, value: float) -> None:
    parsed = numbers.parse(text)
    assert (type(parsed), parsed) == (float, value)


@pytest.mark.parametrize(
    "text",
    ["", "+", ".", "1e", "09", "0x", "0b2", "1__0", "_1", "1_.5", "0x1p4", "1e400", "1" * 101],
)
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="illegal number syntax"):
        numbers.parse(text)


@pytest.mark.parametrize("text", ["9223372036854775808", "-9223372036854775809"])
def test_integers_are_int64(text: str) -> None:
    with pytest.raises(ValueError, match="integer overflow"):
        numbers.parse(text)
