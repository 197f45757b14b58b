"""The error tree: reasons of metav1.Status, and texts that a person can act on."""

from __future__ import annotations

import inspect

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError, KubeError, MetricNotFound

REASONS = {
    "BadRequest": (errors.BadRequest, errors.InvalidSelector),
    "Unauthorized": (errors.Unauthorized,),
    "Forbidden": (errors.Forbidden,),
    "NotFound": (errors.NotFound, errors.MetricNotFound),
    "MethodNotAllowed": (errors.MethodNotAllowed,),
    "NotAcceptable": (errors.NotAcceptable,),
    "RequestEntityTooLarge": (errors.RequestTooLarge,),
    "TooManyRequests": (errors.TooManyRequests,),
    "InternalError": (errors.MetricsError, errors.Internal, errors.AuthorizerFailed),
    "ServiceUnavailable": (errors.Unavailable, errors.UpstreamError, errors.KubeError),
    "Timeout": (errors.UpstreamTimeout,),
}


def test_every_class_has_its_reason() -> None:
    expected = {kind: reason for reason, kinds in REASONS.items() for kind in kinds}
    tree = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.MetricsError)
    }
    assert {kind: kind.reason for kind in tree} == expected


def test_the_docstring_draws_the_whole_tree() -> None:
    drawn = errors.__doc__ or ""
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, Exception):
            assert name in drawn


def test_what_needs_no_words_has_its_own() -> None:
    assert str(errors.Unauthorized()) == "Unauthorized"
    assert str(errors.NotFound()) == "the server could not find the requested resource"
    assert str(errors.TooManyRequests()) == "Too many requests, please try again later."
    refused = errors.MethodNotAllowed(group="g", kind="k")
    assert str(refused) == "the server does not allow this method on the requested resource"
    assert (refused.group, refused.kind) == ("g", "k")


def test_messages_are_for_callers_and_details_for_the_log() -> None:
    error = errors.UpstreamError("short", kind="http", status=502, detail="long")
    assert (str(error), error.message, error.detail) == ("short", "short", "long")
    assert (error.kind, error.status) == ("http", 502)
    assert errors.Internal("x").detail == ""


@pytest.mark.parametrize("kind", [errors.Forbidden, errors.NotFound])
def test_status_details(kind: type[errors.Forbidden] | type[errors.NotFound]) -> None:
    error = kind("no", name="n", group="g", kind="k", detail="d")
    assert (error.name, error.group, error.kind, error.detail) == ("n", "g", "k", "d")
    bare = kind("no")
    assert (bare.name, bare.group, bare.kind) == ("", "", "")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MetricNotFound("m", "pods"), "the server could not find the metric m for pods"),
        (
            MetricNotFound("m", "pods", name="a", why="no series"),
            "the server could not find the metric m for pods a: no series",
        ),
        (
            MetricNotFound("m", "jobs.batch", why="no rule"),
            "the server could not find the metric m for jobs.batch: no rule",
        ),
    ],
)
def test_a_metric_that_is_not_found_begins_as_the_predecessor_s(
    error: MetricNotFound, text: str
) -> None:
    assert str(error) == text
    assert error.metric == "m"


@pytest.mark.parametrize(
    ("kind", "status", "repeatable"),
    [
        ("unreachable", 0, True),
        ("reset", 0, True),
        ("timeout", 0, True),
        ("tls", 0, False),
        ("protocol", 0, False),
        ("http", 429, True),
        ("http", 500, True),
        ("http", 502, True),
        ("http", 503, True),
        ("http", 504, True),
        ("http", 403, False),
        ("http", 410, False),
    ],
)
def test_what_may_be_asked_again(kind: str, status: int, repeatable: bool) -> None:
    error = KubeError("no", kind=kind, status=status, retry_after=3.0)
    assert error.repeatable is repeatable
    assert error.retry_after == 3.0


def test_a_config_error_says_all() -> None:
    diagnostics = (Diagnostic("one", line=1), Diagnostic("two", line=2))
    error = ConfigError("f.yaml", diagnostics)
    assert str(error) == "f.yaml:1: one\nf.yaml:2: two"
    assert (error.source, error.diagnostics) == ("f.yaml", diagnostics)


def test_places_of_template_errors() -> None:
    assert errors.TemplateError("bad").offset == -1
    error = errors.TemplateError("bad", offset=4)
    assert (str(error), error.message, error.offset) == ("bad", "bad", 4)


def test_a_quantity_error_is_a_value_error() -> None:
    assert issubclass(errors.QuantityError, ValueError)
