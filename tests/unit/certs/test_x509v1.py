"""Client certificates of version 1: as Go verifies them, and no weaker than those of version 3."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from metrics_apiserver.certs import verify, x509v1
from metrics_apiserver.certs.peer import PeerChain
from metrics_apiserver.certs.verify import CertificateRefused
from tests.fakes import pki

CA = pki.authority("front-proxy-ca")


VALID = pki.Days()


def client(issuer: pki.Certified, *, days: pki.Days = VALID) -> pki.Certified:
    """As `openssl x509 -req -CA` makes it."""
    made = pki.first_version(pki.certify("front-proxy-client", issuer, days=days), issuer)
    assert made.certificate.version is x509.Version.v1
    return made


def verify_client(leaf: pki.Certified, *bundle: pki.Certified) -> verify.ClientCertificate:
    pem = b"".join(one.pem for one in bundle)
    return verify.verify_client(PeerChain.of((leaf.der,)), pem, pki.NOW.timestamp())


@pytest.mark.parametrize(
    "authority",
    [
        CA,
        pki.first_version(pki.certify("v1-ca")),
        pki.certify("ca", None, [pki.constraints(), pki.usage(pki.CLIENT)]),
        pki.certify("ca", None, [pki.constraints(), pki.usage(pki.ANY)]),
        pki.authority("middle", CA),
    ],
    ids=["version 3", "version 1", "for clients", "for anything", "not self-signed"],
)
def test_accepted(authority: pki.Certified) -> None:
    leaf = client(authority, days=pki.Days(end=5))
    found = verify_client(leaf, pki.authority("another"), authority)
    assert found.common_name == "front-proxy-client"
    assert found.not_before == authority.certificate.not_valid_before_utc.timestamp()
    assert found.not_after == leaf.certificate.not_valid_after_utc.timestamp()


def test_an_authority_renewed_with_the_same_key() -> None:
    def authority(days: pki.Days) -> pki.Certified:
        extensions = [pki.constraints()]
        return pki.certify("ca", None, extensions, days=days, key=CA.private_key)

    old, new = authority(pki.Days(-9, -1)), authority(pki.Days())
    leaf = client(new)
    assert verify_client(leaf, old, new).common_name == "front-proxy-client"
    with pytest.raises(CertificateRefused, match="not valid at this time"):
        verify_client(leaf, old)


def refused() -> dict[str, tuple[pki.Certified, pki.Certified]]:
    """Leaf and the only authority of the bundle."""
    forged = pki.authority("front-proxy-ca")
    renamed = pki.certify("other", None, [pki.constraints()], key=CA.private_key)
    names = x509.NameConstraints([x509.DNSName("example.com")], None)
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    unsigning = pki.key_usage(signs_certificates=False)
    authorities = {
        "no authority": pki.certify("ca"),
        "says it is none": pki.certify("ca", None, [(x509.BasicConstraints(False, None), True)]),
        "may not sign": pki.certify("ca", None, [pki.constraints(), unsigning]),
        "for servers": pki.certify("ca", None, [pki.constraints(), pki.usage(pki.SERVER)]),
        "names": pki.certify("ca", None, [pki.constraints(), (names, False)]),
        "critical": pki.certify("ca", None, [pki.constraints(), (unknown, True)]),
        "weak curve": pki.certify(
            "ca", None, [pki.constraints()], key=ec.generate_private_key(ec.SECP192R1())
        ),
    }
    short = pki.certify("front", CA, key=rsa.generate_private_key(65537, 1024))
    for_servers = pki.certify("front", CA, [pki.usage(pki.SERVER)])
    middle = pki.authority("middle", CA)
    return {
        **{case: (client(authority), authority) for case, authority in authorities.items()},
        "another key": (client(forged), CA),
        "another name": (client(CA), renamed),
        "expired": (client(CA, days=pki.Days(-9, -1)), CA),
        "not yet valid": (client(CA, days=pki.Days(1, 9)), CA),
        "SHA-1": (pki.first_version(pki.certify("front", CA), CA, sha1=True), CA),
        "short key": (pki.first_version(short, CA), CA),
        "extensions all the same": (pki.first_version(for_servers, CA), CA),
        "intermediate": (client(middle), CA),
        "self-signed": (pki.first_version(pki.certify("front")), CA),
    }


REFUSED = refused()


@pytest.mark.parametrize("case", list(REFUSED))
def test_refused(case: str) -> None:
    leaf, authority = REFUSED[case]
    with pytest.raises(CertificateRefused):
        verify_client(leaf, authority)


def test_other_versions_are_for_the_verifier() -> None:
    instant = dt.datetime.fromtimestamp(pki.NOW.timestamp(), dt.UTC)
    with pytest.raises(ValueError, match="not of version 1"):
        x509v1.find_issuer(pki.client(CA, "x").certificate, [CA.certificate], instant)
