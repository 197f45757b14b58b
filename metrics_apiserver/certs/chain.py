"""Who a client certificate says it is, if one of our authorities says so too.

The handshake only proves that the caller holds the leaf's key, and OpenSSL cannot tell which of
several bundles signed it, so each bundle verifies the whole chain again, at a given instant, with
Go's rules: client authentication usage along the chain, certificate authorities that say so, no
SHA-1. Subject alternative names and key identifiers are not asked for, because the certificates
that kubeadm, k3s and EKS make for the front proxy have only a common name. Authorities of version
1 or with Ed25519 keys, which Go would take, are refused: the verifier does not know them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

from metrics_apiserver.certs import x509v1

_UID_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")


class CertificateRefused(Exception):
    """The chain is not one of this bundle's; the text is for the log."""


@dataclass(frozen=True, slots=True)
class PeerChain:
    """What the caller showed in the handshake.

    Attributes:
        certificates: DER, leaf first.
        fingerprint: SHA-256 over the whole chain, so that a cached result never covers a leaf
            that came with other intermediates.
    """

    certificates: tuple[bytes, ...]
    fingerprint: bytes

    @classmethod
    def of(cls, certificates: tuple[bytes, ...]) -> PeerChain:
        digest = hashlib.sha256()
        for der in certificates:
            digest.update(len(der).to_bytes(4, "big") + der)
        return cls(certificates, digest.digest())


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A verified leaf.

    Attributes:
        common_name: the last one of the subject, empty when there is none.
        organizations: in the order of the subject.
        uids: values of Kubernetes' UID attribute; more than one is for the caller to refuse.
        sha256: lower-case hex over the leaf's DER.
        not_before, not_after: epoch seconds within which every certificate of the chain is valid.
    """

    common_name: str
    organizations: tuple[str, ...]
    uids: tuple[str, ...]
    sha256: str
    not_before: float
    not_after: float

    def is_valid_at(self, now: float) -> bool:
        return self.not_before <= now <= self.not_after


class _SSLObject(Protocol):
    def getpeercert(self, binary_form: Literal[True]) -> bytes | None: ...


def peer_chain(ssl_object: _SSLObject | None) -> PeerChain | None:
    """The certificates of the other side, None without TLS or certificate.

    Before Python 3.13 the intermediates are reached through the wrapped C object; where that is
    gone too, the leaf alone is given and chains with an intermediate are refused.
    """
    if ssl_object is None:
        return None
    leaf = ssl_object.getpeercert(True)
    if not leaf:
        return None
    certificates: list[bytes] = []
    public = getattr(ssl_object, "get_unverified_chain", None)
    inner = getattr(getattr(ssl_object, "_sslobj", None), "get_unverified_chain", None)
    if public is not None:
        certificates = list(public() or ())
    elif inner is not None:
        certificates = [_as_der(certificate) for certificate in inner() or ()]
    if not certificates or certificates[0] != leaf:
        certificates = [leaf]
    return PeerChain.of(tuple(certificates))


def verify(chain: PeerChain, ca_pem: bytes, now: float) -> ClientCertificate:
    """Verifies a client's chain against a PEM bundle at `now`, in epoch seconds.

    Every certificate of the bundle is an anchor, self-signed or not.

    Raises:
        CertificateRefused: not signed by this bundle, not valid now, not for clients, malformed,
            or the bundle holds no certificate.
    """
    try:
        store = _store(ca_pem)
        leaf, *others = (x509.load_der_x509_certificate(der) for der in chain.certificates)
        instant = dt.datetime.fromtimestamp(now, dt.UTC)
        if leaf.version is x509.Version.v1:
            anchor = x509v1.find_issuer(leaf, parse_bundle(ca_pem), instant)
            return _describe(leaf, [leaf, anchor])
        verifier = (
            verification.PolicyBuilder()
            .store(store)
            .time(instant)
            .extension_policies(ca_policy=_CA_POLICY, ee_policy=_LEAF_POLICY)
            .build_client_verifier()
        )
        verified = verifier.verify(leaf, others).chain
        return _describe(leaf, verified)
    except (verification.VerificationError, ValueError, OverflowError, OSError) as error:
        raise CertificateRefused(f"{type(error).__name__}: {error}") from error


def parse_bundle(ca_pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM bundle.

    Raises:
        ValueError: malformed, or none at all.
    """
    return x509.load_pem_x509_certificates(ca_pem)


@lru_cache(maxsize=4)
def _store(ca_pem: bytes) -> verification.Store:
    return verification.Store(parse_bundle(ca_pem))


def _as_der(certificate: Any) -> bytes:
    encoding_der = 2  # _ssl.ENCODING_DER, which the ssl module does not export
    der: bytes = certificate.public_bytes(encoding_der)
    return der


def _describe(leaf: x509.Certificate, chain: list[x509.Certificate]) -> ClientCertificate:
    names = _texts(leaf, NameOID.COMMON_NAME)
    return ClientCertificate(
        common_name=names[-1] if names else "",
        organizations=_texts(leaf, NameOID.ORGANIZATION_NAME),
        uids=_texts(leaf, _UID_OID),
        sha256=hashlib.sha256(leaf.public_bytes(serialization.Encoding.DER)).hexdigest(),
        not_before=max(c.not_valid_before_utc.timestamp() for c in chain),
        not_after=min(c.not_valid_after_utc.timestamp() for c in chain),
    )


def _texts(leaf: x509.Certificate, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    values = (attribute.value for attribute in leaf.subject.get_attributes_for_oid(oid))
    return tuple(v if isinstance(v, str) else v.decode("utf-8") for v in values)


def _check_authority(
    _policy: verification.Policy, _certificate: x509.Certificate, ext: x509.BasicConstraints
) -> None:
    if not ext.ca:
        raise ValueError("the issuer is not a certificate authority")


def _check_signing(
    _policy: verification.Policy, _certificate: x509.Certificate, ext: x509.KeyUsage | None
) -> None:
    if ext is not None and not ext.key_cert_sign:
        raise ValueError("the issuer's key is not for signing certificates")


def _check_client(
    _policy: verification.Policy, _certificate: x509.Certificate, ext: x509.ExtendedKeyUsage | None
) -> None:
    if ext is not None and x509v1.CLIENT_USAGES.isdisjoint(ext):
        raise ValueError("the certificate is not for client authentication")


_ANY = verification.Criticality.AGNOSTIC
_CA_POLICY = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, _ANY, _check_authority)
    .may_be_present(x509.KeyUsage, _ANY, _check_signing)
    .may_be_present(x509.ExtendedKeyUsage, _ANY, _check_client)
)
_LEAF_POLICY = verification.ExtensionPolicy.permit_all().may_be_present(
    x509.ExtendedKeyUsage, _ANY, _check_client
)
