"""Durations of Go and Prometheus: what they mean, what is none, and how they are written."""

from __future__ import annotations

import pytest

from metrics_apiserver.base import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d", 86400),
        ("1w", 7 * 86400),
        ("1y", 365 * 86400),
        ("1y2w3d4h5m6s7ms", 33019506.007),
        ("500ms", 0.5),
        ("1m500ms", 60.5),
        ("0009s", 9),
        ("292y", 292 * 365 * 86400),
    ],
)
def test_a_prometheus_duration(text: str, seconds: float) -> None:
    assert durations.parse_prometheus(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "5 m",
        "1.5h",
        "-5m",
        "+5m",
        "30m1h",
        "5m5m",
        "5M",
        "1us",
        "m",
        "1h ",
        "٣m",
        "1s1m",
        "x",
    ],
)
def test_no_prometheus_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        durations.parse_prometheus(text)


@pytest.mark.parametrize("text", ["293y", "99999999999999999999s", "1" * 99 + "s"])
def test_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match="out of range"):
        durations.parse_prometheus(text)


def test_long_text_is_not_read() -> None:
    with pytest.raises(ValueError, match="is not a duration") as caught:
        durations.parse_prometheus("1" * 10_000 + "s")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("0", 0.0), ("-0", 0.0), ("30s", 30.0), ("1m30s", 90.0), ("500ms", 0.5)),
        *(("-1s", -1.0), ("+1h", 3600.0), ("1.5h", 5400.0), (".5s", 0.5), ("2\u00b5s", 2e-6)),
    ],
)
def test_a_go_duration(text: str, seconds: float) -> None:
    assert durations.parse_go(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "+", "1", "s", "1d", "1 s", "1sx", "x1s", "1m-1s", "\u0661s", "2562048h"]
)
def test_no_go_duration(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 30s"):
        durations.parse_go(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.0001, "0s"),
        (0.001, "1ms"),
        (0.5, "500ms"),
        (0.999, "999ms"),
        (1.0, "1s"),
        (1.5, "1.5s"),
        (1.025, "1.025s"),
        (30.0, "30s"),
        (60.0, "1m0s"),
        (90.5, "1m30.5s"),
        (300.0, "5m0s"),
        (3600.0, "1h0m0s"),
        (3661.25, "1h1m1.25s"),
        (86400.0, "24h0m0s"),
        (-0.5, "-500ms"),
        (-30.0, "-30s"),
        (-90.0, "-1m30s"),
        (-3600.0, "-1h0m0s"),
    ],
)
def test_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert durations.format_go(seconds) == text
