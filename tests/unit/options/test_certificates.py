"""Flags of certificates, with every diagnostic at once."""

from __future__ import annotations

import pytest

from metrics_apiserver.base import flags, settings
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.options.certificates import CertificateSettings, PairSettings

GOOD = {
    "secret": "monitoring/serving-cert",
    "service": "custom-metrics-apiserver.monitoring",
    "apiservices": "v1beta1.custom.metrics.k8s.io,v1beta1.custom.metrics.k8s.io",
}


def build(changes: dict[str, str]) -> CertificateSettings:
    words = [f"--{name}={value}" for name, value in {**GOOD, **changes}.items()]
    parsed = flags.parse(settings.table(CertificateSettings), words)
    return settings.build(CertificateSettings, parsed)


def diagnostics(**changes: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as refused:
        build({name.replace("_", "-"): value for name, value in changes.items()})
    return {one.path: one.message for one in refused.value.diagnostics}


def test_settings() -> None:
    made = build({})
    assert (made.secret_namespace, made.secret_name) == ("monitoring", "serving-cert")
    assert (made.service_namespace, made.service_name) == ("monitoring", "custom-metrics-apiserver")
    assert made.hosts == (
        "custom-metrics-apiserver.monitoring.svc",
        "custom-metrics-apiserver.monitoring",
        "custom-metrics-apiserver.monitoring.svc.cluster.local",
    )
    assert made.api_services == ("v1beta1.custom.metrics.k8s.io",)


def test_a_service_may_be_written_with_svc_and_there_may_be_no_domain() -> None:
    made = build({"service": "s.n.svc", "cluster-domain": ""})
    assert made.hosts == ("s.n.svc", "s.n")
    assert (made.service_namespace, made.service_name) == ("n", "s")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("secret", "serving-cert"),
        ("secret", "a/b/c"),
        ("secret", "A/b"),
        ("secret", "/b"),
        ("service", "s"),
        ("service", "s.n.svc.cluster.local"),
        ("service", ""),
        ("service", "s.n\n"),
        ("apiservices", "custom.metrics.k8s.io"),
        ("apiservices", "v1beta1."),
        ("apiservices", "../v1.x"),
        ("cluster-domain", "cluster local"),
        ("cluster-domain", ".local"),
        ("key-algorithm", "RSA"),
        ("lifetime", "-1s"),
        ("ca-lifetime", "16800h"),
        ("overlap", "1464h"),
        ("interval", "10ms"),
        ("interval", "151s"),
    ],
)
def test_refused(name: str, value: str) -> None:
    assert f"--{name}" in diagnostics(**{name.replace("-", "_"): value})


def test_every_fault_is_told_at_once() -> None:
    assert diagnostics(secret="", service="", apiservices="x", overlap="1s") == {
        "--service": "must be NAME.NAMESPACE",
        "--secret": "must be NAMESPACE/NAME",
        "--apiservices": "'x' must be VERSION.GROUP",
        "--interval": "must be at most a quarter of --overlap",
    }


def test_a_pair_may_be_in_no_secret() -> None:
    parsed = flags.parse(settings.table(PairSettings), ["--service=s.n"])
    assert settings.build(PairSettings, parsed).secret == ""
