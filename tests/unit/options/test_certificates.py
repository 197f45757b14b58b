"""Flags of certificates: every fault at once, with the names of the command that they belong to."""

from __future__ import annotations

from typing import Any

import pytest

from metrics_apiserver.options.certificates import SERVE_NAMES, CertificateFlags
from metrics_apiserver.options.settings import CertificateSettings

DAY = 86400.0
GOOD: dict[str, Any] = {
    "secret": "monitoring/serving-cert",
    "service": "custom-metrics-apiserver.monitoring",
    "apiservices": ["v1beta1.custom.metrics.k8s.io", "v1beta1.custom.metrics.k8s.io"],
    "cluster-domain": "cluster.local",
    "key-algorithm": "ECDSA-P256",
    "lifetime": 365 * DAY,
    "ca-lifetime": 3650 * DAY,
    "overlap": 600.0,
    "interval": 30.0,
}


def faults(**changes: object) -> dict[str, str]:
    values = {**GOOD, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return {fault.path: fault.message for fault in CertificateFlags(values).faults()}


def test_settings() -> None:
    assert faults() == {}
    assert CertificateFlags(GOOD).settings() == CertificateSettings(
        "monitoring",
        "serving-cert",
        "monitoring",
        "custom-metrics-apiserver",
        (
            "custom-metrics-apiserver.monitoring.svc",
            "custom-metrics-apiserver.monitoring",
            "custom-metrics-apiserver.monitoring.svc.cluster.local",
        ),
        ("v1beta1.custom.metrics.k8s.io",),
    )


def test_a_service_may_be_written_with_svc_and_there_may_be_no_domain() -> None:
    flags = CertificateFlags({**GOOD, "service": "s.n.svc", "cluster-domain": ""})
    assert flags.faults() == []
    assert flags.hosts() == ("s.n.svc", "s.n")


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
        ("apiservices", ["custom.metrics.k8s.io"]),
        ("apiservices", ["v1beta1."]),
        ("apiservices", ["../v1.x"]),
        ("cluster-domain", "cluster local"),
        ("cluster-domain", ".local"),
        ("key-algorithm", "RSA"),
        ("lifetime", -1.0),
        ("ca-lifetime", 700 * DAY),
        ("overlap", 61 * DAY),
        ("interval", 0.01),
        ("interval", 151.0),
    ],
)
def test_refused(name: str, value: object) -> None:
    assert f"--{name}" in faults(**{name.replace("-", "_"): value})


def test_every_fault_is_told_by_the_command_s_own_names() -> None:
    bad = {**GOOD, "secret": "", "service": "", "apiservices": ["x"], "overlap": 1.0}
    values = {SERVE_NAMES[name]: value for name, value in bad.items()}
    found = {fault.path: fault.message for fault in CertificateFlags(values, SERVE_NAMES).faults()}
    assert found == {
        "--cert-service": "must be NAME.NAMESPACE",
        "--cert-secret": "must be NAMESPACE/NAME",
        "--cert-apiservices": "'x' must be VERSION.GROUP",
        "--cert-interval": "must be at most a quarter of --cert-overlap",
    }
