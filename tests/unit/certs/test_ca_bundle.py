"""PEM bundles: each certificate once."""

from __future__ import annotations

import datetime as dt

from metrics_apiserver.certs import ca_bundle
from tests.fakes import pki

DAY = dt.timedelta(days=1)
OURS, OTHER = pki.authority("ca"), pki.authority("ca")


def test_a_bundle_holds_each_authority_once() -> None:
    bundle = OURS.pem + OTHER.pem + OURS.pem
    assert ca_bundle.authorities(bundle) == (OURS.certificate, OTHER.certificate)
    assert ca_bundle.join(ca_bundle.authorities(bundle)) == OURS.pem + OTHER.pem
    assert ca_bundle.fingerprints(bundle) == ca_bundle.fingerprints(OTHER.pem + OURS.pem)
    assert ca_bundle.authorities(b"garbage") == ()


def test_validity() -> None:
    assert ca_bundle.is_valid_at(OURS.certificate, pki.NOW)
    assert not ca_bundle.is_valid_at(OURS.certificate, pki.NOW + 31 * DAY)
    assert not ca_bundle.is_valid_at(OURS.certificate, pki.NOW - DAY)
