"""Certificates in words."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from metrics_apiserver.certs import inspection
from metrics_apiserver.certs.inspection import InspectionLine
from tests.fakes import pki

DAY = dt.timedelta(days=1)
AUTHORITY = pki.authority("ca")
LEAF = pki.server(AUTHORITY, "s.n.svc", "10.0.0.1")


def said(certificate: x509.Certificate, now: dt.datetime = pki.NOW) -> dict[str, InspectionLine]:
    return {line.about: line for line in inspection.describe(certificate, now)}


def test_a_leaf() -> None:
    found = said(LEAF.certificate)
    assert found["subject"].text == "CN=s.n.svc"
    assert found["names"].text == "s.n.svc, 10.0.0.1"
    assert found["issuer"].text == "CN=ca"
    assert found["valid"].text.endswith(": 30 days left")
    assert found["key"].text == "ECDSA on secp256r1"
    assert len(found["sha256"].text) == 64


def test_an_authority_may_sign_and_has_no_names() -> None:
    found = said(AUTHORITY.certificate)
    assert found["key"].text.endswith(", may sign")
    assert "names" not in found


def test_other_keys() -> None:
    edwards = pki.certify("x", key=ed25519.Ed25519PrivateKey.generate())
    assert said(edwards.certificate)["key"].text.startswith("Ed25519")
    old = pki.certify("x", key=rsa.generate_private_key(65537, 2048))
    assert said(old.certificate)["key"].text == "RSA-2048"


def test_an_empty_subject() -> None:
    assert said(pki.certify(pki.name("")).certificate)["subject"].text == "(none)"


@pytest.mark.parametrize(("days", "text"), [(-1, "not yet"), (31, "expired")])
def test_validity(days: int, text: str) -> None:
    found = said(LEAF.certificate, pki.NOW + days * DAY)["valid"]
    assert not found.good
    assert found.text.endswith(text)


def test_verdicts() -> None:
    good = inspection.check_chain(LEAF.pem, AUTHORITY.pem, pki.NOW, "s.n.svc")
    assert good == InspectionLine("chain", "verified for s.n.svc by CN=ca")
    assert inspection.check_chain(LEAF.pem, AUTHORITY.pem, pki.NOW).text == "verified by CN=ca"
    assert not inspection.check_chain(LEAF.pem, AUTHORITY.pem, pki.NOW, "other").good
    assert inspection.check_key(LEAF.pem, LEAF.key_pem).good
    assert not inspection.check_key(LEAF.pem, AUTHORITY.key_pem).good


def test_a_chain_of_a_handshake() -> None:
    der = LEAF.certificate.public_bytes(serialization.Encoding.DER)
    assert inspection.chain_of([der, AUTHORITY.der]) == LEAF.pem + AUTHORITY.pem
    with pytest.raises(ValueError, match="parsing"):
        inspection.chain_of([b"x"])
