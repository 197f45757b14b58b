"""Which authority of a bundle vouches for a serving certificate."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from metrics_apiserver.certs import trust
from metrics_apiserver.certs.trust import NotTrusted
from tests.fakes import pki

DAY = dt.timedelta(days=1)
OURS, OTHER = pki.authority("ca"), pki.authority("ca")
LEAF = pki.server(OURS, "s.n.svc")


def test_the_authority_is_told_apart_from_its_namesake() -> None:
    found = trust.anchor(LEAF.pem, OTHER.pem + OURS.pem, pki.NOW, "s.n.svc")
    assert trust.fingerprint(found) == trust.fingerprint(OURS.certificate)


def test_an_intermediate_is_sent_along() -> None:
    middle = pki.authority("middle", OURS)
    leaf = pki.server(middle, "s.n.svc")
    assert trust.anchor(leaf.pem + middle.pem, OURS.pem, pki.NOW) == OURS.certificate
    assert trust.anchor(leaf.pem, middle.pem, pki.NOW) == middle.certificate
    with pytest.raises(NotTrusted):
        trust.anchor(leaf.pem, OURS.pem, pki.NOW)


def test_a_wildcard_is_a_name_and_an_rsa_authority_signs() -> None:
    authority = pki.certify(
        "rsa", None, [pki.constraints()], key=rsa.generate_private_key(65537, 2048)
    )
    leaf = pki.server(authority, "*.n.svc")
    assert trust.anchor(leaf.pem, authority.pem, pki.NOW) == authority.certificate


@pytest.mark.parametrize(
    ("served", "bundle", "days", "host", "reason"),
    [
        (LEAF.pem, OTHER.pem, 0, "", "signature"),
        (LEAF.pem, OURS.pem, 0, "other.n.svc", "subjectAltName"),
        (LEAF.pem, OURS.pem, 60, "", "not valid"),
        (LEAF.pem, OURS.pem, -2, "", "not valid"),
        (b"", OURS.pem, 0, "", "no certificate"),
        (LEAF.pem, b"", 0, "", "bundle"),
        (LEAF.pem, b"-----BEGIN CERTIFICATE-----\nx", 0, "", "bundle"),
        (pki.client(OURS, "x").pem, OURS.pem, 0, "", "DNS name"),
        (pki.server(OURS, "127.0.0.1").pem, OURS.pem, 0, "", "DNS name"),
        (pki.server(LEAF, "x").pem, LEAF.pem, 0, "", "basicConstraints"),
        (
            pki.certify("x", OURS, [pki.usage(pki.CLIENT), pki.alternative_names("x")]).pem,
            OURS.pem,
            0,
            "",
            "not for servers",
        ),
    ],
)
def test_refused(served: bytes, bundle: bytes, days: int, host: str, reason: str) -> None:
    now = pki.NOW + days * DAY
    with pytest.raises(NotTrusted, match=reason):
        trust.anchor(served, bundle, now, host)
    assert host or not trust.is_trusted(served, [bundle], now)


def test_every_bundle_must_vouch() -> None:
    assert trust.is_trusted(LEAF.pem, [OURS.pem, OTHER.pem + OURS.pem], pki.NOW)
    assert not trust.is_trusted(LEAF.pem, [OURS.pem, OTHER.pem], pki.NOW)
    assert trust.is_trusted(LEAF.pem, [], pki.NOW)


def test_a_bundle_holds_each_authority_once() -> None:
    bundle = OURS.pem + OTHER.pem + OURS.pem
    assert trust.authorities(bundle) == (OURS.certificate, OTHER.certificate)
    assert trust.join(trust.authorities(bundle)) == OURS.pem + OTHER.pem
    assert trust.fingerprints(bundle) == trust.fingerprints(OTHER.pem + OURS.pem)
    assert trust.authorities(b"garbage") == ()


def test_validity() -> None:
    assert trust.is_valid_at(OURS.certificate, pki.NOW)
    assert not trust.is_valid_at(OURS.certificate, pki.NOW + 31 * DAY)
    assert not trust.is_valid_at(OURS.certificate, pki.NOW - DAY)
