"""What callers read when Prometheus fails: short, telling causes apart, nothing of its own text."""

from __future__ import annotations

import json
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from metrics_apiserver.base import errors
from metrics_apiserver.prometheus import failures


def api(error_type: object, text: object = "secret text") -> bytes:
    return json.dumps({"status": "error", "errorType": error_type, "error": text}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "why"),
    [
        (400, api("bad_data"), "api", "Prometheus refused the query (400 bad_data)"),
        (422, api("execution"), "api", "Prometheus refused the query (422 execution)"),
        (422, api("422"), "api", "Prometheus refused the query (422)"),
        (400, api("<script>"), "api", "Prometheus refused the query (400)"),
        (400, api(None, None), "api", "Prometheus refused the query (400)"),
        (400, b"<html>secret text", "http", "Prometheus did not accept the request (400)"),
        (422, b'["error"]', "http", "Prometheus did not accept the request (422)"),
        (400, b'{"status":"success"}', "http", "Prometheus did not accept the request (400)"),
        (401, b"secret text", "http", "Prometheus does not accept our credentials (401)"),
        (403, b"", "http", "Prometheus forbids the query to our credentials (403)"),
        (404, b"", "http", "Prometheus has no such path (404); check --prometheus-url"),
        (405, b"", "http", "does not take this method (405); set --prometheus-verb"),
        (413, b"", "http", "Prometheus finds the query too long (413)"),
        (414, b"", "http", "too long (414); set --prometheus-verb=POST"),
        (418, b"", "http", "Prometheus did not accept the request (418)"),
        (429, b"", "http", "Prometheus has too many queries (429)"),
        (500, api("internal"), "http", "Prometheus failed (500)"),
        (502, b"<html>", "http", "Prometheus failed (502)"),
        (503, b"", "http", "Prometheus is not ready (503)"),
        (503, api("unavailable"), "http", "Prometheus is not ready (503)"),
        (503, api("canceled"), "api", "Prometheus cancelled the query"),
        (301, b"", "http", "Prometheus answered with a redirect (301), which is never followed"),
        (304, b"", "http", "Prometheus answered with a redirect (304), which is never followed"),
        (204, b"", "http", "Prometheus did not accept the request (204)"),
        (599, b"", "http", "Prometheus failed (599)"),
    ],
)
def test_responses(status: int, body: bytes, kind: str, why: str) -> None:
    failure = failures.from_response(status, body)
    assert isinstance(failure, errors.UpstreamError)
    assert failure.message.startswith("unable to fetch metrics: ")
    assert failure.message.endswith(why)
    assert "secret" not in failure.message
    assert (failure.kind, failure.status) == (kind, status)


def test_time_limits_of_prometheus_are_timeouts() -> None:
    failure = failures.from_response(503, api("timeout", "query timed out in expression"))
    assert isinstance(failure, errors.UpstreamTimeout)
    assert failure.message.endswith("Prometheus gave the query up after its time")
    assert failure.detail == "query timed out in expression"


def test_detail_is_bounded() -> None:
    assert len(failures.from_response(400, api("bad_data", "x" * 99_999)).detail) == 16 * 1024
    assert len(failures.from_response(502, b"\xff" * 99_999).detail) == 16 * 1024
    assert len(failures.timeout("late", detail="x" * 99_999).detail) == 16 * 1024


KEY = ConnectionKey("prometheus", 9090, False, True, None, None, None)
REFUSED = ConnectionRefusedError(111, "refused")


@pytest.mark.parametrize(
    ("error", "kind", "why"),
    [
        (aiohttp.ClientConnectorDNSError(KEY, REFUSED), "unreachable", "does not resolve"),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError("bad")),
            "unreachable",
            "is not trusted",
        ),
        (aiohttp.ClientConnectorSSLError(KEY, REFUSED), "unreachable", "TLS handshake"),
        (aiohttp.ClientConnectorError(KEY, REFUSED), "unreachable", "no connection"),
        (aiohttp.ConnectionTimeoutError(), "unreachable", "accept the connection in time"),
        (aiohttp.ServerDisconnectedError(), "unreachable", "connection to Prometheus broke"),
        (aiohttp.ClientOSError(104, "reset"), "unreachable", "connection to Prometheus broke"),
        (aiohttp.ClientPayloadError(), "unreachable", "broke off"),
    ],
)
def test_exceptions(error: Exception, kind: str, why: str) -> None:
    failure = failures.from_exception(error)
    assert failure.kind == kind
    assert why in failure.message
    assert failure.status == 0
    assert type(error).__name__ in failure.detail
