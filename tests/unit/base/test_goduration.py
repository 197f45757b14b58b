"""Go's durations: what they mean, and what is none."""

from __future__ import annotations

import pytest

from metrics_apiserver.base import goduration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("0", 0.0), ("-0", 0.0), ("30s", 30.0), ("1m30s", 90.0), ("500ms", 0.5)),
        *(("-1s", -1.0), ("+1h", 3600.0), ("1.5h", 5400.0), (".5s", 0.5), ("2\u00b5s", 2e-6)),
    ],
)
def test_what_a_duration_means(text: str, seconds: float) -> None:
    assert goduration.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "+", "1", "s", "1d", "1 s", "1sx", "x1s", "1m-1s", "\u0661s", "2562048h"]
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 30s"):
        goduration.parse(text)
