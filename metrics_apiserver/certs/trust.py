"""Which authority of a bundle vouches for a serving certificate: what kube-apiserver will ask.

Go's rules as far as they matter to an APIService: any certificate of `caBundle` is an anchor, the
leaf is for servers (or says nothing of its use), every certificate is valid now. Names are a
separate question, because a certificate that lacks a name still serves the others. A bundle that
does not parse holds no authority: kube-apiserver would trust nobody by it either.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

_SERVER_USAGES = frozenset(
    {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)


class NotTrusted(Exception):
    """No authority of the bundle vouches for the certificate; the text says why."""


def authorities(bundle: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM bundle, each once; none when it is empty or malformed."""
    return _parsed(bytes(bundle))


@lru_cache(maxsize=16)
def _parsed(bundle: bytes) -> tuple[x509.Certificate, ...]:
    try:
        found = x509.load_pem_x509_certificates(bundle)
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


def anchor(served: bytes, bundle: bytes, now: dt.datetime, host: str = "") -> x509.Certificate:
    """The authority of `bundle` that vouches for a served chain.

    Args:
        served: PEM, leaf first, as it is sent in the handshake.
        bundle: PEM of the authorities that are trusted.
        now: aware.
        host: a name that the certificate must have; empty asks for none.

    Raises:
        NotTrusted: there is none.
    """
    chain = authorities(served)
    trusted = authorities(bundle)
    if not chain:
        raise NotTrusted("there is no certificate")
    if not trusted:
        raise NotTrusted("the bundle holds no certificate")
    name = host or _any_name(chain[0])
    try:
        verifier = (
            verification.PolicyBuilder()
            .store(verification.Store(list(trusted)))
            .time(now)
            .extension_policies(ca_policy=_CA_POLICY, ee_policy=_LEAF_POLICY)
            .build_server_verifier(x509.DNSName(name))
        )
        return verifier.verify(chain[0], list(chain[1:]))[-1]
    except (verification.VerificationError, ValueError) as error:
        raise NotTrusted(str(error)) from None


def is_trusted(served: bytes, bundles: Sequence[bytes], now: dt.datetime) -> bool:
    """Whether each bundle vouches for a served chain; no bundle at all asks nothing."""
    try:
        for bundle in bundles:
            anchor(served, bundle, now)
    except NotTrusted:
        return False
    return True


def _any_name(leaf: x509.Certificate) -> str:
    """A name that the leaf has, so that asking for it asks nothing."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        first: str = names.get_values_for_type(x509.DNSName)[0]
    except (x509.ExtensionNotFound, ValueError, IndexError):
        raise NotTrusted("the certificate has no DNS name") from None
    return first.replace("*", "any", 1)


def _check_authority(
    _policy: verification.Policy, _certificate: x509.Certificate, ext: x509.BasicConstraints
) -> None:
    if not ext.ca:
        raise ValueError("the issuer is not a certificate authority")


def _check_server(
    _policy: verification.Policy, _certificate: x509.Certificate, ext: x509.ExtendedKeyUsage | None
) -> None:
    if ext is not None and _SERVER_USAGES.isdisjoint(ext):
        raise ValueError("the certificate is not for servers")


_ANY = verification.Criticality.AGNOSTIC
_CA_POLICY = verification.ExtensionPolicy.permit_all().require_present(
    x509.BasicConstraints, _ANY, _check_authority
)
_LEAF_POLICY = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.SubjectAlternativeName, _ANY, None)
    .may_be_present(x509.ExtendedKeyUsage, _ANY, _check_server)
)
