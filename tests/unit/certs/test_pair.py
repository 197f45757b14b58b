from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization

from metrics_apiserver.certs import pair
from tests.fakes import pki

CA = pki.authority()
SERVER = pki.server(CA, "Localhost", "*.svc", "10.0.0.1")


def test_what_is_known_of_a_pair() -> None:
    found = pair.inspect(SERVER.pem + CA.pem, SERVER.key_pem)
    assert found.hosts == ("localhost", "*.svc", "10.0.0.1")
    assert found.is_valid_at(pki.NOW.timestamp())
    assert not found.is_valid_at(found.not_after + 1)
    assert not found.is_valid_at(found.not_before - 1)
    assert found.lacking(["LOCALHOST", "a.svc", "10.0.0.1"]) == []
    assert found.lacking(["a.b.svc", "svc", "10.0.0.2"]) == ["a.b.svc", "svc", "10.0.0.2"]


def test_a_certificate_without_alternative_names_covers_nothing() -> None:
    bare = pki.certify("localhost", CA)
    assert pair.inspect(bare.pem, bare.key_pem).lacking(["localhost"]) == ["localhost"]


ENCRYPTED = SERVER.private_key.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.BestAvailableEncryption(b"secret"),
)


@pytest.mark.parametrize(
    ("certificate", "key", "why"),
    [
        (b"", SERVER.key_pem, "no PEM certificate"),
        (SERVER.pem[:200], SERVER.key_pem, "no PEM certificate"),
        (SERVER.key_pem, SERVER.key_pem, "no PEM certificate"),
        (SERVER.pem, b"", "no PEM private key"),
        (SERVER.pem, SERVER.key_pem[:80], "no PEM private key"),
        (SERVER.pem, SERVER.pem, "no PEM private key"),
        (SERVER.pem, ENCRYPTED, "encrypted"),
        (SERVER.pem, CA.key_pem, "not the certificate's"),
        (CA.pem + SERVER.pem, SERVER.key_pem, "not the certificate's"),
    ],
)
def test_refused(certificate: bytes, key: bytes, why: str) -> None:
    with pytest.raises(pair.PairRefused, match=why):
        pair.inspect(certificate, key)
