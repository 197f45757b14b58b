from __future__ import annotations

import pytest

from metrics_apiserver.core import labelsyntax

NAME = "name part must consist of alphanumeric characters, '-', '_' or '.'"


@pytest.mark.parametrize(
    "key", ["a", "A", "0", "a.b-c_d", "a" * 63, "example.com/a", "x.y/" + "b" * 63, "1/2"]
)
def test_keys(key: str) -> None:
    assert labelsyntax.key_faults(key) == []


@pytest.mark.parametrize(
    ("key", "starts"),
    [
        ("", ["name part must be non-empty", NAME]),
        ("_a", [NAME]),
        ("a-", [NAME]),
        ("a b", [NAME]),
        ("a\n", [NAME]),
        ("é", [NAME]),
        ("__name__", [NAME]),
        ("a" * 64, ["name part must be no more than 63 bytes"]),
        ("é" * 32, ["name part must be no more than 63 bytes", NAME]),
        ("\udcff" * 63, [NAME]),
        ("/a", ["prefix part must be non-empty"]),
        ("A/a", ["prefix part a lowercase RFC 1123 subdomain must consist"]),
        (
            "a" * 254 + "_/a",
            ["prefix part must be no more than 253 bytes", "prefix part a lowercase RFC 1123"],
        ),
        ("a/", ["name part must be non-empty", NAME]),
        ("a/b/c", ["a valid label key must consist of alphanumeric characters"]),
    ],
)
def test_errors_of_keys(key: str, starts: list[str]) -> None:
    faults = labelsyntax.key_faults(key)
    assert len(faults) == len(starts)
    assert all(fault.startswith(start) for fault, start in zip(faults, starts, strict=True))


@pytest.mark.parametrize("value", ["", "a", "A.b-c_d", "9", "a" * 63])
def test_values(value: str) -> None:
    assert labelsyntax.value_faults(value) == []


@pytest.mark.parametrize(
    ("value", "starts"),
    [
        ("-", ["a valid label must be an empty string or"]),
        ("a/b", ["a valid label must be an empty string or"]),
        ("a\n", ["a valid label must be an empty string or"]),
        ("a" * 64, ["must be no more than 63 bytes"]),
        ("-" * 64, ["must be no more than 63 bytes", "a valid label must be"]),
    ],
)
def test_errors_of_values(value: str, starts: list[str]) -> None:
    faults = labelsyntax.value_faults(value)
    assert len(faults) == len(starts)
    assert all(fault.startswith(start) for fault, start in zip(faults, starts, strict=True))
