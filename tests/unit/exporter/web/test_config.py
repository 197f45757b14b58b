"""The web configuration file: what is honoured, and what is refused."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from metrics_apiserver.exporter.web import config
from metrics_apiserver.exporter.web.config import WebConfig, WebConfigError
from tests.fakes import authorities, pki

HASH = "$2y$10$" + "a" * 53


def load(directory: Path, text: str) -> WebConfig:
    path = directory / "web.yml"
    path.write_text(text)
    return config.load(path)


def test_an_empty_file(tmp_path: Path) -> None:
    assert load(tmp_path, "") == WebConfig()


def test_all_settings(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        f"""
        tls_server_config:
          cert_file: pki/tls.crt
          key_file: /etc/tls.key
          client_auth_type: RequireAndVerifyClientCert
          client_ca_file: ca.crt
          client_allowed_sans: [prometheus]
          min_version: TLS12
          max_version: TLS13
          cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
          prefer_server_cipher_suites: true
        http_server_config:
          http2: true
          headers: {{X-Content-Type-Options: nosniff}}
        basic_auth_users:
          prometheus: {HASH}
        """,
    )
    assert found.tls is not None
    assert found.tls.certificate == tmp_path / "pki/tls.crt"
    assert found.tls.key == Path("/etc/tls.key")
    assert found.tls.client_auth is ssl.CERT_REQUIRED
    assert found.tls.client_sans == {"prometheus"}
    assert found.tls.suites == ("ECDHE-RSA-AES128-GCM-SHA256",)
    assert found.headers == {"X-Content-Type-Options": "nosniff"}
    assert found.users == {"prometheus": HASH.encode()}
    assert HASH not in repr(found)
    assert found.tls.client_ca == tmp_path / "ca.crt"


PAIR = "cert_file: a, key_file: b"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not YAML"),
        ("[]", None),
        ("[1]", "the file: not a mapping"),
        ("tls_config: {}", "unknown key tls_config"),
        ("tls_server_config: {cert_file: a}", "cert_file and key_file are needed"),
        (f"tls_server_config: {{{PAIR}, cert: x}}", "unknown key cert"),
        (f"tls_server_config: {{{PAIR}, min_version: TLS10}}", "min_version: 'TLS10'"),
        (f"tls_server_config: {{{PAIR}, client_ca_file: c}}", "need each other"),
        (
            f"tls_server_config: {{{PAIR}, client_auth_type: RequireAnyClientCert}}",
            "client_auth_type: 'RequireAnyClientCert'",
        ),
        (f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}}", "suites"),
        (f"tls_server_config: {{{PAIR}, client_allowed_sans: [x]}}", "client_allowed_sans"),
        ("http_server_config: {headers: {Set-Cookie: x}}", "header Set-Cookie"),
        ("http_server_config: {headers: [x]}", "headers: not a mapping"),
        ("basic_auth_users: {a: 7}", "must be strings"),
        ("basic_auth_users: {a: secret}", "not a bcrypt hash"),
    ],
)
def test_faults(tmp_path: Path, text: str, complaint: str | None) -> None:
    if complaint is None:
        assert load(tmp_path, text) == WebConfig()
        return
    with pytest.raises(WebConfigError) as refused:
        load(tmp_path, text)
    assert complaint in str(refused.value)
    assert "secret" not in str(refused.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(WebConfigError, match="No such file"):
        config.load(tmp_path / "missing")
    with pytest.raises(WebConfigError, match="larger than"):
        load(tmp_path, "#" * (1 << 20) + "\n\n")


@pytest.mark.parametrize("front_proxy", [pki.kubeadm_front_proxy, pki.k3s_front_proxy])
def test_client_certificates_of_any_listed_authority(
    tmp_path: Path, front_proxy: Callable[[], tuple[pki.Certified, pki.Certified]]
) -> None:
    middle = pki.authority("middle", pki.authority("root"))
    known = [front_proxy(), (middle, pki.client(middle, "prometheus"))]
    unknown = pki.client(pki.authority("middle"), "prometheus")
    server = pki.authority("server")
    pair = pki.server(server, authorities.HOST)
    (tmp_path / "tls.crt").write_bytes(pair.pem)
    (tmp_path / "tls.key").write_bytes(pair.key_pem)
    (tmp_path / "ca.crt").write_bytes(b"".join(ca.pem for ca, _ in known))
    found = load(
        tmp_path,
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key,"
        " client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt}",
    )
    assert found.tls is not None

    def shake_hands(client: pki.Certified) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=server.pem.decode())
        pki.load_pair(context, client)
        assert found.tls is not None
        authorities.shake_hands(context, config.context(found.tls))

    for _, client in known:
        shake_hands(client)
    with pytest.raises(ssl.SSLError):
        shake_hands(unknown)


def test_a_context(tmp_path: Path, ca: trustme.CA) -> None:
    pair = ca.issue_cert("localhost")
    pair.private_key_pem.write_to_path(tmp_path / "tls.key")
    pair.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    ca.cert_pem.write_to_path(tmp_path / "ca.crt")
    found = load(
        tmp_path,
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, min_version: TLS13,"
        " client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt}",
    )
    assert found.tls is not None
    made = config.context(found.tls)
    assert made.minimum_version is ssl.TLSVersion.TLSv1_3
    assert made.verify_mode is ssl.CERT_OPTIONAL
    other = ca.issue_cert("localhost")
    other.private_key_pem.write_to_path(tmp_path / "tls.key")
    with pytest.raises(WebConfigError, match="TLS cannot be served"):
        config.context(found.tls)
    key = serialization.load_pem_private_key(pair.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )
    (tmp_path / "tls.key").write_bytes(encrypted)
    with pytest.raises(WebConfigError, match="encrypted"):
        config.context(found.tls)
