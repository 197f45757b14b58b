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
