from __future__ import annotations

import ssl

import pytest

from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.certs import ciphers

# As the manifests of kube-prometheus name them.
SHIPPED = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_RC4_128_SHA",
]


def offered(names: list[str]) -> set[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(ciphers.openssl_list(names))
    return {c["name"] for c in context.get_ciphers() if c["protocol"] != "TLSv1.3"}


def test_default_is_forward_secret_and_authenticated() -> None:
    names = offered([])
    assert len(names) == 6
    assert all(name.startswith("ECDHE-") for name in names)
    assert all("GCM" in name or "CHACHA20" in name for name in names)


def test_shipped_manifests_start() -> None:
    assert "AES128-SHA" in offered(SHIPPED)


def test_a_name_means_itself() -> None:
    assert offered(["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]) == {"ECDHE-RSA-AES128-GCM-SHA256"}


def test_names_of_tls_1_3_alone_leave_the_default() -> None:
    assert len(offered(["TLS_AES_128_GCM_SHA256"])) == 6


def test_unknown_names_are_all_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        ciphers.openssl_list(["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA265", "x"])
    assert "did you mean TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256?" in str(caught.value)
    assert "no cipher suite 'x'" in str(caught.value)


def test_nothing_that_openssl_has_is_refused() -> None:
    with pytest.raises(ConfigError, match="none of the named suites"):
        ciphers.openssl_list(["TLS_RSA_WITH_RC4_128_SHA"])


def test_versions() -> None:
    assert ciphers.minimum_version("") is ssl.TLSVersion.TLSv1_2
    assert ciphers.minimum_version("VersionTLS12") is ssl.TLSVersion.TLSv1_2
    assert ciphers.minimum_version("VersionTLS13") is ssl.TLSVersion.TLSv1_3
    for name in ("VersionTLS10", "VersionTLS11", "1.2"):
        with pytest.raises(ConfigError, match="--tls-min-version"):
            ciphers.minimum_version(name)
