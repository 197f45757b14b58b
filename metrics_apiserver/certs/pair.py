"""Validation of a certificate and its key, as bytes, before they are served.

Everything is checked before anything is replaced: both parse, the key is the leaf's and needs
no pass phrase, the validity window, the names. Follows dynamiccertificates
(dynamic_serving_content.go), which refuses an empty or mismatched pair and keeps the old one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes


class PairRefused(ValueError):
    """The bytes are no usable pair; the text holds nothing of them."""


@dataclass(frozen=True, slots=True)
class ServingPair:
    """What is known of a pair whose key fits.

    Attributes:
        not_before, not_after: epoch seconds of the leaf.
        hosts: its DNS names and addresses, lower-case.
    """

    not_before: float
    not_after: float
    hosts: tuple[str, ...]

    def is_valid_at(self, now: float) -> bool:
        return self.not_before <= now <= self.not_after

    def lacking(self, hosts: Iterable[str]) -> list[str]:
        """Those of `hosts` that no name of the certificate covers; one left wildcard label."""
        return [host for host in hosts if not self._covers(host.lower())]

    def _covers(self, host: str) -> bool:
        _, dot, parent = host.partition(".")
        return host in self.hosts or (bool(dot) and f"*.{parent}" in self.hosts)


def inspect(certificate_pem: bytes, key_pem: bytes) -> ServingPair:
    """Parses a PEM chain, leaf first, and its key.

    Raises:
        PairRefused: empty, malformed, encrypted or mismatched.
    """
    leaf = _leaf(certificate_pem)
    key = _key(key_pem)
    if _public_der(key.public_key()) != _public_der(leaf.public_key()):
        raise PairRefused("the key is not the certificate's")
    return ServingPair(
        leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp(), _hosts(leaf)
    )


def _leaf(certificate_pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(certificate_pem)[0]
    except ValueError:
        raise PairRefused("the certificate file holds no PEM certificate") from None


def _key(key_pem: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(key_pem, None)
    except TypeError:
        raise PairRefused("the key is encrypted: give it without a pass phrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise PairRefused("the key file holds no PEM private key") from None


def _public_der(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _hosts(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    dns = (name.lower() for name in names.get_values_for_type(x509.DNSName))
    return (*dns, *(str(address) for address in names.get_values_for_type(x509.IPAddress)))
