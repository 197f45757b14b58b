"""Certificates of every kind, good and bad, for tests: one call each, valid from an hour ago."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = dt.datetime.fromtimestamp(int(time.time()), dt.UTC)  # noqa: TID251 - TLS peers read this clock
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Extension = tuple[x509.ExtensionType, bool]

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE

# As they stand in a certificate.
_VERSION_3 = bytes.fromhex("a003020102")
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_ECDSA_SHA1 = bytes.fromhex("300906072a8648ce3d0401")


@dataclass(frozen=True)
class Certified:
    """A certificate with its key."""

    certificate: x509.Certificate
    private_key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        return self.private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


@dataclass(frozen=True)
class Days:
    """Validity in days from NOW."""

    begin: float = -1 / 24
    end: float = 30


def name(common_name: str | Sequence[str], organizations: Sequence[str] = ()) -> x509.Name:
    common_names = [common_name] if isinstance(common_name, str) else common_name
    return x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations),
            *(x509.NameAttribute(NameOID.COMMON_NAME, c) for c in common_names if c),
        ]
    )


def certify(
    subject: x509.Name | str,
    issuer: Certified | None = None,
    extensions: Sequence[Extension] = (),
    *,
    days: Days = Days(),
    key: Key | None = None,
) -> Certified:
    """A certificate with exactly these extensions; self-signed without an issuer."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = name(subject) if isinstance(subject, str) else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + dt.timedelta(days=days.begin))
        .not_valid_after(NOW + dt.timedelta(days=days.end))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    signer = issuer.private_key if issuer else key
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Certified(builder.sign(signer, algorithm), key)


def first_version(
    certified: Certified, issuer: Certified | None = None, *, sha1: bool = False
) -> Certified:
    """The same as version 1, signed again: `openssl x509 -req` makes it, cryptography does not.

    Extensions stay where they are, which no standard allows.
    """
    signer = (issuer or certified).private_key
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    body = certified.certificate.tbs_certificate_bytes
    fields = body[body.index(_VERSION_3) + len(_VERSION_3) :]
    algorithm = _ECDSA_SHA1 if sha1 else _ECDSA_SHA256
    to_sign = _sequence(fields.replace(_ECDSA_SHA256, algorithm, 1))
    signature = signer.sign(to_sign, ec.ECDSA(hashes.SHA1() if sha1 else hashes.SHA256()))
    bits = b"\x03" + _length(len(signature) + 1) + b"\0" + signature
    made = x509.load_der_x509_certificate(_sequence(to_sign + algorithm + bits))
    return Certified(made, certified.private_key)


def _sequence(content: bytes) -> bytes:
    return b"\x30" + _length(len(content)) + content


def _length(size: int) -> bytes:
    if size < 128:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def constraints(path_length: int | None = None) -> Extension:
    return x509.BasicConstraints(True, path_length), True


def key_usage(*, signs_certificates: bool, enciphers: bool = True) -> Extension:
    usage = x509.KeyUsage(
        True, False, enciphers, False, False, signs_certificates, False, False, False
    )
    return usage, True


def usage(*usages: x509.ObjectIdentifier) -> Extension:
    return x509.ExtendedKeyUsage(usages), False


def alternative_names(*hosts: str) -> Extension:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names), False


def subject_key(key: Key) -> Extension:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False


def authority_key(issuer: Certified) -> Extension:
    key = issuer.private_key.public_key()
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key), False


def authority(common_name: str = "ca", issuer: Certified | None = None) -> Certified:
    return certify(common_name, issuer, [constraints(), key_usage(signs_certificates=True)])


def client(
    issuer: Certified, common_name: str, organizations: Sequence[str] = (), *, days: Days = Days()
) -> Certified:
    """A client certificate with a common name and no alternative name."""
    return certify(name(common_name, organizations), issuer, [usage(CLIENT)], days=days)


def server(issuer: Certified, *hosts: str, days: Days = Days()) -> Certified:
    extensions = [usage(SERVER), alternative_names(*hosts), authority_key(issuer)]
    return certify(hosts[0], issuer, extensions, days=days)


def kubeadm_front_proxy() -> tuple[Certified, Certified]:
    """As kubeadm makes them: RSA, CN only, no key identifiers on the leaf."""
    ca_key = rsa.generate_private_key(65537, 2048)
    ca = certify(
        "front-proxy-ca",
        None,
        [
            key_usage(signs_certificates=True),
            constraints(),
            subject_key(ca_key),
            alternative_names("front-proxy-ca"),
        ],
        key=ca_key,
    )
    leaf = certify(
        "front-proxy-client",
        ca,
        [key_usage(signs_certificates=False), usage(CLIENT), authority_key(ca)],
        key=rsa.generate_private_key(65537, 2048),
    )
    return ca, leaf


def k3s_front_proxy() -> tuple[Certified, Certified]:
    """As k3s makes them (rancher/dynamiclistener): ECDSA, an O-less authority, no AKI."""
    ca = certify(
        "k3s-request-header-ca@1700000000",
        None,
        [key_usage(signs_certificates=True), constraints()],
    )
    leaf = certify(
        "system:auth-proxy",
        ca,
        [key_usage(signs_certificates=False), usage(CLIENT)],
    )
    return ca, leaf


def eks_front_proxy() -> tuple[Certified, Certified]:
    """As EKS makes them: an authority without key identifiers, a leaf with both usages."""
    ca_key = rsa.generate_private_key(65537, 2048)
    ca = certify(
        "front-proxy-ca", None, [key_usage(signs_certificates=True), constraints()], key=ca_key
    )
    leaf = certify(
        "front-proxy-client",
        ca,
        [
            key_usage(signs_certificates=False),
            usage(CLIENT, SERVER),
            (x509.BasicConstraints(False, None), True),
        ],
        key=rsa.generate_private_key(65537, 2048),
    )
    return ca, leaf


def handmade_front_proxy() -> tuple[Certified, Certified]:
    """As `openssl req -x509` and, of version 1, `openssl x509 -req` make them."""
    key = ec.generate_private_key(ec.SECP256R1())
    ca = certify("front-proxy-ca", None, [subject_key(key), constraints()], key=key)
    return ca, first_version(certify("front-proxy-client", ca), ca)


FRONT_PROXIES = (kubeadm_front_proxy, k3s_front_proxy, eks_front_proxy, handmade_front_proxy)


def load_pair(context: ssl.SSLContext, *certified: Certified) -> None:
    """Makes the context show these, the leaf first."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(certified[0].key_pem + b"".join(one.pem for one in certified))
        file.flush()
        context.load_cert_chain(file.name)
