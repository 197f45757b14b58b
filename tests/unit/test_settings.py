from __future__ import annotations

import dataclasses

import pytest

from metrics_apiserver import settings
from metrics_apiserver.core.errors import ConfigError
from metrics_apiserver.settings import PrometheusSettings


def faults(**values: object) -> list[str]:
    made = {"url": "http://prometheus:9090", **values}
    with pytest.raises(ConfigError) as refused:
        PrometheusSettings(**made)  # type: ignore[arg-type]  # keyword tables of one test
    return [f"{fault.path}: {fault.message}" for fault in refused.value.faults]


@pytest.mark.parametrize(
    "url",
    [
        "http://prometheus",
        "https://prometheus:9090/",
        "http://[::1]:9090/prefix/deep",
        "http://127.0.0.1:1",
    ],
)
def test_urls_that_can_be_used(url: str) -> None:
    assert PrometheusSettings(url).url == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "must be http://host"),
        ("prometheus:9090", "must be http://host"),
        ("ftp://h", "must be http://host"),
        ("http://", "must be http://host"),
        ("http://h:0", "cannot have"),
        ("http://h:99999", "is not a URL"),
        ("http://[::1", "is not a URL"),
        ("http://h/a b", "cannot have"),
        ("http://h/\\x", "cannot have"),
        ("http://h\u00e9", "cannot have"),
        ("http://user:s3cret@h", "must not hold a user or password"),
        ("http://h?query=1", "must not have a query"),
        ("http://h#f", "must not have a query"),
        ("http://h?", "must not have a query"),
    ],
)
def test_urls_that_cannot(url: str, why: str) -> None:
    found = faults(url=url)
    assert any(why in fault for fault in found)
    assert "s3cret" not in str(found)


def test_header_pairs() -> None:
    made = PrometheusSettings("http://h", headers=("A=1", "B=x=y", "C"))
    assert made.header_pairs == (("A", "1"), ("B", "x=y"), ("C", ""))


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("=1", "valid header name"),
        ("A b=1", "valid header name"),
        ("Content-Length=1", "set by the client itself"),
        ("transfer-encoding=chunked", "set by the client itself"),
        ("A=x\ny: z", "control character"),
        ("A=\x00", "control character"),
    ],
)
def test_headers_that_cannot_be_sent(header: str, why: str) -> None:
    [fault] = faults(headers=(header,))
    assert why in fault


def test_every_fault_is_found_at_once() -> None:
    found = faults(
        url="x",
        headers=("=",),
        username_file="/u",
        token_file="/t",
        client_cert_file="/c",
        insecure_skip_verify=True,
        ca_file="/ca",
        verb="PUT",
        timeout_seconds=0.0,
        max_body_bytes=0,
        max_series_body_bytes=-1,
        max_concurrent=0,
    )
    assert len(found) == 11


def test_secrets_stay_out_of_repr() -> None:
    made = PrometheusSettings("http://h", headers=("Authorization=Bearer s3cret",))
    assert "s3cret" not in repr(made)


def test_all_settings_are_frozen_and_slotted() -> None:
    classes = [
        value
        for value in vars(settings).values()
        if isinstance(value, type) and value.__module__ == settings.__name__
    ]
    assert len(classes) >= 8
    for made in classes:
        assert dataclasses.is_dataclass(made)
        assert made.__dataclass_params__.frozen  # type: ignore[attr-defined]  # set by dataclass
        assert not hasattr(made, "__dict__") or "__slots__" in vars(made)
