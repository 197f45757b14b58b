"""What is wrong with a value, or nothing."""

from __future__ import annotations

import re

import pytest

from metrics_apiserver.base import checks
from metrics_apiserver.base.checks import Check
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError


def even(number: int) -> None:
    if number % 2:
        raise ConfigError("number", (Diagnostic("is odd"), Diagnostic("is not even")))


@pytest.mark.parametrize(
    ("check", "good", "bad", "messages"),
    [
        (checks.positive, 1, 0, ["must be greater than 0"]),
        (checks.positive, 0.5, -1, ["must be greater than 0"]),
        (checks.not_negative, 0, -0.1, ["must not be negative"]),
        (checks.not_empty("is needed"), "x", "", ["is needed"]),
        (checks.not_empty("is needed"), ["x"], [], ["is needed"]),
        (checks.between(1, 3, "is outside"), 1, 0.9, ["is outside"]),
        (checks.between(1, 3, "is outside"), 3, 3.1, ["is outside"]),
        (checks.matches(re.compile("[a-z]+"), "is no word"), "abc", "abc1", ["is no word"]),
        (checks.matches(re.compile("[a-z]+"), "is no word"), "", "a\n", ["is no word"]),
        (checks.accepted_by(even), 2, 3, ["is odd", "is not even"]),
    ],
)
def test_checks(check: Check, good: object, bad: object, messages: list[str]) -> None:
    assert list(check(good)) == []
    assert list(check(bad)) == messages
