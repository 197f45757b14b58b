"""Values of a device: invalid ones are dropped."""

from __future__ import annotations

import pytest

from metrics_apiserver.exporter.nvml.library import MemoryInfo
from metrics_apiserver.exporter.values import Values


@pytest.fixture
def dropped() -> list[str]:
    return []


@pytest.fixture
def values(dropped: list[str]) -> Values:
    return Values(dropped.append)


def test_none_removes_a_value(values: Values, dropped: list[str]) -> None:
    values.keep("temperature", 50)
    values.keep("temperature", None)
    assert values == {}
    assert dropped == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gpu_util", 101),
        ("gpu_util", 4294967295),
        ("prof_sm", 1.01),
        ("memory_temperature", 201),
        ("power_milliwatts", -1),
        ("fan_percent", float("nan")),
    ],
)
def test_invalid_values_are_reported_and_dropped(
    values: Values, dropped: list[str], key: str, value: float
) -> None:
    values.keep(key, 1)
    values.keep(key, value)
    assert values == {}
    assert dropped == [key]


def test_ends_of_ranges(values: Values) -> None:
    for key, value in (
        ("gpu_util", 0),
        ("enc_util", 100),
        ("prof_dram", 1.0),
        ("fan_percent", 180),
    ):
        values.keep(key, value)
        assert values[key] == value


def test_memory(values: Values) -> None:
    values.keep_memory(MemoryInfo(1000, 400, 500, 100), MemoryInfo(1000, 500, 500))
    assert values == {
        "memory_total": 1000,
        "memory_used": 400,
        "memory_free": 500,
        "memory_reserved": 100,
        "memory_used_v1": 500,
        "memory_used_share": pytest.approx(400 / 900),
    }
    values.keep_memory(MemoryInfo(0, 0, 0), None)
    assert "memory_used_share" not in values
    values.keep_memory(None, None)
    assert values == {}
