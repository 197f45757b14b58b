from __future__ import annotations

import ssl

import aiohttp
import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.kube import wire


def test_bodies_do_not_show() -> None:
    assert "SECRET" not in repr(wire.KubeRequest("POST", "/x", body=b"SECRET"))
    assert "SECRET" not in repr(wire.KubeResponse(200, {}, b"SECRET"))


def test_decode() -> None:
    assert wire.decode(b'{"a":1}') == {"a": 1}
    for body in (b"", b"[1]", b"null", b"NaN", b"[" * 100_000):
        with pytest.raises(errors.KubeError) as caught:
            wire.decode(body)
        assert caught.value.kind == "protocol"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5.0), ("100000", 60.0), ("", None), ("Fri, 31 Dec", None), ("-1", None), ("²", None)],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    response = wire.KubeResponse(429, {"Retry-After": text}, b"")
    assert wire.status_error("GET /x", response).retry_after == seconds


def test_status_error() -> None:
    error = wire.status_error("GET /x", wire.KubeResponse(403, {}, b'{"message":"no"}'))
    assert str(error) == "kube-apiserver answered GET /x with 403"
    assert (error.kind, error.status, error.detail) == ("http", 403, "no")
    assert not error.repeatable
    html = wire.status_error("GET /x", wire.KubeResponse(502, {}, b"<html>SECRET"))
    assert html.detail == "no Status in the body"
    assert html.repeatable
    long = wire.status_error(
        "GET /x", wire.KubeResponse(500, {}, b'{"message":"%s"}' % (b"x" * 9999))
    )
    assert len(long.detail) == 500


@pytest.mark.parametrize(
    ("error", "kind", "repeatable"),
    [
        (TimeoutError(), "timeout", True),
        (aiohttp.ServerTimeoutError(), "timeout", True),
        (ssl.SSLError("bad"), "tls", False),
        (aiohttp.ServerDisconnectedError(), "reset", True),
        (aiohttp.ClientPayloadError(), "reset", True),
        (ConnectionResetError(), "reset", True),
        (aiohttp.InvalidURL("SECRET"), "protocol", False),
        (ValueError("SECRET"), "protocol", False),
    ],
)
def test_translate(error: Exception, kind: str, repeatable: bool) -> None:
    translated = wire.translate(error)
    assert translated.kind == kind
    assert translated.repeatable is repeatable
    assert "SECRET" not in f"{translated}{translated.detail}"


def test_redact() -> None:
    assert wire.redact("a secret, secret", "secret") == "a [redacted], [redacted]"
    assert wire.redact("aa", "a") == "aa"
    assert wire.redact("text", "") == "text"
