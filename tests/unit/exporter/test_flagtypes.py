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


def test_windows_have_bounds() -> None:
    assert (flagtypes.window("1s"), flagtypes.window("5m")) == (1, 300)
    for text in ("0s", "999ms", "301s"):
        with pytest.raises(argparse.ArgumentTypeError):
            flagtypes.window(text)


def test_counts() -> None:
    assert flagtypes.count("1") == 1
    for text in ("0", "-1", "1.5", "", "x"):
        with pytest.raises(argparse.ArgumentTypeError):
            flagtypes.count(text)


def test_paths() -> None:
    assert flagtypes.path("/a/metrics-1.txt") == "/a/metrics-1.txt"
    for text in ("", "/", "metrics", "/{name}", "/a//b", "/a b", "/healthz", "/snapshot.json"):
        with pytest.raises(argparse.ArgumentTypeError):
            flagtypes.path(text)


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
    for text in ("a", "=b", "a-b=c", "__name__=x", "pod=x", "Hostname=x", "ProcessId=1"):
        with pytest.raises(argparse.ArgumentTypeError):
            flagtypes.pair(text)


def test_words(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", action=flagtypes.words(("a", "b")))
    assert parser.parse_args(["--x=b,,a"]).x == {"a", "b"}
    with pytest.raises(SystemExit):
        parser.parse_args(["--x=a,c"])
    assert "'c' is not one of a, b" in capsys.readouterr().err
