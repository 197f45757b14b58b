"""When a pair and an authority are due, and what replaces them."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from metrics_apiserver.certs import ca_bundle, pair, source, verify
from metrics_apiserver.certs.issue import KeyAlgorithm, Pair
from metrics_apiserver.certs.secret import Material
from metrics_apiserver.certs.source import DAY, Made, PairSource

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
OURS = PairSource(("s.n.svc", "s.n"))


def content(made: Made) -> Material:
    return Material(made.pair, None, ca_bundle.join([made.authority]), made.authority_key)


MADE = OURS.make(Material(), NOW, fresh=True)
MATERIAL = content(MADE)
CA = ca_bundle.fingerprint(MADE.authority)


def lives(certificate: bytes) -> tuple[dt.timedelta, dt.timedelta]:
    """Of the leaf and of its authority, from NOW on."""
    leaf, authority = x509.load_pem_x509_certificates(certificate)
    return leaf.not_valid_after_utc - NOW, authority.not_valid_after_utc - NOW


def test_the_defaults() -> None:
    assert lives(MADE.pair.certificate) == (365 * DAY, 3650 * DAY)
    assert pair.inspect(MADE.pair.certificate, MADE.pair.key).hosts == OURS.hosts
    assert (
        MADE.authority.subject.rfc4514_string() == f"CN=metrics-apiserver-ca@{NOW.timestamp():.0f}"
    )
    verify.verify_server(MADE.pair.certificate, MATERIAL.authorities, NOW, "s.n.svc")


@pytest.mark.parametrize(
    ("days", "pair_is_due", "authority_is_due"),
    [
        (0, False, False),
        (243, False, False),
        (244, True, False),
        (400, True, False),
        (2432, True, False),
        (2434, True, True),
        (4000, True, True),
    ],
)
def test_due_when_a_third_is_left(days: int, pair_is_due: bool, authority_is_due: bool) -> None:
    now = NOW + days * DAY
    assert OURS.wants_pair(MATERIAL, now) is pair_is_due
    assert OURS.wants_authority(MATERIAL, CA, CA, now) is authority_is_due


def test_an_authority_that_would_cut_a_pair_short_is_due() -> None:
    short = PairSource(OURS.hosts, authority_lifetime=730 * DAY)
    material = content(short.make(Material(), NOW, fresh=True))
    assert not short.wants_authority(material, CA, CA, NOW + 364 * DAY)
    assert short.wants_authority(material, CA, CA, NOW + 366 * DAY)


@pytest.mark.parametrize("signer", [None, "another"])
def test_an_authority_is_wanted_where_the_pair_is_not_of_the_one_that_signs(
    signer: str | None,
) -> None:
    assert OURS.wants_authority(MATERIAL, signer, CA, NOW)


def test_a_missing_name_makes_a_pair_due_and_others_names_stay() -> None:
    other = replace(OURS, hosts=("t.n.svc",))
    assert other.wants_pair(MATERIAL, NOW)
    made = other.make(MATERIAL, NOW, fresh=False)
    assert pair.inspect(made.pair.certificate, made.pair.key).hosts == ("t.n.svc", *OURS.hosts)
    after = content(made)
    assert not other.wants_pair(after, NOW)
    assert not OURS.wants_pair(after, NOW)
    due = other.make(after, NOW + 300 * DAY, fresh=False)
    assert pair.inspect(due.pair.certificate, due.pair.key).hosts == other.hosts


def test_without_a_pair_one_is_due() -> None:
    assert OURS.wants_pair(Material(), NOW)
    assert OURS.wants_pair(replace(MATERIAL, serving=Pair(b"x", b"y")), NOW)


def test_another_pair_is_of_the_same_authority() -> None:
    made = OURS.make(MATERIAL, NOW, fresh=False)
    assert made.authority == MADE.authority
    assert made.pair != MADE.pair
    assert made.authority_key == MADE.authority_key


@pytest.mark.parametrize(("fresh", "days"), [(True, 0), (False, 3000)])
def test_another_authority(fresh: bool, days: int) -> None:
    made = OURS.make(MATERIAL, NOW + days * DAY, fresh=fresh)
    assert made.authority != MADE.authority
    verify.verify_server(made.pair.certificate, ca_bundle.join([made.authority]), NOW + days * DAY)


def test_rsa() -> None:
    made = PairSource(("s.n.svc",), KeyAlgorithm.RSA_2048).make(Material(), NOW, fresh=True)
    assert isinstance(made.authority.public_key(), rsa.RSAPublicKey)
    leaf = x509.load_pem_x509_certificates(made.pair.certificate)[0]
    assert isinstance(leaf.public_key(), rsa.RSAPublicKey)


def test_a_given_pair_is_all_there_is() -> None:
    given = PairSource((), given=replace(MADE, authority_key=b""))
    assert given.make(Material(), NOW, fresh=True).pair == MADE.pair
    assert given.wants_authority(Material(), None, "another", NOW)
    assert not given.wants_authority(MATERIAL, None, CA, NOW)
    assert not given.wants_pair(MATERIAL, NOW + 4000 * DAY)
    assert given.wants_pair(Material(), NOW)


def test_no_key_shows() -> None:
    assert "PRIVATE" not in repr(MADE)


def test_the_names_of_a_service() -> None:
    assert source.hosts_of("s", "n") == ("s.n.svc", "s.n", "s.n.svc.cluster.local")
    assert source.hosts_of("s", "n", "") == ("s.n.svc", "s.n")
