"""Issuing of authorities and leaves: ECDSA P-256 by default, SHA-256, names in the SAN.

Used for the pair that a server without a given certificate makes for itself, for the standalone
mode, for the pair that a server keeps in a Secret, and for the `certs` command. Instants come in as
arguments; a Pair's key never shows in its `repr`. An authority signs leaves only (path length 0).
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_BACKDATE = dt.timedelta(hours=1)  # callers' clocks may be behind ours
_MAX_COMMON_NAME = 64

_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class KeyAlgorithm(Enum):
    """Kinds of keys, by the names of kubeadm's `encryptionAlgorithm`."""

    ECDSA_P256 = "ECDSA-P256"
    ECDSA_P384 = "ECDSA-P384"
    RSA_2048 = "RSA-2048"
    RSA_3072 = "RSA-3072"
    RSA_4096 = "RSA-4096"


_CURVES: dict[KeyAlgorithm, type[ec.EllipticCurve]] = {
    KeyAlgorithm.ECDSA_P256: ec.SECP256R1,
    KeyAlgorithm.ECDSA_P384: ec.SECP384R1,
}
_RSA_BITS = {
    KeyAlgorithm.RSA_2048: 2048,
    KeyAlgorithm.RSA_3072: 3072,
    KeyAlgorithm.RSA_4096: 4096,
}


class Usage(Enum):
    """What a leaf may be shown for."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate (for a leaf with its authority behind it) and its key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a leaf names.

    Attributes:
        common_name: also the user name of a client certificate; cut to 64 characters for servers.
        organizations: the groups of a client certificate.
        hosts: DNS names and IP addresses for the alternative names.
    """

    common_name: str
    organizations: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


def new_authority(
    common_name: str,
    lifetime: dt.timedelta,
    now: dt.datetime,
    *,
    algorithm: KeyAlgorithm = KeyAlgorithm.ECDSA_P256,
) -> Pair:
    """A self-signed authority, valid from an hour before `now` (aware, UTC) on."""
    key = _new_key(algorithm)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = _builder(name, name, key, lifetime, now)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pair(_pem(certificate), _key_pem(key))


def new_leaf(
    authority: Pair,
    subject: Subject,
    usages: Sequence[Usage],
    until: dt.datetime,
    now: dt.datetime,
    *,
    algorithm: KeyAlgorithm = KeyAlgorithm.ECDSA_P256,
) -> Pair:
    """A leaf signed by `authority`, valid until `until`, never longer than its authority.

    Raises:
        ValueError: `authority` is not a pair, its key is of a kind that is not issued here, or a
            host is no DNS name or address.
    """
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    issuer_key = serialization.load_pem_private_key(authority.key, None)
    if not isinstance(issuer_key, _PrivateKey):
        raise ValueError("the authority's key must be RSA or elliptic")  # noqa: TRY004 - of bytes
    key = _new_key(algorithm)
    until = min(until, issuer.not_valid_after_utc)
    builder = _builder(_name(subject), issuer.subject, key, until - now, now)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            _key_usage(key_cert_sign=False, enciphers=isinstance(key, rsa.RSAPrivateKey)),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([u.value for u in usages]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if subject.hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in subject.hosts])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    return Pair(_pem(certificate) + authority.certificate, _key_pem(key))


def self_signed_serving_pair(
    hosts: Sequence[str], now: dt.datetime, lifetime: dt.timedelta = dt.timedelta(days=365)
) -> Pair:
    """A serving leaf for `hosts` and loopback, with the authority that signed it."""
    names = tuple(dict.fromkeys([*hosts, "localhost", "127.0.0.1", "::1"]))
    authority = new_authority("metrics-apiserver-ca", lifetime, now)
    return new_leaf(authority, Subject(names[0], hosts=names), [Usage.SERVER], now + lifetime, now)


def _new_key(algorithm: KeyAlgorithm) -> _PrivateKey:
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    return rsa.generate_private_key(65537, _RSA_BITS[algorithm])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: _PrivateKey,
    lifetime: dt.timedelta,
    now: dt.datetime,
) -> x509.CertificateBuilder:
    public_key = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(subject: Subject) -> x509.Name:
    common_name = subject.common_name
    if subject.hosts:
        common_name = common_name[:_MAX_COMMON_NAME]
    organizations = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in subject.organizations
    ]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, key_cert_sign: bool, enciphers: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=enciphers,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: _PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
