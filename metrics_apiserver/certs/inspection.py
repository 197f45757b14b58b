"""Descriptions of certificates for people: their content, and whether a bundle verifies them.

Nothing is decided here, and no private key is ever shown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from metrics_apiserver.certs import ca_bundle, pair, verify


@dataclass(frozen=True, slots=True)
class InspectionLine:
    """One line of a description; `good` is False for what is wrong."""

    about: str
    text: str
    good: bool = True


def describe(certificate: x509.Certificate, now: dt.datetime) -> list[InspectionLine]:
    """Subject, names, issuer, validity, key and fingerprint of one certificate."""
    names = _names(certificate)
    signs = ", may sign" if _is_authority(certificate) else ""
    lines = [InspectionLine("subject", certificate.subject.rfc4514_string() or "(none)")]
    if names:
        lines.append(InspectionLine("names", ", ".join(names)))
    return [
        *lines,
        InspectionLine("issuer", certificate.issuer.rfc4514_string() or "(none)"),
        _validity(certificate, now),
        InspectionLine("key", f"{_key(certificate)}{signs}"),
        InspectionLine("sha256", ca_bundle.fingerprint(certificate)),
    ]


def check_chain(served: bytes, bundle: bytes, now: dt.datetime, host: str = "") -> InspectionLine:
    """Whether a bundle verifies a PEM chain, and one name if any is given."""
    wanted = f" for {host}" if host else ""
    try:
        anchor = verify.verify_server(served, bundle, now, host)
    except verify.CertificateRefused as refused:
        return InspectionLine("chain", f"not verified{wanted}: {refused}", good=False)
    return InspectionLine("chain", f"verified{wanted} by {anchor.subject.rfc4514_string()}")


def check_key(certificate: bytes, key: bytes) -> InspectionLine:
    """Whether a key is a certificate's."""
    try:
        pair.inspect(certificate, key)
    except pair.PairRefused as refused:
        return InspectionLine("key file", str(refused), good=False)
    return InspectionLine("key file", "fits")


def chain_of(certificates: Sequence[bytes]) -> bytes:
    """PEM of certificates in DER.

    Raises:
        ValueError: one is none.
    """
    return ca_bundle.join(x509.load_der_x509_certificate(der) for der in certificates)


def _validity(certificate: x509.Certificate, now: dt.datetime) -> InspectionLine:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    window = f"{begins:%Y-%m-%dT%H:%M:%SZ} to {ends:%Y-%m-%dT%H:%M:%SZ}"
    if now < begins:
        return InspectionLine("valid", f"{window}: not yet", good=False)
    if now > ends:
        return InspectionLine("valid", f"{window}: expired", good=False)
    return InspectionLine("valid", f"{window}: {(ends - now).days} days left")


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    addresses = found.get_values_for_type(x509.IPAddress)
    return [*found.get_values_for_type(x509.DNSName), *map(str, addresses)]


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA on {key.curve.name}"
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"{type(key).__name__.removesuffix('PublicKey')} ({len(der)} bytes)"
