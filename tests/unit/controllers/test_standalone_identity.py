"""Standalone mode's authority signs exactly two certificates, and its kubeconfig is private."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from metrics_apiserver.certs import pair, verify
from metrics_apiserver.certs.peer import PeerChain
from metrics_apiserver.controllers import standalone_identity
from tests.fakes import pki

NOW = pki.NOW


def shown(certificate_pem: bytes) -> PeerChain:
    found = x509.load_pem_x509_certificates(certificate_pem)
    return PeerChain.of(tuple(one.public_bytes(Encoding.DER) for one in found))


def test_the_two_certificates(tmp_path: Path) -> None:
    own = standalone_identity.make_identity(tmp_path, "127.0.0.7", NOW)
    serving = pair.inspect(own.pair_paths.certificate.read_bytes(), own.pair_paths.key.read_bytes())
    assert serving.lacking(["localhost", "127.0.0.1", "::1", "127.0.0.7"]) == []
    assert stat.S_IMODE(own.pair_paths.key.stat().st_mode) == 0o600
    client = verify.verify_client(shown(own.client.certificate), own.authority, NOW.timestamp())
    assert (client.common_name, client.organizations) == ("standalone", ("system:masters",))
    # The serving certificate is nobody's identity.
    with pytest.raises(verify.CertificateRefused):
        verify.verify_client(
            shown(own.pair_paths.certificate.read_bytes()), own.authority, NOW.timestamp()
        )
    other = standalone_identity.make_identity(tmp_path / "other", "127.0.0.1", NOW)
    assert other.authority != own.authority


def test_the_kubeconfig(tmp_path: Path) -> None:
    own = standalone_identity.make_identity(tmp_path, "127.0.0.1", NOW)
    path = tmp_path / "kubeconfig"
    path.write_text("an older one")
    path.chmod(0o644)
    standalone_identity.write_kubeconfig(path, "https://127.0.0.1:6443", own)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = yaml.safe_load(path.read_text())
    assert document["current-context"] == "standalone"
    cluster = document["clusters"][0]["cluster"]
    assert cluster["server"] == "https://127.0.0.1:6443"
    assert base64.b64decode(cluster["certificate-authority-data"]) == own.authority
    user = document["users"][0]["user"]
    pair.inspect(
        base64.b64decode(user["client-certificate-data"]), base64.b64decode(user["client-key-data"])
    )
