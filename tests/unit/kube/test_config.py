"""Kubeconfig files and the pod's service account, and every way they can be wrong."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics_apiserver.base import errors
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.kube import config

CERT = b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


def _document(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [
            {"name": "elsewhere", "context": {"cluster": "other", "user": "other"}},
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "monitoring"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443/"}}],
        "users": [{"name": "u", "user": {"token": "SECRET-TOKEN"}}],
    }
    document.update(changes)
    return document


def _write(folder: Path, document: object) -> str:
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def _cluster(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", **fields}}]


def _user(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "u", "user": fields}]


def _fault(path: str) -> Diagnostic:
    with pytest.raises(errors.ConfigError) as caught:
        config.load(path)
    assert "SECRET" not in str(caught.value)
    (fault,) = caught.value.diagnostics
    return fault


def test_token_and_context(tmp_path: Path) -> None:
    read = config.load(_write(tmp_path, _document()))
    assert read.server == "https://127.0.0.1:6443"
    assert read.namespace == "monitoring"
    assert read.token is not None
    assert read.token.read() == b"SECRET-TOKEN"
    assert "SECRET" not in repr(read)


def test_files_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    for name in ("ca", "crt", "key", "token"):
        (tmp_path / "pki" / name).write_bytes(name.encode())
    document = _document(
        clusters=_cluster(**{"certificate-authority": "pki/ca"}),
        users=_user(
            **{"client-certificate": "pki/crt", "client-key": "pki/key", "tokenFile": "pki/token"},
            token="ignored",
        ),
    )
    read = config.load(_write(tmp_path, document))
    assert read.ca is not None
    assert read.ca.path == tmp_path / "pki" / "ca"
    assert read.client_certificate is not None
    assert read.client_certificate.read() == b"crt"
    assert read.client_key is not None
    assert read.client_key.read() == b"key"
    assert read.token is not None
    assert read.token.read() == b"token"


def test_inline_data_wins_over_files(tmp_path: Path) -> None:
    text = base64.encodebytes(CERT).decode()
    fields = {"certificate-authority-data": text, "certificate-authority": "/does/not/exist"}
    read = config.load(_write(tmp_path, _document(clusters=_cluster(**fields))))
    assert read.ca is not None
    assert read.ca.data == CERT


def test_basic_user_proxy_and_server_name(tmp_path: Path) -> None:
    document = _document(
        clusters=_cluster(
            **{
                "proxy-url": "http://user:SECRET@proxy:3128",
                "tls-server-name": "kubernetes",
                "insecure-skip-tls-verify": True,
            }
        ),
        users=_user(username="me", password="SECRET"),
    )
    read = config.load(_write(tmp_path, document))
    assert (read.username, read.password) == ("me", "SECRET")
    assert read.proxy_url.endswith("@proxy:3128")
    assert read.tls_server_name == "kubernetes"
    assert read.insecure_skip_tls_verify
    assert "SECRET" not in repr(read)


@pytest.mark.parametrize("kind", ["exec", "auth-provider"])
def test_plugins(tmp_path: Path, kind: str) -> None:
    read = config.load(_write(tmp_path, _document(users=_user(**{kind: {"command": "get"}}))))
    assert read.plugin is not None
    assert read.plugin.kind == kind
    assert read.plugin.settings == {"command": "get"}


def test_no_credentials_over_plain_http(tmp_path: Path) -> None:
    document = _document(clusters=[{"name": "c", "cluster": {"server": "http://127.0.0.1:8080"}}])
    read = config.load(_write(tmp_path, document))
    assert read.token is None


def test_a_context_without_a_user(tmp_path: Path) -> None:
    document = _document(contexts=[{"name": "here", "context": {"cluster": "c"}}])
    assert config.load(_write(tmp_path, document)).token is None


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"current-context": ""}, "current-context"),
        ({"current-context": 5}, "current-context"),
        ({"current-context": "nowhere"}, "contexts"),
        ({"contexts": "nothing"}, "contexts"),
        ({"contexts": [{"name": "here", "context": "text"}]}, "contexts[0].context"),
        ({"clusters": []}, "clusters"),
        ({"users": []}, "users"),
        ({"clusters": [{"name": "c"}]}, "clusters[0].cluster.server"),
        ({"clusters": _cluster(server="ftp://x")}, "clusters[0].cluster.server"),
        ({"clusters": _cluster(server="https://u:SECRET@x")}, "clusters[0].cluster.server"),
        ({"clusters": _cluster(server="https://x?a=b")}, "clusters[0].cluster.server"),
        ({"clusters": _cluster(**{"proxy-url": "socks5://x"})}, "clusters[0].cluster.proxy-url"),
        (
            {"clusters": _cluster(**{"insecure-skip-tls-verify": "yes"})},
            "clusters[0].cluster.insecure-skip-tls-verify",
        ),
        (
            {"clusters": _cluster(**{"certificate-authority-data": "SECRET!"})},
            "clusters[0].cluster.certificate-authority-data",
        ),
        (
            {"clusters": _cluster(**{"certificate-authority": "missing"})},
            "clusters[0].cluster.certificate-authority",
        ),
        (
            {
                "clusters": _cluster(
                    **{"insecure-skip-tls-verify": True, "certificate-authority-data": "AA=="}
                )
            },
            "clusters[0].cluster",
        ),
        ({"users": _user(**{"client-certificate-data": "AA=="})}, "users[0].user"),
        ({"users": _user(token="SECRET", username="me")}, "users[0].user"),
        ({"users": _user(token="SECRET", exec={"command": "x"})}, "users[0].user"),
        ({"users": _user(exec="SECRET")}, "users[0].user.exec"),
        ({"users": _user(tokenFile="missing")}, "users[0].user.tokenFile"),
        ({"users": _user(**{"as": "admin"})}, "users[0].user.as"),
        ({"users": _user(**{"as-groups": ["system:masters"]})}, "users[0].user.as-groups"),
    ],
)
def test_every_fault_names_its_field(tmp_path: Path, changes: dict[str, Any], place: str) -> None:
    fault = _fault(_write(tmp_path, _document(**changes)))
    assert fault.path == place
    assert fault.message


def test_files_that_are_no_kubeconfig(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    assert "cannot be read" in _fault(str(path)).message
    path.write_text("users:\n- token: 'SECRET\n")
    fault = _fault(str(path))
    assert (fault.message, fault.line) == ("is not YAML", 3)
    path.write_text("[" * 5000)
    assert _fault(str(path)).message == "is not YAML"
    path.write_bytes(b"\xff\xfe\x00")
    assert _fault(str(path)).message == "is not YAML"
    path.write_text("- 1\n")
    assert "expected a mapping" in _fault(str(path)).message
    path.write_bytes(b"#" * (1 << 20) + b"#")
    assert "cannot be read" in _fault(str(path)).message


def _service_account(folder: Path) -> Path:
    for name, content in (("token", "t"), ("ca.crt", "c"), ("namespace", "monitoring\n")):
        (folder / name).write_text(content)
    return folder


def test_in_cluster(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    read = config.load("", environ=environ, service_account=_service_account(tmp_path))
    assert read.server == "https://10.0.0.1:443"
    assert read.namespace == "monitoring"
    assert read.token is not None
    assert read.token.path == tmp_path / "token"
    assert read.ca is not None
    assert read.ca.path == tmp_path / "ca.crt"


def test_in_cluster_ipv6_without_namespace(tmp_path: Path) -> None:
    (_service_account(tmp_path) / "namespace").unlink()
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    read = config.load("", environ=environ, service_account=tmp_path)
    assert read.server == "https://[fd00::1]:443"
    assert read.namespace == ""


def test_not_in_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="KUBERNETES_SERVICE_HOST"):
        config.load("", environ={}, service_account=tmp_path)
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(errors.ConfigError, match="token: cannot be read"):
        config.load("", environ=environ, service_account=tmp_path)
