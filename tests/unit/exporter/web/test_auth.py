"""Passwords, and names of client certificates."""

from __future__ import annotations

import base64

import bcrypt
import pytest

from metrics_apiserver.exporter.web.auth import Passwords, has_name

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4))
LONG = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


async def test_without_users_everybody_is_allowed() -> None:
    assert await Passwords({}).allow(None)


async def test_right_and_wrong() -> None:
    passwords = Passwords({"prometheus": HASH, "odd:": HASH})
    assert await passwords.allow(basic("prometheus:secret"))
    assert await passwords.allow(basic("prometheus:secret"))
    assert await passwords.allow("bAsIc " + basic("prometheus:secret")[6:])
    assert not await passwords.allow(basic("prometheus:Secret"))
    assert not await passwords.allow(basic("nobody:secret"))
    assert not await passwords.allow(basic("prometheus:"))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer x",
        "Basic",
        "Basic ???",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff:x").decode(),
        "Basic " + "A" * 5000,
    ],
)
async def test_invalid_headers(header: str | None) -> None:
    assert not await Passwords({"prometheus": HASH}).allow(header)


async def test_passwords_that_bcrypt_would_truncate_are_refused() -> None:
    passwords = Passwords({"a": LONG})
    assert await passwords.allow(basic("a:" + "x" * 72))
    assert not await passwords.allow(basic("a:" + "x" * 73))
    assert not await passwords.allow(basic("a:" + "x" * 70 + "\0"))


async def test_an_invalid_hash() -> None:
    assert not await Passwords({"a": b"$2b$10$short"}).allow(basic("a:b"))


async def test_the_login_cache_is_bounded() -> None:
    users = {f"u{n}": HASH for n in range(103)}
    passwords = Passwords(users)
    for user in users:
        assert await passwords.allow(basic(f"{user}:secret"))
    assert len(passwords._right) <= 100


def test_names_of_certificates() -> None:
    certificate = {"subjectAltName": (("DNS", "prometheus"), ("URI", "spiffe://x"))}
    assert has_name(certificate, frozenset())
    assert has_name(None, frozenset())
    assert has_name(certificate, frozenset({"spiffe://x"}))
    assert not has_name(certificate, frozenset({"grafana"}))
    assert not has_name(None, frozenset({"prometheus"}))
