"""Whose certificate is verified, and whose is not: of clients, and of servers."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from metrics_apiserver.certs import ca_bundle, verify
from metrics_apiserver.certs.peer import PeerChain
from metrics_apiserver.certs.verify import CertificateRefused
from tests.fakes import pki

NOW = pki.NOW.timestamp()
CA = pki.authority("front-proxy-ca")

DAY = dt.timedelta(days=1)
OURS, OTHER = pki.authority("ca"), pki.authority("ca")
LEAF = pki.server(OURS, "s.n.svc")

# Made once by `openssl x509 -req -sha1`: cryptography itself no longer signs with SHA-1.
SHA1_CA = b"""\
-----BEGIN CERTIFICATE-----
MIIDBjCCAe6gAwIBAgITdw9OaqV/ne3wYv4UnZXw8QxBGzANBgkqhkiG9w0BAQsF
ADASMRAwDgYDVQQDDAdzaGExLWNhMCAXDTI2MTEyNTAwMDEwNloYDzIxMjYxMTAx
MDAwMTA2WjASMRAwDgYDVQQDDAdzaGExLWNhMIIBIjANBgkqhkiG9w0BAQEFAAOC
AQ8AMIIBCgKCAQEApQ5iXk7nvPO9EsUBSOGEfPX5D7Qcj/OTJnVEGhhIZ+D6gs5F
QzyHD3aqec1m/+Ce09MxAH8ytW4LKjQR8ZaIaZOxMkpBAZmSRG37aD8W0a6/zqvo
saxkwB1KObTHsSaX1nT6BQOiVrSW5u+nkoxsnXpY7Fd+EhMwVvQm6NNKPaQwdL1p
jdRK3tcmO/XEDpgiE7o+HpRtths8VqA5V7QvTJ0YqGhOqG5sjZ7C2ffR1bVaCEAs
YkzUy21sb+L3yWqZ28qvPvaJgf8otM93aAGhMNDEm1XnmbFpoqVpW/Ts1Jp7NXVG
MDG1SZep5/sDOWyykbHHKN+eygpwOuQglxgN2QIDAQABo1MwUTAdBgNVHQ4EFgQU
2c4e5ZcGZbMQNbV8XyNQ8agSrc8wHwYDVR0jBBgwFoAU2c4e5ZcGZbMQNbV8XyNQ
8agSrc8wDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOCAQEAMG+/10m+
jpVG11W46RDhbUD3sQSTTsb/GSDvdx2upjvTE8Zy3nSz87HPKcPHEqqqOVlIYV7f
8cLw1dtNnBiSBO6GhY54NroHE2tjcJtgC203GWSzvtGFciaSOELEknDNbQIkz6M8
pZR9qprAoNeZSTrqRQ8+0X5EyMpIi2I7ssYt96Wbe/u/UsvGxJnS+3tTPzFAZbi4
Vc1saxZKZ7U7FZ6hAQgatK4Jt4SbmO/fYajcf7x8kV96DtsgJGHwRGTsVoHYjtKX
rG8FSuddfPSTjC52dmYkg27+3FyvkcwRKHjivESIOr9NZLxcH0x9YQP4OSq8HKOE
z5Umdj4W9JDjLg==
-----END CERTIFICATE-----
"""
SHA1_LEAF = b"""\
-----BEGIN CERTIFICATE-----
MIIDFjCCAf6gAwIBAgIUXRVFZlMGPM1MqfCuzwRY3GDkTb8wDQYJKoZIhvcNAQEF
BQAwEjEQMA4GA1UEAwwHc2hhMS1jYTAgFw0yNjExMjUwMDAxMDZaGA8yMTI2MTEw
MTAwMDEwNlowHTEbMBkGA1UEAwwSZnJvbnQtcHJveHktY2xpZW50MIIBIjANBgkq
hkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0IQkPXvt8jYQ9bsa2M05HJF/6QfPQbC/
jCjZHhWL5nJ+BUrylOCnfCoZW2VTyhxBhIrUaoFJf2+m3HOz69qxy69f/ItEHJac
6phxW2Cu9AOb7Nfy2lphnglMkuEmZGcn7XEgJ8AGV2AV8WdjL+c1hGREzrUQVxze
0KpCBwgvzI1CQWLDgFTBodF6cHXWgBgdXHN4Zy52ihqqTRcCyPtDtwHS9v1qNamy
X6b0rBEYpMhXfNhrf6Aq5HQzkzWr8wXO97eU0wFJURtIuOXMsa32k0fijSrHsHHZ
gYNZcQyAbUDm9VNmtKvE2bJF0EHBaOLq5jsAHH8nSIBPjkHzgtOd7QIDAQABo1cw
VTATBgNVHSUEDDAKBggrBgEFBQcDAjAdBgNVHQ4EFgQU7AXEvuzxOKRkKz/8uOWB
Lte3pgIwHwYDVR0jBBgwFoAU2c4e5ZcGZbMQNbV8XyNQ8agSrc8wDQYJKoZIhvcN
AQEFBQADggEBAHIFM6ZesLZ6IwBUJ9XVdCgpHjBfrnxRvhw10mjAw2O8uXOrkMhg
8fu6ST6rqSE7NEFCfJIFyq4vJ3+SDNCXI0rLZ2Gyv8fWnsYlBQLSktItmSxJagrO
xTIxsZu9q2fi5pbRDArNkzCCBcyNmMZzGppi1DQScZhBllQof8N0fNrqXlV1uoqq
9Ze+zbGd2v+dGDZqUl7ylqWcFXyKHVDVoHm7cyzAgtKPf1pdoUuQs3KQpb2WIq6l
fDD0WymNbFubjn8j1qBYxCQm0QYcukbUEVQZi9y5CHEN61qhL/ZuLYAPMmS1wSBO
BCjXTvmvWKUxajkd+MOLPRTiOoHvwk5EetI=
-----END CERTIFICATE-----
"""


def shown(*certified: pki.Certified) -> PeerChain:
    return PeerChain.of(tuple(one.der for one in certified))


def common_name_of(*certified: pki.Certified, ca: bytes = CA.pem, now: float = NOW) -> str:
    return verify.verify_client(shown(*certified), ca, now).common_name


@pytest.mark.parametrize("make", pki.FRONT_PROXIES)
def test_front_proxy_certificates_as_distributions_make_them(
    make: Callable[[], tuple[pki.Certified, pki.Certified]],
) -> None:
    ca, leaf = make()
    assert common_name_of(leaf, ca=ca.pem) in ("front-proxy-client", "system:auth-proxy")


def good_intermediate() -> list[pki.Certified]:
    middle = pki.authority("middle", CA)
    return [pki.client(middle, "front"), middle]


@pytest.mark.parametrize(
    "certified",
    [
        [pki.client(CA, "front")],
        [pki.certify("front", CA)],
        [pki.certify("front", CA, [pki.usage(pki.ANY)])],
        good_intermediate(),
    ],
    ids=["client usage", "no usage", "any usage", "intermediate"],
)
def test_accepted(certified: list[pki.Certified]) -> None:
    assert common_name_of(*certified) == "front"


def refused() -> dict[str, list[pki.Certified]]:
    forged = pki.authority("front-proxy-ca")
    middle = pki.authority("middle", CA)
    not_authority = pki.client(CA, "middle")
    denying = pki.certify("middle", CA, [(x509.BasicConstraints(False, None), True)])
    short = pki.certify("short", CA, [pki.constraints(0)])
    unsigning = pki.certify(
        "middle", CA, [pki.constraints(), pki.key_usage(signs_certificates=False)]
    )
    server_only = pki.certify("middle", CA, [pki.constraints(), pki.usage(pki.SERVER)])
    expired_middle = pki.certify("middle", CA, [pki.constraints()], days=pki.Days(-9, -1))
    below_short = pki.authority("below", short)
    weak = pki.certify("weak", CA, [pki.constraints()], key=ec.generate_private_key(ec.SECP192R1()))
    edwards = pki.certify("ed", CA, [pki.constraints()], key=ed25519.Ed25519PrivateKey.generate())
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    return {
        "issuer name forged": [pki.client(forged, "front"), forged],
        "self-signed": [pki.certify("front", None, [pki.usage(pki.CLIENT)])],
        "expired": [pki.client(CA, "front", days=pki.Days(-9, -1))],
        "not yet valid": [pki.client(CA, "front", days=pki.Days(1, 9))],
        "server usage only": [pki.certify("front", CA, [pki.usage(pki.SERVER)])],
        "intermediate missing": [pki.client(middle, "front")],
        "intermediate expired": [pki.client(expired_middle, "front"), expired_middle],
        "intermediate is no authority": [pki.client(not_authority, "front"), not_authority],
        "intermediate says it is none": [pki.client(denying, "front"), denying],
        "intermediate may not sign": [pki.client(unsigning, "front"), unsigning],
        "intermediate for servers": [pki.client(server_only, "front"), server_only],
        "path too long": [pki.client(below_short, "front"), below_short, short],
        "unknown critical extension": [
            pki.certify("front", CA, [pki.usage(pki.CLIENT), (unknown, True)])
        ],
        "weak intermediate": [pki.client(weak, "front"), weak],
        "Ed25519 intermediate": [pki.client(edwards, "front"), edwards],
    }


REFUSED = refused()


@pytest.mark.parametrize("case", list(REFUSED))
def test_refused(case: str) -> None:
    with pytest.raises(CertificateRefused):
        common_name_of(*REFUSED[case])


def test_sha1_signature_is_refused() -> None:
    ca = x509.load_pem_x509_certificate(SHA1_CA)
    der = ssl.PEM_cert_to_DER_cert(SHA1_LEAF.decode())
    instant = ca.not_valid_before_utc.timestamp() + 86400
    with pytest.raises(CertificateRefused, match=r"(?i)forbidden signature algorithm"):
        verify.verify_client(PeerChain.of((der,)), SHA1_CA, instant)


def test_each_bundle_is_asked_separately() -> None:
    """A certificate named as the front proxy, of the client authority, is none of the proxy's."""
    other = pki.authority("client-ca")
    spoof = pki.client(other, "front-proxy-client")
    assert common_name_of(spoof, ca=other.pem) == "front-proxy-client"
    with pytest.raises(CertificateRefused):
        common_name_of(spoof)


