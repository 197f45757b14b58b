"""Kinds of values."""

from __future__ import annotations

import argparse

import pytest

from metrics_apiserver.exporter import flagtypes


@pytest.mark.parametrize(
    ("text", "expected"), [("15", 15), ("1.5s", 1.5), ("250ms", 0.25), ("2m", 120), ("1h", 3600)]
)
def test_durations(text: str, expected: float) -> None:
    assert flagtypes.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "s", "-1s", "1d", "1 s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        flagtypes.seconds(text)


def test_intervals_have_bounds() -> None:
    assert flagtypes.interval("100ms") == 0.1
    for text in ("99ms", "61s"):
        with pytest.raises(argparse.ArgumentTypeError):
            flagtypes.interval(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(":9445", ("", 9445)), ("127.0.0.1:1", ("127.0.0.1", 1)), ("[::1]:2", ("::1", 2))],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert flagtypes.address(text) == expected


@pytest.mark.parametrize("text", ["9445", "host:", "host:x", "host:65536"])
def test_no_addresses(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        flagtypes.address(text)


def test_pairs() -> None:
    assert flagtypes.pair("a=b=c") == ("a", "b=c")
    for text in ("a", "=b", "a-b=c"):
        with pytest.raises(argparse.ArgumentTypeError):
            flagtypes.pair(text)


def test_words(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", action=flagtypes.words(("a", "b")))
    assert parser.parse_args(["--x=b,,a"]).x == {"a", "b"}
    with pytest.raises(SystemExit):
        parser.parse_args(["--x=a,c"])
    assert "'c' is not one of a, b" in capsys.readouterr().err
