"""What the flags of `serve` mean, and what they must not say together."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.options import serve
from metrics_apiserver.options.settings import ServeSettings

GOOD = ("--config=/etc/adapter/config.yaml",)

ALIBABA = """
--secure-port=6443
--tls-cert-file=/var/run/serving-cert/serving.crt
--tls-private-key-file=/var/run/serving-cert/serving.key
--logtostderr=true
--prometheus-url=http://prometheus-svc.kube-system.svc.cluster.local:9090/
--metrics-relist-interval=1m
--v=10
--config=/etc/adapter/config.yaml
"""
CHART = """
--secure-port=6443
--cert-dir=/tmp/cert
--prometheus-url=http://prometheus.default.svc:9090
--metrics-relist-interval=1m
--v=4
--config=/etc/adapter/config.yaml
"""
KUBE_PROMETHEUS = """
--cert-dir=/var/run/serving-cert
--config=/etc/adapter/config.yaml
--metrics-relist-interval=1m
--prometheus-url=http://prometheus-k8s.monitoring.svc:9090/
--secure-port=6443
--tls-cipher-suites=TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384,TLS_CHACHA20_POLY1305_SHA256,\
TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,\
TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,\
TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305,\
TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA,\
TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,\
TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,\
TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305,\
TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,TLS_RSA_WITH_3DES_EDE_CBC_SHA,\
TLS_RSA_WITH_AES_128_CBC_SHA,TLS_RSA_WITH_AES_128_GCM_SHA256,TLS_RSA_WITH_AES_256_CBC_SHA,\
TLS_RSA_WITH_AES_256_GCM_SHA384
"""


def build(*words: str) -> ServeSettings:
    return serve.parse(words)


def diagnostics(*words: str) -> dict[str, str]:
    with pytest.raises(errors.ConfigError) as refused:
        build(*words)
    return {one.path: one.message for one in refused.value.diagnostics}


def test_the_command_line_of_the_alibaba_document() -> None:
    settings = build(*ALIBABA.split())
    assert settings.config == "/etc/adapter/config.yaml"
    assert settings.serving.port == 6443
    assert settings.serving.cert_file == "/var/run/serving-cert/serving.crt"
    assert settings.serving.key_file == "/var/run/serving-cert/serving.key"
    assert settings.prometheus.url == "http://prometheus-svc.kube-system.svc.cluster.local:9090/"
    assert settings.relist.interval_seconds == 60.0
    assert settings.relist.max_age_seconds == 60.0
    assert settings.verbosity == 10
    assert settings.ignored_flags == ("logtostderr",)


def test_the_command_line_of_the_chart() -> None:
    settings = build(*CHART.split())
    assert settings.serving.cert_dir == "/tmp/cert"
    assert (settings.serving.cert_file, settings.serving.key_file) == ("", "")
    assert settings.verbosity == 4
    assert settings.ignored_flags == ()


def test_the_command_line_of_kube_prometheus() -> None:
    settings = build(*KUBE_PROMETHEUS.split())
    assert len(settings.serving.cipher_suites) == 23
    assert settings.serving.cert_dir == "/var/run/serving-cert"


def test_defaults() -> None:
    settings = build(*GOOD)
    assert settings.prometheus.url == "https://localhost"
    assert settings.prometheus.verb == "auto"
    assert settings.relist.interval_seconds == settings.relist.max_age_seconds == 600.0
    assert settings.evaluation.freshness_seconds == 5.0
    assert settings.evaluation.timeout_seconds == 10.0
    assert settings.serving.bind_address == "0.0.0.0"
    assert settings.serving.port == 443
    assert settings.authorization.always_allow_paths == ("/healthz", "/readyz", "/livez")
    assert not settings.standalone
    assert not settings.prometheus.fail_on_warnings


def test_every_flag_with_a_meaning_reaches_the_settings() -> None:
    settings = build(
        *GOOD,
        *("--metrics-relist-interval=30s", "--metrics-max-age=2m", "--query-freshness=0"),
        *("--prometheus-url=http://p:9090/prom", "--prometheus-verb=POST"),
        *("--prometheus-header=A=1", "--prometheus-header=B=2", "--prometheus-token-file=/t"),
        *("--prometheus-ca-file=/ca", "--prometheus-client-tls-cert-file=/c"),
        *("--prometheus-client-tls-key-file=/k", "--prometheus-timeout=3s"),
        *("--prometheus-warnings=fail", "--prometheus-max-response-bytes=1000"),
        *("--prometheus-max-concurrent-queries=3", "--prometheus-auth-incluster"),
        *("--lister-kubeconfig=/l", "--authentication-kubeconfig=/n"),
        *("--authorization-kubeconfig=/z", "--discovery-interval=5s"),
        *("--client-ca-file=/cca", "--requestheader-client-ca-file=/rca"),
        *("--requestheader-allowed-names=a,b", "--requestheader-username-headers=X-U"),
        *("--requestheader-group-headers=X-G", "--requestheader-extra-headers-prefix=X-E-"),
        *("--requestheader-uid-headers=X-I", "--authentication-skip-lookup"),
        *("--authentication-token-webhook-cache-ttl=1s",),
        *("--authorization-webhook-cache-authorized-ttl=2s",),
        *("--authorization-webhook-cache-unauthorized-ttl=3s",),
        *("--authorization-always-allow-paths=/x,/y/*", "--bind-address=::1", "--secure-port=1"),
        *("--tls-cert-file=/sc", "--tls-private-key-file=/sk", "--cert-dir=/d"),
        *("--tls-min-version=VersionTLS13", "--shutdown-drain=0"),
        *("--tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",),
        *("--max-requests-inflight=5", "--max-connections=6", "--v=2", "--logging-format=json"),
    )
    assert settings.relist.interval_seconds == 30.0
    assert settings.relist.max_age_seconds == 120.0
    assert settings.evaluation.freshness_seconds == 0.0
    assert settings.evaluation.timeout_seconds == settings.prometheus.timeout_seconds == 3.0
    prometheus = settings.prometheus
    assert prometheus.url == "http://p:9090/prom"
    assert prometheus.verb == "POST"
    assert prometheus.header_pairs == (("A", "1"), ("B", "2"))
    assert prometheus.token_file == "/t"
    assert prometheus.ca_file == "/ca"
    assert (prometheus.client_cert_file, prometheus.client_key_file) == ("/c", "/k")
    assert prometheus.fail_on_warnings
    assert (prometheus.max_body_bytes, prometheus.max_concurrent) == (1000, 3)
    assert settings.prometheus.auth_incluster
    kube = settings.kube
    assert (kube.lister_kubeconfig, kube.authentication_kubeconfig) == ("/l", "/n")
    assert (kube.authorization_kubeconfig, kube.discovery_interval_seconds) == ("/z", 5.0)
    authentication = settings.authentication
    assert authentication.client_ca_file == "/cca"
    assert authentication.requestheader_ca_file == "/rca"
    assert authentication.requestheader_allowed_names == ("a", "b")
    assert authentication.requestheader_username_headers == ("X-U",)
    assert authentication.requestheader_group_headers == ("X-G",)
    assert authentication.requestheader_extra_prefixes == ("X-E-",)
    assert authentication.requestheader_uid_headers == ("X-I",)
    assert authentication.skip_lookup
    assert authentication.token_ttl_seconds == 1.0
    assert settings.authorization.allowed_ttl_seconds == 2.0
    assert settings.authorization.denied_ttl_seconds == 3.0
    assert settings.authorization.always_allow_paths == ("/x", "/y/*")
    serving = settings.serving
    assert (serving.bind_address, serving.port) == ("::1", 1)
    assert (serving.cert_file, serving.key_file, serving.cert_dir) == ("/sc", "/sk", "/d")
    assert (serving.min_version, serving.drain_seconds) == ("VersionTLS13", 0.0)
    assert serving.cipher_suites == ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",)
    assert (serving.max_in_flight, serving.max_connections) == (5, 6)
    assert (settings.verbosity, settings.log_format) == (2, "json")


def test_other_credentials() -> None:
    settings = build(
        *GOOD,
        *("--prometheus-username-file=/u", "--prometheus-password-file=/p"),
        "--prometheus-auth-config=/kc",
    )
    assert settings.prometheus.username_file == "/u"
    assert settings.prometheus.password_file == "/p"
    assert settings.prometheus.auth_config == "/kc"


def test_standalone_has_defaults_of_its_own() -> None:
    settings = build("--standalone", "--write-kubeconfig=/k")
    assert settings.standalone
    assert settings.write_kubeconfig == "/k"
    assert settings.serving.bind_address == "127.0.0.1"
    assert settings.serving.port == 6443
    assert settings.prometheus.url == "http://127.0.0.1:9090"
    assert settings.relist.interval_seconds == settings.relist.max_age_seconds == 10.0
    assert Path(settings.config).is_file()


def test_standalone_keeps_what_was_given() -> None:
    settings = build("--standalone", "--secure-port=7", "--config=/c", "--bind-address=::1")
    assert settings.serving.port == 7
    assert settings.serving.bind_address == "::1"
    assert settings.config == "/c"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "localhost", ""])
def test_standalone_serves_on_loopback_only(address: str) -> None:
    assert "--standalone" in diagnostics("--standalone", f"--bind-address={address}")


def test_every_contradiction_is_named_at_once() -> None:
    found = diagnostics(
        *("--tls-cert-file=/c", "--secure-port=70000", "--bind-address=here"),
        *("--write-kubeconfig=/k", "--metrics-relist-interval=1m", "--metrics-max-age=30s"),
        *("--prometheus-auth-incluster", "--prometheus-auth-config=/k"),
        *("--prometheus-warnings=hide", "--logging-format=xml"),
        *("--requestheader-username-headers=", "--query-freshness=-1s", "--shutdown-drain=-1s"),
        *("--max-connections=0", "--discovery-interval=0", "--max-requests-inflight=-1"),
        *("--prometheus-url=ftp://u:s3cret@h", "--prometheus-verb=PUT", "--prometheus-timeout=0"),
        *("--prometheus-max-response-bytes=0", "--prometheus-max-concurrent-queries=0"),
        *("--tls-min-version=VersionTLS10", "--tls-cipher-suites=TLS_NULL"),
        *("--authentication-token-webhook-cache-ttl=-1s", "positional"),
        *("--authorization-webhook-cache-authorized-ttl=-1s",),
        *("--authorization-webhook-cache-unauthorized-ttl=-1s",),
    )
    assert set(found) == {
        *("--config", "--tls-cert-file", "--secure-port", "--bind-address", "--write-kubeconfig"),
        *("--metrics-max-age", "--prometheus-auth-config", "--prometheus-warnings"),
        *("--logging-format", "--requestheader-username-headers", "--query-freshness"),
        *("--shutdown-drain", "--max-connections", "--discovery-interval"),
        *("--max-requests-inflight", "--prometheus-url", "--prometheus-verb"),
        *("--prometheus-timeout", "--prometheus-max-response-bytes", "arguments"),
        *("--prometheus-max-concurrent-queries", "--tls-min-version", "--tls-cipher-suites"),
        *("--authentication-token-webhook-cache-ttl",),
        *("--authorization-webhook-cache-authorized-ttl",),
        *("--authorization-webhook-cache-unauthorized-ttl",),
    }
    assert "s3cret" not in str(found)


def test_a_key_without_a_certificate() -> None:
    assert "--tls-cert-file" in diagnostics(*GOOD, "--tls-private-key-file=/k")


def test_relist_has_a_shortest_interval() -> None:
    assert "--metrics-relist-interval" in diagnostics(*GOOD, "--metrics-relist-interval=10ms")
    assert build(*GOOD, "--metrics-relist-interval=100ms").relist.interval_seconds == 0.1


def test_a_negative_age_is_named_once_for_each_reason() -> None:
    assert "--metrics-max-age" in diagnostics(*GOOD, "--metrics-max-age=-1s")


def test_ignored_flags_are_told_once_each() -> None:
    settings = build(*GOOD, "--profiling=false", "--audit-log-maxage=3", "--profiling=true")
    assert settings.ignored_flags == ("profiling", "audit-log-maxage")


KEPT = (
    *GOOD,
    "--cert-secret=monitoring/serving-cert",
    "--cert-service=s.monitoring",
    "--cert-apiservices=v1beta1.custom.metrics.k8s.io,v1beta2.custom.metrics.k8s.io",
)


def test_certificates_are_kept_only_where_a_secret_is_named() -> None:
    assert not build(*GOOD).certificates.secret
    kept = build(*KEPT, "--cert-overlap=1m", "--cert-interval=15s").certificates
    assert (kept.secret_namespace, kept.secret_name) == ("monitoring", "serving-cert")
    assert kept.hosts[0] == "s.monitoring.svc"
    assert len(kept.api_services) == 2
    assert (kept.overlap_seconds, kept.interval_seconds) == (60.0, 15.0)


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ((*KEPT, "--tls-cert-file=/c", "--tls-private-key-file=/k"), "--cert-secret"),
        ((*KEPT, "--standalone"), "--cert-secret"),
        ((*GOOD, "--cert-service=s.monitoring"), "--cert-secret"),
        ((*GOOD, "--cert-apiservices=v1.x"), "--cert-secret"),
        ((*GOOD, "--cert-secret=monitoring/serving-cert"), "--cert-service"),
        ((*KEPT, "--cert-interval=1h"), "--cert-interval"),
    ],
)
def test_certificate_flags_that_contradict(words: tuple[str, ...], flag: str) -> None:
    assert flag in diagnostics(*words)


def test_every_diagnostic_names_the_flags_of_serve() -> None:
    assert diagnostics(
        *KEPT, "--cert-apiservices=x", "--cert-overlap=1s", "--cert-ca-lifetime=1h"
    ) == {
        "--cert-apiservices": "'x' must be VERSION.GROUP",
        "--cert-interval": "must be at most a quarter of --cert-overlap",
        "--cert-ca-lifetime": "must be at least twice --cert-lifetime",
    }


def test_an_argument_that_is_no_flag_may_be_a_secret() -> None:
    found = diagnostics(*GOOD, "--prometheus-header=Authorization=Bearer", "hunter2")
    assert found == {"arguments": "unexpected argument 'hun\u2026' (word 3)"}
