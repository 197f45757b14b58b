"""The text format."""

from __future__ import annotations

import pytest

from metrics_apiserver.exporter.families.text import Metric, MetricFamily, Table, labels, number


def test_labels_are_escaped() -> None:
    assert labels([("a", 'x"y\\z\n'), ("b", "ü")]) == '{a="x\\"y\\\\z\\n",b="ü"}'
    assert labels([]) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (42, "42"),
        (1.5, "1.500000"),
        (1e15, "1000000000000000.000000"),
        (2**60, str(2**60)),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_a_family() -> None:
    family = MetricFamily("x", "counter", "A \\ and\na line.")
    family.add('{a="b"}', 1)
    family.add("", None)
    assert family.render() == ('# HELP x A \\\\ and\\na line.\n# TYPE x counter\nx{a="b"} 1\n')
    assert MetricFamily("y", "gauge", "Nothing.").render() == ""


def test_a_table() -> None:
    table = Table(
        [
            Metric("watts", "gauge", "", "milliwatts", 0.001),
            Metric("mib", "gauge", "", "bytes", 1 / (1 << 20), is_whole=True),
            Metric("raw", "gauge", "", "raw"),
        ]
    )
    table.add("{}", {"milliwatts": 1500, "bytes": (3 << 20) + 5})
    table.add("{x}", {"raw": 7})
    watts, mib, raw = table.families
    assert watts.samples == [("{}", 1.5)]
    assert mib.samples == [("{}", 3)]
    assert raw.samples == [("{x}", 7)]
