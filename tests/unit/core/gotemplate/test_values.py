from __future__ import annotations

import pytest

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate import values
from metrics_apiserver.core.gotemplate.values import NO_VALUE, Byte, Struct, Value


@pytest.mark.parametrize(
    ("value", "kind", "name"),
    [
        ("a", "string", "string"),
        (True, "bool", "bool"),
        (1, "int", "int"),
        (Byte(1), "uint8", "uint8"),
        (1.5, "float64", "float64"),
        (["a"], "slice", "[]string"),
        ({"a": "b"}, "map", "map[string]string"),
        (Struct({}), "struct", "the template's data"),
        (NO_VALUE, "nil", "nil"),
    ],
)
def test_kinds_and_types(value: Value, kind: str, name: str) -> None:
    assert values.kind(value) == kind
    assert values.type_name(value) == name


@pytest.mark.parametrize("value", ["a", True, 1, -1.5, Byte(2), ["a"], {"a": ""}, Struct({})])
def test_what_is_true(value: Value) -> None:
    assert values.is_true(value)


@pytest.mark.parametrize("value", ["", False, 0, 0.0, [], {}, NO_VALUE])
def test_what_is_false(value: Value) -> None:
    assert not values.is_true(value)


def test_strings_are_bytes() -> None:
    assert values.length("ab") == 2
    assert values.length("é") == 2
    assert values.decode(values.encode("é")[:1]) == "\udcc3"
    assert values.encode("\udcc3") == b"\xc3"


def test_texts_are_bounded() -> None:
    assert values.bounded("x" * values.MAX_BYTES)
    with pytest.raises(TemplateError, match="longer than 65536 bytes"):
        values.bounded("é" * (values.MAX_BYTES // 2) + "x")