@pytest.mark.parametrize("bundle", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_an_unusable_bundle_trusts_nobody(bundle: bytes) -> None:
    with pytest.raises(CertificateRefused):
        common_name_of(pki.client(CA, "front"), ca=bundle)


@pytest.mark.parametrize("certificates", [(), (b"",), (b"x" * 100,), (b"\x30\x82",)])
def test_what_is_no_certificate_is_refused(certificates: tuple[bytes, ...]) -> None:
    with pytest.raises(CertificateRefused):
        verify.verify_client(PeerChain.of(certificates), CA.pem, NOW)


def test_an_instant_out_of_range_is_refused() -> None:
    with pytest.raises(CertificateRefused):
        common_name_of(pki.client(CA, "front"), now=1e18)


def test_any_certificate_of_a_bundle_is_an_anchor() -> None:
    middle = pki.authority("middle", pki.authority("root"))
    assert common_name_of(pki.client(middle, "front"), ca=CA.pem + middle.pem) == "front"


def test_what_a_certificate_says() -> None:
    uid = x509.NameAttribute(x509.ObjectIdentifier("1.3.6.1.4.1.57683.2"), "17")
    subject = x509.Name([*pki.name(["first", "bob"], ["b", "a"]), uid])
    leaf = pki.certify(subject, CA, [pki.usage(pki.CLIENT)], days=pki.Days(-1, 5))
    found = verify.verify_client(shown(leaf), CA.pem, NOW)
    assert found.common_name == "bob"
    assert found.organizations == ("b", "a")
    assert found.uids == ("17",)
    assert len(found.sha256) == 64
    assert found.not_before == CA.certificate.not_valid_before_utc.timestamp()
    assert found.not_after == leaf.certificate.not_valid_after_utc.timestamp()
    assert found.is_valid_at(NOW)
    assert not found.is_valid_at(found.not_after + 1)
    assert not found.is_valid_at(found.not_before - 1)


def test_no_common_name_is_empty() -> None:
    assert common_name_of(pki.certify("", CA, [pki.usage(pki.CLIENT)])) == ""


def test_the_authority_is_told_apart_from_its_namesake() -> None:
    found = verify.verify_server(LEAF.pem, OTHER.pem + OURS.pem, pki.NOW, "s.n.svc")
    assert ca_bundle.fingerprint(found) == ca_bundle.fingerprint(OURS.certificate)


def test_an_intermediate_of_a_server_is_sent_along() -> None:
    middle = pki.authority("middle", OURS)
    leaf = pki.server(middle, "s.n.svc")
    assert verify.verify_server(leaf.pem + middle.pem, OURS.pem, pki.NOW) == OURS.certificate
    assert verify.verify_server(leaf.pem, middle.pem, pki.NOW) == middle.certificate
    with pytest.raises(CertificateRefused):
        verify.verify_server(leaf.pem, OURS.pem, pki.NOW)


def test_a_wildcard_is_a_name_and_an_rsa_authority_signs() -> None:
    authority = pki.certify(
        "rsa", None, [pki.constraints()], key=rsa.generate_private_key(65537, 2048)
    )
    leaf = pki.server(authority, "*.n.svc")
    assert verify.verify_server(leaf.pem, authority.pem, pki.NOW) == authority.certificate


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
def test_a_refused_server(served: bytes, bundle: bytes, days: int, host: str, reason: str) -> None:
    now = pki.NOW + days * DAY
    with pytest.raises(CertificateRefused, match=reason):
        verify.verify_server(served, bundle, now, host)
    assert host or not verify.is_trusted(served, [bundle], now)


def test_every_bundle_must_vouch() -> None:
    assert verify.is_trusted(LEAF.pem, [OURS.pem, OTHER.pem + OURS.pem], pki.NOW)
    assert not verify.is_trusted(LEAF.pem, [OURS.pem, OTHER.pem], pki.NOW)
    assert verify.is_trusted(LEAF.pem, [], pki.NOW)
