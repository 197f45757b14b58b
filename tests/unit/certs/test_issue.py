from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from metrics_apiserver.certs import issue, pair, peer, verify
from metrics_apiserver.certs.issue import KeyAlgorithm, Subject, Usage
from tests.fakes import pki

DAY = dt.timedelta(days=1)
AUTHORITY = issue.new_authority("ours", 10 * DAY, pki.NOW)


def test_a_leaf_for_clients_is_believed() -> None:
    subject = Subject("bob", ("a", "b"))
    made = issue.new_leaf(AUTHORITY, subject, [Usage.CLIENT], pki.NOW + DAY, pki.NOW)
    leaf = x509.load_pem_x509_certificates(made.certificate)[0]
    shown = peer.PeerChain.of((leaf.public_bytes(serialization.Encoding.DER),))
    found = verify.verify_client(shown, AUTHORITY.certificate, pki.NOW.timestamp())
    assert (found.common_name, found.organizations) == ("bob", ("a", "b"))


def test_a_leaf_for_servers_names_its_hosts() -> None:
    hosts = ("s." + "n" * 63 + ".svc", "s.n.svc", "10.0.0.1", "::1")
    made = issue.new_leaf(
        AUTHORITY, Subject(hosts[0], hosts=hosts), [Usage.SERVER], pki.NOW + DAY, pki.NOW
    )
    assert pair.inspect(made.certificate, made.key).hosts == hosts
    assert made.certificate.endswith(AUTHORITY.certificate)


def test_a_leaf_never_outlives_its_authority() -> None:
    made = issue.new_leaf(
        AUTHORITY, Subject("x", hosts=("x",)), [Usage.SERVER], pki.NOW + 99 * DAY, pki.NOW
    )
    until = (pki.NOW + 10 * DAY).timestamp()
    assert pair.inspect(made.certificate, made.key).not_after == until


def test_validity_begins_an_hour_ago() -> None:
    authority = x509.load_pem_x509_certificate(AUTHORITY.certificate)
    assert authority.not_valid_before_utc == pki.NOW - dt.timedelta(hours=1)


def test_the_key_never_shows() -> None:
    assert "PRIVATE" not in repr(AUTHORITY)


def test_a_self_signed_pair_names_loopback_and_the_hosts() -> None:
    made = issue.self_signed_serving_pair(["a.svc"], pki.NOW)
    found = pair.inspect(made.certificate, made.key)
    assert found.hosts == ("a.svc", "localhost", "127.0.0.1", "::1")
    assert "localhost" in repr(
        x509.load_pem_x509_certificate(
            issue.self_signed_serving_pair([], pki.NOW).certificate
        ).subject
    )


# RSA-4096 takes seconds to make and differs from the others in one number only.
@pytest.mark.parametrize(
    "algorithm", [one for one in KeyAlgorithm if one is not KeyAlgorithm.RSA_4096]
)
def test_every_kind_of_key_gives_a_pair_that_verifies(algorithm: KeyAlgorithm) -> None:
    authority = issue.new_authority("ours", DAY, pki.NOW, algorithm=algorithm)
    made = issue.new_leaf(
        authority,
        Subject("s.n.svc", hosts=("s.n.svc",)),
        [Usage.SERVER],
        pki.NOW + DAY,
        pki.NOW,
        algorithm=algorithm,
    )
    leaf = x509.load_pem_x509_certificates(made.certificate)[0]
    anchor = x509.load_pem_x509_certificate(authority.certificate)
    leaf.verify_directly_issued_by(anchor)
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_encipherment is algorithm.value.startswith("RSA")
    bits = getattr(leaf.public_key(), "key_size", 0)
    assert str(bits) in algorithm.value
    assert pair.inspect(made.certificate, made.key).hosts == ("s.n.svc",)


def test_a_foreign_rsa_authority_signs_too() -> None:
    rsa, _ = pki.kubeadm_front_proxy()
    foreign = issue.Pair(rsa.pem, rsa.key_pem)
    made = issue.new_leaf(foreign, Subject("x"), [Usage.CLIENT], pki.NOW + DAY, pki.NOW)
    leaf = x509.load_pem_x509_certificates(made.certificate)[0]
    leaf.verify_directly_issued_by(rsa.certificate)


def test_an_authority_must_be_a_pair_of_a_known_kind() -> None:
    edwards = pki.certify("ca", key=ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(ValueError, match="elliptic"):
        issue.new_leaf(
            issue.Pair(edwards.pem, edwards.key_pem),
            Subject("x"),
            [Usage.CLIENT],
            pki.NOW + DAY,
            pki.NOW,
        )
    with pytest.raises(ValueError, match="PEM"):
        issue.new_leaf(issue.Pair(b"", b""), Subject("x"), [Usage.CLIENT], pki.NOW, pki.NOW)
