"""Status bodies byte for byte as kube-apiserver and the predecessor write them."""

from __future__ import annotations

import logging

import orjson
import pytest

from metrics_apiserver.api import status
from metrics_apiserver.base import errors


@pytest.mark.parametrize(
    ("error", "code", "body"),
    [
        (
            errors.MetricNotFound("queue_depth", "pods", name="web-0"),
            404,
            b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":'
            b'"the server could not find the metric queue_depth for pods web-0",'
            b'"reason":"NotFound","code":404}',
        ),
        (
            errors.Internal("unable to fetch metrics"),
            500,
            b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":'
            b'"Internal error occurred: unable to fetch metrics","reason":"InternalError",'
            b'"details":{"causes":[{"message":"unable to fetch metrics"}]},"code":500}',
        ),
        (
            errors.MethodNotAllowed(
                'watch is not supported on resources of kind "pods.metrics.k8s.io"',
                group="metrics.k8s.io",
                kind="pods",
            ),
            405,
            b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":'
            b'"watch is not supported on resources of kind \\"pods.metrics.k8s.io\\"",'
            b'"reason":"MethodNotAllowed","details":{"group":"metrics.k8s.io","kind":"pods"},'
            b'"code":405}',
        ),
        (
            errors.Unauthorized(),
            401,
            b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":'
            b'"Unauthorized","reason":"Unauthorized","code":401}',
        ),
    ],
)
def test_bodies(error: errors.MetricsError, code: int, body: bytes) -> None:
    answer = status.render(error)
    assert (answer.status, answer.content_type) == (code, "application/json")
    assert answer.body == body


@pytest.mark.parametrize(
    ("error", "code", "reason", "details"),
    [
        (errors.BadRequest("x"), 400, "BadRequest", None),
        (errors.InvalidSelector("x"), 400, "BadRequest", None),
        (errors.Forbidden("x"), 403, "Forbidden", {}),
        (
            errors.Forbidden("x", name="*", group="g", kind="pods"),
            403,
            "Forbidden",
            {"name": "*", "group": "g", "kind": "pods"},
        ),
        (errors.NotFound(), 404, "NotFound", {}),
        (
            errors.NotFound('node "n" not found', name="n", kind="node"),
            404,
            "NotFound",
            {"name": "n", "kind": "node"},
        ),
        (errors.MethodNotAllowed(), 405, "MethodNotAllowed", {}),
        (errors.NotAcceptable("x"), 406, "NotAcceptable", None),
        (errors.RequestTooLarge("x"), 413, "RequestEntityTooLarge", None),
        (errors.TooManyRequests(), 429, "TooManyRequests", None),
        (
            errors.AuthorizerFailed("x"),
            500,
            "InternalError",
            {"causes": [{"message": "x"}]},
        ),
        (errors.Unavailable("x"), 503, "ServiceUnavailable", None),
        (errors.UpstreamError("x", kind="http"), 503, "ServiceUnavailable", None),
        (errors.UpstreamTimeout("x"), 504, "Timeout", {}),
        (TimeoutError("secret"), 504, "Timeout", {}),
        (
            ValueError("secret"),
            500,
            "InternalError",
            {"causes": [{"message": "unexpected error"}]},
        ),
    ],
)
def test_code_reason_and_details(
    error: BaseException, code: int, reason: str, details: dict[str, object] | None
) -> None:
    answer = status.render(error)
    body = orjson.loads(answer.body)
    assert status.code_of(error) == answer.status == body["code"] == code
    assert body["reason"] == reason
    assert body.get("details") == details
    assert b"secret" not in answer.body


def test_the_detail_never_reaches_the_caller() -> None:
    answer = status.render(errors.UpstreamError("short", kind="http", detail="Bearer secret"))
    assert b"secret" not in answer.body


def test_an_unknown_reason_is_our_failure() -> None:
    class Odd(errors.MetricsError):
        reason = "Odd"

    assert status.render(Odd("x")).status == 500


def test_headers_of_403_and_429() -> None:
    assert status.render(errors.Forbidden("x")).headers == (("X-Content-Type-Options", "nosniff"),)
    assert status.render(errors.TooManyRequests()).headers == (("Retry-After", "1"),)
    assert status.render(errors.Unavailable("x")).headers == ()


def test_an_empty_reason_is_left_out() -> None:
    assert "reason" not in orjson.loads(status.failure(431, "", "x").body)


def test_text_that_is_not_unicode_still_makes_a_status() -> None:
    assert orjson.loads(status.render(errors.BadRequest("a\udce9")).body)["message"] == "a?"


@pytest.mark.parametrize(
    ("error", "level", "text"),
    [
        (errors.BadRequest("b\nad"), logging.DEBUG, "'b\\nad'"),
        (errors.UpstreamError("short", kind="http", detail="lo\nng"), logging.WARNING, "'lo\\nng'"),
        (TimeoutError(), logging.WARNING, "deadline"),
        (ValueError("x"), logging.ERROR, "ValueError"),
    ],
)
def test_one_log_line_each(
    caplog: pytest.LogCaptureFixture, error: BaseException, level: int, text: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        status.log(error, "get", "/a\x1b[2J\nb")
    (record,) = caplog.records
    assert record.levelno == level
    assert text in record.getMessage()
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()
