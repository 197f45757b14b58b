"""The issuer of a client certificate of version 1, which the library's verifier does not take.

`openssl x509 -req` makes that version by default, so manually made front proxies have it, and Go
accepts it. Version 1 has no extensions: nothing is said of usages, and nothing is critical.
Only anchors count as issuers, because an intermediate of version 1 may not sign in Go either. An
anchor that says more than this module reads (name constraints, say) is refused.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_RSA_BITS = 2048
CLIENT_USAGES = frozenset(
    {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)


def find_issuer(
    leaf: x509.Certificate, anchors: Iterable[x509.Certificate], instant: dt.datetime
) -> x509.Certificate:
    """The anchor that signed the leaf, when both are good for a client at the instant.

    Raises:
        ValueError: there is none.
    """
    if leaf.version is not x509.Version.v1 or len(leaf.extensions):
        raise ValueError("the certificate is not of version 1")
    _check(leaf, instant)
    failure = ValueError("no authority of this bundle signed the certificate")
    for anchor in anchors:
        if not _signed(leaf, anchor):
            continue
        try:
            _check(anchor, instant)
            _check_may_sign(anchor)
        except ValueError as error:
            failure = error  # the same key may stand in the bundle again, in a renewed certificate
        else:
            return anchor
    raise failure


def _signed(leaf: x509.Certificate, anchor: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(anchor)
    except (InvalidSignature, ValueError, TypeError):
        return False
    # The signature of the anchor itself is not verified: it is trusted as it is.
    return isinstance(leaf.signature_hash_algorithm, _HASHES)


def _check(certificate: x509.Certificate, instant: dt.datetime) -> None:
    if not certificate.not_valid_before_utc <= instant <= certificate.not_valid_after_utc:
        raise ValueError("a certificate is not valid at this time")
    match certificate.public_key():
        case rsa.RSAPublicKey(key_size=bits) if bits >= _RSA_BITS:
            return
        case ec.EllipticCurvePublicKey(curve=curve) if isinstance(curve, _CURVES):
            return
    raise ValueError("a certificate has a key of a kind that is not accepted")


def _check_may_sign(anchor: x509.Certificate) -> None:
    if anchor.version is x509.Version.v1:
        return
    authority, signs, clients = False, True, True
    for extension in anchor.extensions:
        match extension.value:
            case x509.BasicConstraints(ca=ca):
                authority = ca
            case x509.KeyUsage(key_cert_sign=may):
                signs = may
            case x509.ExtendedKeyUsage() as usages:
                clients = not CLIENT_USAGES.isdisjoint(usages)
            case other if extension.critical or isinstance(other, x509.NameConstraints):
                raise ValueError("the authority limits whom it speaks for")
            case _:
                continue
    if not (authority and signs and clients):
        raise ValueError("the issuer may not sign certificates of clients")
