from __future__ import annotations

import pytest

from metrics_apiserver.api import parameters
from metrics_apiserver.base import errors


@pytest.mark.parametrize("name", ["limit", "timeoutSeconds"])
@pytest.mark.parametrize("text", ["", "0", "500", "-1", "+3", "9223372036854775807"])
def test_numbers_that_pass(name: str, text: str) -> None:
    parameters.check({name: text})


@pytest.mark.parametrize("name", ["limit", "timeoutSeconds"])
@pytest.mark.parametrize("text", ["x", "1.5", "1e3", " 1", "\u0661", "9223372036854775808", "0x1"])
def test_numbers_that_do_not(name: str, text: str) -> None:
    with pytest.raises(errors.BadRequest, match=f"the parameter {name} must be a whole number"):
        parameters.check({name: text})


def test_unknown_parameters_pass() -> None:
    parameters.check({"watch": "true", "resourceVersion": "x", "pretty": "?"})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("30s", 30.0), ("1m30s", 90.0), ("500ms", 0.5), ("-1s", -1.0), ("+1h", 3600.0)],
)
def test_a_timeout_is_a_duration_of_go(text: str, seconds: float) -> None:
    assert parameters.duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "s", "1x", "1 s", "\u0661s", "1s" * 40])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(errors.BadRequest, match="the parameter timeout must be a duration"):
        parameters.duration_seconds(text)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        ("metadata.name=x", {"metadata.name": "x"}),
        ("metadata.name==x", {"metadata.name": "x"}),
        ("metadata.name=", {"metadata.name": ""}),
        (
            "metadata.name=x,metadata.namespace=y",
            {"metadata.name": "x", "metadata.namespace": "y"},
        ),
        (",metadata.name=x,", {"metadata.name": "x"}),
    ],
)
def test_field_selectors(text: str, fields: dict[str, str]) -> None:
    assert parameters.parse_fields(text) == fields


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("spec.nodeName=x", '"spec.nodeName" is not a known field selector'),
        ("=x", '"" is not a known field selector'),
        ("metadata.name!=x", "must use ="),
        ("metadata.name", "can't understand 'metadata.name'"),
        ("metadata.name=x,y", "can't understand 'y'"),
        ("!", "can't understand '!'"),
    ],
)
def test_field_selectors_that_are_refused(text: str, why: str) -> None:
    with pytest.raises(errors.BadRequest, match=why):
        parameters.parse_fields(text)
