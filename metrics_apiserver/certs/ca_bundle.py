"""PEM bundles of certificate authorities, as `caBundle` fields and CA files hold them.

A bundle is a set: each certificate counts once, and the order matters only to the Secret, where the
signing authority comes first. Nothing is verified here.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization


def parse(ca_pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM bundle.

    Raises:
        ValueError: malformed, or none at all.
    """
    return x509.load_pem_x509_certificates(ca_pem)


def authorities(bundle: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM bundle, each once; none when it is empty or malformed.

    kube-apiserver trusts no certificate by a bundle that does not parse either.
    """
    return _parsed(bytes(bundle))


@lru_cache(maxsize=16)
def _parsed(bundle: bytes) -> tuple[x509.Certificate, ...]:
    try:
        found = parse(bundle)
    except ValueError:
        return ()
    return tuple({fingerprint(one): one for one in found}.values())


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 over the DER, lower-case hex."""
    der = certificate.public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()


def fingerprints(bundle: bytes) -> frozenset[str]:
    """Of every authority of a bundle."""
    return frozenset(fingerprint(one) for one in authorities(bundle))


def join(certificates: Iterable[x509.Certificate]) -> bytes:
    """A PEM bundle of these, each once, in order."""
    each_once = {fingerprint(one): one for one in certificates}
    pem = serialization.Encoding.PEM
    return b"".join(one.public_bytes(pem) for one in each_once.values())


def is_valid_at(certificate: x509.Certificate, now: dt.datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
