"""Contexts for clients, with authorities and pairs as they are found in the field."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest
import trustme

from metrics_apiserver.base import tls
from tests.fakes import authorities, pki


def _pair(ca: trustme.CA) -> tls.Pair:
    leaf = ca.issue_cert("client")
    return leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()


def test_verifies_by_default() -> None:
    context = tls.build_client_context(None, None)
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN


@pytest.mark.parametrize("make", authorities.SERVERS)
def test_authorities_as_clusters_have_them(make: Callable[[], authorities.Found]) -> None:
    found = make()
    server = authorities.server(found)
    authorities.shake_hands(tls.build_client_context(found.bundle, None), server)
    for host, bundle in (("elsewhere", found.bundle), ("localhost", pki.authority().pem)):
        with pytest.raises(ssl.SSLCertVerificationError):
            authorities.shake_hands(tls.build_client_context(bundle, None), server, host)


def test_insecure_only_on_demand() -> None:
    assert tls.build_client_context(None, None, verify=False).verify_mode == ssl.CERT_NONE


def test_bundle_with_comments_and_client_pair() -> None:
    ca = trustme.CA()
    bundle = "# Zürich\n".encode() + ca.cert_pem.bytes()
    context = tls.build_client_context(bundle, _pair(ca))
    assert len(context.get_ca_certs()) == 1


def test_bad_material() -> None:
    ca = trustme.CA()
    with pytest.raises(ValueError, match="certificate authority"):
        tls.build_client_context(b"nothing", None)
    with pytest.raises(ValueError, match="matching PEM pair"):
        tls.build_client_context(None, (_pair(ca)[0], _pair(ca)[1]))
