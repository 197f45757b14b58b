"""Files and manifests of `certs issue`."""

from __future__ import annotations

import base64
import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from metrics_apiserver.certs import pair, publish, verify
from tests.fakes import certificates, pki
from tests.fakes.commands import Ran, Terminal

SERVICE = "--service=custom-metrics-apiserver.monitoring"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    before = os.umask(0)
    try:
        yield Terminal([SERVICE, f"--directory={tmp_path}/certs"])
    finally:
        os.umask(before)


def modes(directory: Path) -> dict[str, str]:
    return {path.name: f"{path.stat().st_mode & 0o777:04o}" for path in directory.iterdir()}


def test_files(terminal: Terminal, tmp_path: Path) -> None:
    ran = terminal.run("issue")
    assert ran.code == 0
    directory = tmp_path / "certs"
    assert modes(directory) == {
        **dict.fromkeys(("ca.crt", "tls.crt"), "0644"),
        **dict.fromkeys(("ca.key", "tls.key"), "0600"),
    }
    assert directory.stat().st_mode & 0o777 == 0o700
    served = (directory / "tls.crt").read_bytes()
    found = pair.inspect(served, (directory / "tls.key").read_bytes())
    assert found.hosts == (
        "custom-metrics-apiserver.monitoring.svc",
        "custom-metrics-apiserver.monitoring",
        "custom-metrics-apiserver.monitoring.svc.cluster.local",
    )
    verify.verify_server(served, (directory / "ca.crt").read_bytes(), pki.NOW, found.hosts[0])
    assert "PRIVATE" not in ran.out + ran.err


def test_an_authority_that_is_there_signs_again(terminal: Terminal, tmp_path: Path) -> None:
    terminal.run("issue")
    authority, first = ((tmp_path / "certs" / name).read_bytes() for name in ("ca.crt", "tls.crt"))
    ran = terminal.run("issue", "--host=10.0.0.1")
    assert "ca.crt" not in ran.err
    assert (tmp_path / "certs/ca.crt").read_bytes() == authority
    second = (tmp_path / "certs/tls.crt").read_bytes()
    assert second != first
    assert "10.0.0.1" in ran.out
    terminal.run("issue", "--new-ca")
    assert (tmp_path / "certs/ca.crt").read_bytes() != authority


@pytest.mark.parametrize("broken", ["ca.key", "ca.crt"])
def test_an_authority_that_cannot_sign_is_not_replaced_unasked(
    terminal: Terminal, tmp_path: Path, broken: str
) -> None:
    terminal.run("issue")
    (tmp_path / "certs" / broken).write_bytes(pki.authority().key_pem)
    ran = terminal.run("issue")
    assert ran.code == 2
    assert "--new-ca makes another" in ran.err
    assert terminal.run("issue", "--new-ca").code == 0


def test_an_expired_authority_is_not_replaced_unasked(terminal: Terminal, tmp_path: Path) -> None:
    terminal.run("issue")
    old = pki.certify("ca", None, [pki.constraints()], days=pki.Days(-2, -1))
    (tmp_path / "certs/ca.crt").write_bytes(old.pem)
    (tmp_path / "certs/ca.key").write_bytes(old.key_pem)
    assert "is not valid now; --new-ca" in terminal.run("issue").err


def test_kinds_and_lifetimes(terminal: Terminal, tmp_path: Path) -> None:
    ran = terminal.run("issue", "--key-algorithm=RSA-2048", "--lifetime=24h", "--ca-lifetime=48h")
    assert "RSA-2048" in ran.out
    ca = x509.load_pem_x509_certificate((tmp_path / "certs/ca.crt").read_bytes())
    life = ca.not_valid_after_utc - ca.not_valid_before_utc
    assert life == dt.timedelta(hours=49)


def published(ran: Ran) -> tuple[dict[str, object], list[bytes]]:
    secret, *services = ran.documents
    bundles = [publish.read_api_service("", item).bundle for item in services]
    return secret, bundles


def test_manifests_with_their_keys(terminal: Terminal, tmp_path: Path) -> None:
    ran = terminal.run(
        "issue", "--secret=monitoring/certs", "--apiservices=v1.a.io,v1.b.io", "-o", "yaml"
    )
    secret, bundles = published(ran)
    material = publish.read_secret(secret)
    assert secret["metadata"] == {"name": "certs", "namespace": "monitoring"}
    assert isinstance(secret["data"], dict)
    assert secret["data"]["serving.key"] == secret["data"]["tls.key"]
    assert bundles == [material.authorities] * 2
    assert material.authority_key == b""
    assert material.serving is not None
    host = "custom-metrics-apiserver.monitoring.svc"
    assert certificates.is_verified(material.serving, material.authorities, host)
    assert not (tmp_path / "certs").exists()


def test_the_authority_s_key_is_printed_only_when_asked_for(terminal: Terminal) -> None:
    ran = terminal.run("issue", "--secret=n/s", "--with-ca-key", "--output=yaml")
    material = publish.read_secret(ran.documents[0])
    pair.inspect(material.authorities, material.authority_key)


def test_a_dry_run_writes_nothing_and_prints_no_key(terminal: Terminal, tmp_path: Path) -> None:
    ran = terminal.run("issue", "--secret=n/s", "--with-ca-key", "--dry-run")
    assert not (tmp_path / "certs").exists()
    assert "would write" in ran.err
    data = ran.documents[0]["data"]
    keys = {name for name, value in data.items() if value == "<redacted>"}
    assert keys == {"tls.key", "serving.key", "ca.key"}
    assert base64.b64decode(data["ca.crt"]).startswith(b"-----BEGIN CERTIFICATE-----")
    shown = terminal.run("issue", "--secret=n/s", "--dry-run", "-o", "yaml")
    assert publish.read_secret(shown.documents[0]).serving is not None


def test_a_dry_run_of_files_only(terminal: Terminal, tmp_path: Path) -> None:
    ran = terminal.run("issue", "--dry-run")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.count("would write") == 2


def test_a_host_that_is_no_name(terminal: Terminal) -> None:
    ran = terminal.run("issue", "--host=\u00fc.example")
    assert ran.code == 2
    assert "--host" in ran.err
