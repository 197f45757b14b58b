"""Flags that contradict each other, or cannot mean anything, are refused all at once."""

from __future__ import annotations

import pytest

from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.options.settings import PrometheusSettings


class TestPrometheusSettings:
    @pytest.mark.parametrize(
        "url",
        [
            "http://prometheus",
            "http://prometheus:9090/",
            "https://prometheus-k8s.monitoring.svc:9090/",
            "HTTPS://prometheus/select/0/prometheus",
            "http://[::1]:9090/a%20b",
            "http://10.0.0.1:65535",
        ],
    )
    def test_urls(self, url: str) -> None:
        assert PrometheusSettings(url).url == url

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("", "must be http://host"),
            ("prometheus:9090", "must be http://host"),
            ("ftp://prometheus", "must be http://host"),
            ("http://", "must be http://host"),
            ("http:///path", "must be http://host"),
            ("http://prometheus:0", "character or port"),
            ("http://prometheus:65536", "not a URL"),
            ("http://prometheus:x", "not a URL"),
            ("http://[::1", "not a URL"),
            ("http://prom etheus", "character or port"),
            ("http://prometheus/a\r\nX: y", "character or port"),
            ("http://prometheus/é", "character or port"),
            ("http://prometheus\\@evil", "character or port"),
            ("http://prometheus?a=b", "query or fragment"),
            ("http://prometheus/?", "query or fragment"),
            ("http://prometheus#a", "query or fragment"),
            ("http://prometheus#", "query or fragment"),
            ("http://user:hunter2@prometheus", "user or password"),
            ("http://user@prometheus", "user or password"),
            ("http://@prometheus", "user or password"),
        ],
    )
    def test_other_urls_are_refused_and_not_repeated(self, url: str, why: str) -> None:
        with pytest.raises(ConfigError, match=why) as refused:
            PrometheusSettings(url)
        assert "hunter2" not in str(refused.value)

    def test_headers(self) -> None:
        headers = ("X-A=b=c", "X-Empty=", "X-Bare", "X-A=2", "X-Tab=a\tb")
        assert PrometheusSettings("http://p", headers=headers).header_pairs == (
            ("X-A", "b=c"),
            ("X-Empty", ""),
            ("X-Bare", ""),
            ("X-A", "2"),
            ("X-Tab", "a\tb"),
        )

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "=v",
            "X A=b",
            "X:A=b",
            "Ä=b",
            "X-A=hunter2\r\nX-B: c",
            "X-A=hunter2\x00",
            "content-length=5",
            "Transfer-Encoding=chunked",
            "Accept-Encoding=br",
        ],
    )
    def test_other_headers_are_refused_and_their_values_not_repeated(self, header: str) -> None:
        with pytest.raises(ConfigError, match="--prometheus-header") as refused:
            PrometheusSettings("http://p", headers=(header,))
        assert "hunter2" not in str(refused.value)

    def test_secrets_stay_out_of_repr(self) -> None:
        settings = PrometheusSettings("http://p", headers=("Authorization=Bearer hunter2",))
        assert "hunter2" not in repr(settings)

    @pytest.mark.parametrize(
        "settings",
        [
            {"username_file": "u"},
            {"password_file": "p"},
            {"client_cert_file": "c"},
            {"client_key_file": "k"},
            {"token_file": "t", "username_file": "u", "password_file": "p"},
            {"ca_file": "c", "insecure_skip_verify": True},
            {"verb": "PUT"},
            {"timeout_seconds": 0.0},
            {"max_body_bytes": -1},
            {"max_series_body_bytes": 0},
            {"max_concurrent": 0},
        ],
        ids=str,
    )
    def test_contradictions_are_refused(self, settings: dict[str, object]) -> None:
        with pytest.raises(ConfigError):
            PrometheusSettings("http://p", **settings)  # type: ignore[arg-type] # any, by name

    def test_every_fault_is_named_at_once(self) -> None:
        with pytest.raises(ConfigError) as refused:
            PrometheusSettings("ftp://p?a", headers=("=",), token_file="t", username_file="u")
        assert len(refused.value.diagnostics) == 5
