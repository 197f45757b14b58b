"""Checks of single flags; URLs and headers are tested with the flags of Prometheus."""

from __future__ import annotations

import pytest

from metrics_apiserver.options import checks


def test_no_message_repeats_what_may_be_a_secret() -> None:
    for text in ("ftp://user:hunter2@p?token=hunter2", "http://[hunter2"):
        assert "hunter2" not in " ".join(checks.url(text))
    assert "hunter2" not in " ".join(
        checks.headers(["A=hunter2\n", "hunter2 =", "Connection=hunter2"])
    )


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "127.1.2.3"])
def test_loopback(text: str) -> None:
    assert checks.is_loopback(text)
    assert list(checks.address(text)) == []


@pytest.mark.parametrize("text", ["0.0.0.0", "10.0.0.1", "::"])
def test_other_addresses(text: str) -> None:
    assert not checks.is_loopback(text)
    assert list(checks.address(text)) == []


@pytest.mark.parametrize("text", ["", "localhost", "127.0.0.1:80"])
def test_no_addresses(text: str) -> None:
    assert not checks.is_loopback(text)
    assert list(checks.address(text)) == ["must be an IP address"]
