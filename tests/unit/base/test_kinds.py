"""What a text means as a value of a kind; test_flags tests the kinds of pflag on a command line."""

from __future__ import annotations

import pytest

from metrics_apiserver.base import kinds


@pytest.mark.parametrize(
    ("text", "seconds"), [("15", 15), ("1.5", 1.5), ("1.5s", 1.5), ("1m30s", 90), ("250ms", 0.25)]
)
def test_seconds_may_be_a_bare_number(text: str, seconds: float) -> None:
    assert kinds.READERS["seconds"](text) == seconds


@pytest.mark.parametrize("text", ["", "s", "1d", "1 s", "1.", "\u0661"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        kinds.READERS["seconds"](text)


def test_lists_are_read_to_lists() -> None:
    for kind, read in kinds.READERS.items():
        if kind in kinds.LISTS:
            assert read("a") == ["a"]
