from __future__ import annotations

import pytest

from metrics_apiserver.core import objects


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (1.999999, "1970-01-01T00:00:01Z"),
        (-0.5, "1969-12-31T23:59:59Z"),
        (1795451175.0, "2026-11-23T16:26:15Z"),
        (1795451175.781, "2026-11-23T16:26:15Z"),
        (951782400.0, "2000-02-29T00:00:00Z"),
    ],
)
def test_times_are_utc_and_cut_to_the_second(seconds: float, text: str) -> None:
    assert objects.format_time(seconds) == text


# Each expectation is what Go's time.Duration.String gives.
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
def test_durations_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert objects.format_duration(seconds) == text
