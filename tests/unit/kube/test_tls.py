"""Contexts are rebuilt beside the old one, which stays while the new cannot be made."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from metrics_apiserver.base import errors
from metrics_apiserver.kube import tls
from metrics_apiserver.kube.connection import FileOrData, KubeConfig
from tests.fakes import authorities, pki


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _pair(ca: trustme.CA) -> tls.Pair:
    leaf = ca.issue_cert("client")
    return leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(path)


def test_verifies_by_default() -> None:
    context = tls.build_context(None, None)
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN


@pytest.mark.parametrize("make", authorities.SERVERS)
def test_authorities_as_clusters_have_them(make: Callable[[], authorities.Found]) -> None:
    found = make()
    server = authorities.server(found)
    authorities.shake_hands(tls.build_context(found.bundle, None), server)
    for host, bundle in (("elsewhere", found.bundle), ("localhost", pki.authority().pem)):
        with pytest.raises(ssl.SSLCertVerificationError):
            authorities.shake_hands(tls.build_context(bundle, None), server, host)


def test_insecure_only_on_demand() -> None:
    assert tls.build_context(None, None, verify=False).verify_mode == ssl.CERT_NONE


def test_bundle_with_comments_and_client_pair() -> None:
    ca = trustme.CA()
    bundle = "# Zürich\n".encode() + ca.cert_pem.bytes()
    context = tls.build_context(bundle, _pair(ca))
    assert len(context.get_ca_certs()) == 1


def test_bad_material() -> None:
    ca = trustme.CA()
    with pytest.raises(ValueError, match="certificate authority"):
        tls.build_context(b"nothing", None)
    with pytest.raises(ValueError, match="matching PEM pair"):
        tls.build_context(None, (_pair(ca)[0], _pair(ca)[1]))


@pytest.mark.parametrize("in_memory", [True, False])
def test_private_files_leave_nothing(in_memory: bool) -> None:
    with tls.private_file(b"SECRET", in_memory=in_memory) as name:
        path = Path(name)
        assert path.read_bytes() == b"SECRET"
        assert path.stat().st_mode & 0o077 == 0 or in_memory
    assert not path.exists()


def test_plain_http_has_no_context() -> None:
    context = tls.ClientContext(KubeConfig("test", "http://127.0.0.1"))
    assert context.current() is None
    assert context.current((b"", b"")) is None


def test_bad_material_at_start_is_a_configuration_error() -> None:
    config = KubeConfig("file", "https://127.0.0.1", ca=FileOrData("ca", b"nothing"))
    with pytest.raises(errors.ConfigError, match="file: the certificate authority"):
        tls.ClientContext(config)


def test_files_are_looked_at_once_a_second(tmp_path: Path) -> None:
    clock, path = _Clock(), tmp_path / "ca.crt"
    path.write_bytes(trustme.CA().cert_pem.bytes())
    config = KubeConfig("test", "https://127.0.0.1", ca=FileOrData("ca", path=path))
    context = tls.ClientContext(config, clock=clock)
    first = context.current()
    _replace(path, trustme.CA().cert_pem.bytes())
    assert context.current() is first
    clock.now = 1.0
    second = context.current()
    assert second is not first
    assert context.renew() is second
    _replace(path, b"half wri")
    assert context.renew() is second
    _replace(path, trustme.CA().cert_pem.bytes())
    third = context.renew()
    assert third is not second
    path.unlink()
    assert context.renew() is third


def test_a_pair_replaced_in_two_steps(tmp_path: Path) -> None:
    ca = trustme.CA()
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    for path, content in zip((certificate, key), _pair(ca), strict=True):
        path.write_bytes(content)
    config = KubeConfig(
        "test",
        "https://127.0.0.1",
        client_certificate=FileOrData("client-certificate", path=certificate),
        client_key=FileOrData("client-key", path=key),
    )
    context = tls.ClientContext(config)
    first = context.current()
    fresh = _pair(ca)
    _replace(certificate, fresh[0])
    assert context.renew() is first
    _replace(key, fresh[1])
    assert context.renew() is not first


def test_a_plugin_pair_is_taken_at_once() -> None:
    ca = trustme.CA()
    config = KubeConfig("test", "https://127.0.0.1", ca=FileOrData("ca", ca.cert_pem.bytes()))
    context = tls.ClientContext(config)
    first, pair = context.current(), _pair(ca)
    second = context.current(pair)
    assert second is not first
    assert context.current(pair) is second
