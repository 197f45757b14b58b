"""Pairs for `localhost` as clusters and old Prometheus installations have them.

Go's clients accept every one of them. The strict flag that Python 3.13 turned on refuses most, and
OpenSSL by default refuses an anchor that another authority signed, or that may sign nothing.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes import pki

HOST = "localhost"


@dataclass(frozen=True)
class Found:
    """What a server shows, and the PEM bundle that its clients were given."""

    leaf: pki.Certified
    bundle: bytes


def kubeadm() -> Found:
    """As kubeadm makes the cluster's authority and kube-apiserver's pair, by Go 1.15 or later."""
    ca_key, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    names = pki.alternative_names("kubernetes")
    signs = pki.key_usage(signs_certificates=True)
    extensions = [signs, pki.constraints(), pki.subject_key(ca_key), names]
    ca = pki.certify("kubernetes", None, extensions, key=ca_key)
    leaf = pki.certify(
        "kube-apiserver",
        ca,
        [
            pki.key_usage(signs_certificates=False),
            pki.usage(pki.SERVER),
            (x509.BasicConstraints(False, None), True),
            pki.authority_key(ca),
            pki.alternative_names(HOST),
        ],
        key=key,
    )
    return Found(leaf, ca.pem)


def without_key_identifiers() -> Found:
    """As k3s, EKS and every older Go make them."""
    return _signed(pki.authority("k3s-server-ca@1700000000"))


def without_key_usage() -> Found:
    """As cfssl's and openssl's recipes of old make them: nothing is critical, no usage is said."""
    return _signed(pki.certify("ca", None, [(x509.BasicConstraints(True, None), False)]))


def first_version() -> Found:
    """As `openssl x509 -signkey` makes an authority: version 1, which knows no extension."""
    return _signed(pki.first_version(pki.certify("ca")))


def without_subject() -> Found:
    """A leaf of which only the alternative name says anything, and that is not critical."""
    ca = pki.authority()
    leaf = pki.certify("", ca, [pki.usage(pki.SERVER), pki.alternative_names(HOST)])
    return Found(leaf, ca.pem)


def self_signed() -> Found:
    """As Go's generate_cert.go makes it: its own anchor, but no authority."""
    extensions = [
        pki.key_usage(signs_certificates=False),
        pki.usage(pki.SERVER),
        (x509.BasicConstraints(False, None), True),
        pki.alternative_names(HOST),
    ]
    leaf = pki.certify(HOST, None, extensions)
    return Found(leaf, leaf.pem)


def intermediate_as_anchor() -> Found:
    """The bundle holds only the authority in the middle, which a root signed."""
    middle = pki.authority("middle", pki.authority("root"))
    return _signed(middle)


SERVERS = (
    kubeadm,
    without_key_identifiers,
    without_key_usage,
    first_version,
    without_subject,
    self_signed,
    intermediate_as_anchor,
)


def _signed(ca: pki.Certified) -> Found:
    leaf = pki.certify(HOST, ca, [pki.usage(pki.SERVER), pki.alternative_names(HOST)])
    return Found(leaf, ca.pem)


def server(found: Found) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pki.load_pair(context, found.leaf)
    return context


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str = HOST) -> None:
    """One handshake in memory.

    Raises:
        ssl.SSLError: one of the two refused the other.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    while waiting:
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    for end in ends:
        try:
            end.read()  # in TLS 1.3 the client's handshake ends before its certificate is verified
        except ssl.SSLWantReadError:
            continue
