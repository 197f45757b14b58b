"""Flags that contradict each other, or cannot mean anything, are refused all at once."""

from __future__ import annotations

import pytest

from metrics_apiserver.base import flags, settings
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.options.prometheus import (
    EvaluationSettings,
    PrometheusSettings,
    RelistSettings,
)


def prometheus(*words: str, url: str = "http://p") -> PrometheusSettings:
    """What these flags mean."""
    table = settings.table(PrometheusSettings)
    parsed = flags.parse(table, [f"--prometheus-url={url}", *words])
    return settings.build(PrometheusSettings, parsed)


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
        assert prometheus(url=url).url == url

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
            prometheus(url=url)
        assert "hunter2" not in str(refused.value)

    def test_headers(self) -> None:
        headers = ("X-A=b=c", "X-Empty=", "X-Bare", "X-A=2", "X-Tab=a\tb")
        words = [f"--prometheus-header={header}" for header in headers]
        assert prometheus(*words).header_pairs == (
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
            prometheus(f"--prometheus-header={header}")
        assert "hunter2" not in str(refused.value)

    def test_secrets_stay_out_of_repr(self) -> None:
        made = prometheus("--prometheus-header=Authorization=Bearer hunter2")
        assert made.header_pairs
        assert "hunter2" not in repr(made)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("username-file=u", "username-file: needs --prometheus-password-file"),
            ("password-file=p", "username-file: needs --prometheus-password-file"),
            ("client-tls-cert-file=c", "cert-file: needs --prometheus-client-tls-key-file"),
            ("client-tls-key-file=k", "cert-file: needs --prometheus-client-tls-key-file"),
            ("token-file=t username-file=u password-file=p", "token-file: cannot be used together"),
            ("auth-incluster auth-config=c", "auth-config: cannot be used together"),
            ("verb=PUT", "verb: must be auto, GET or POST"),
            ("timeout=0", "timeout: must be greater than 0"),
            ("max-response-bytes=-1", "max-response-bytes: must be greater than 0"),
            ("max-concurrent-queries=0", "max-concurrent-queries: must be greater than 0"),
            ("warnings=hide", "warnings: must be serve or fail"),
        ],
    )
    def test_contradictions_are_refused(self, words: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message) as refused:
            prometheus(*(f"--prometheus-{word}" for word in words.split()))
        assert len(refused.value.diagnostics) == 1

    def test_every_fault_is_named_at_once(self) -> None:
        with pytest.raises(ConfigError) as refused:
            prometheus(
                *("--prometheus-header==", "--prometheus-token-file=t"),
                "--prometheus-username-file=u",
                url="ftp://p?a",
            )
        assert len(refused.value.diagnostics) == 5


def test_the_longest_age_of_a_series_is_the_relist_interval_unless_it_is_chosen() -> None:
    assert RelistSettings(30.0).max_age_seconds == 30.0
    assert RelistSettings(30.0, 300.0).max_age_seconds == 300.0


def test_an_evaluation_has_the_time_that_its_query_has() -> None:
    assert EvaluationSettings().timeout_seconds == PrometheusSettings().timeout_seconds
