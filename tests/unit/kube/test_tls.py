"""Contexts are rebuilt beside the old one, which stays while the new cannot be made."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from metrics_apiserver.base import errors
from metrics_apiserver.base.tls import Pair
from metrics_apiserver.kube import tls
from metrics_apiserver.kube.connection import FileOrData, KubeConfig


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _pair(ca: trustme.CA) -> Pair:
    leaf = ca.issue_cert("client")
    return leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(path)


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
