"""Kinds of values."""

from __future__ import annotations

import pytest

from metrics_apiserver.exporter import flagtypes

REFUSED = "is no |is a page of its own|is taken"


def test_paths() -> None:
    assert flagtypes.path("/a/metrics-1.txt") == "/a/metrics-1.txt"
    for text in ("", "/", "metrics", "/{name}", "/a//b", "/a b", "/healthz", "/snapshot.json"):
        with pytest.raises(ValueError, match=REFUSED):
            flagtypes.path(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(":9445", ("", 9445)), ("127.0.0.1:1", ("127.0.0.1", 1)), ("[::1]:2", ("::1", 2))],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert flagtypes.address(text) == expected


@pytest.mark.parametrize("text", ["9445", "host:", "host:x", "host:65536", "host:" + "9" * 5000])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match=REFUSED):
        flagtypes.address(text)


def test_pairs() -> None:
    assert flagtypes.pair("a=b=c") == ("a", "b=c")
    for text in ("a", "=b", "a-b=c", "__name__=x", "pod=x", "Hostname=x", "ProcessId=1"):
        with pytest.raises(ValueError, match=REFUSED):
            flagtypes.pair(text)


def test_each_member_of_a_list_is_checked() -> None:
    check = flagtypes.each(flagtypes.address)
    assert list(check([":1", ":2"])) == []
    assert [message.split()[0] for message in check(["x", ":1", "y"])] == ["'x'", "'y'"]
