"""Verification of certificate chains, of clients and of servers, with Go's rules.

Every certificate of a bundle is an anchor, self-signed or not; each chain is verified at a given
instant, because OpenSSL's handshake cannot tell which of several bundles signed it.

- A client's chain: client authentication along it, certificate authorities that say so, no SHA-1.
  Subject alternative names and key identifiers are not required, because the certificates that
  kubeadm, k3s and EKS make for the front proxy have only a common name. Leaves of version 1 are
  verified by `x509v1`. Authorities of version 1 or with Ed25519 keys, which Go would accept, are
  refused: the verifier does not know them.
- A server's chain, as kube-apiserver verifies an APIService: the leaf is for servers or says
  nothing of its use. The name is optional, because a certificate that lacks a name still serves
  the others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from metrics_apiserver.certs import ca_bundle, x509v1
from metrics_apiserver.certs.peer import PeerChain

_UID_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")
_SERVER_USAGES = frozenset(
    {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)


class CertificateRefused(Exception):
    """The chain is not verified by the bundle; the text says why, for the log."""


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


def verify_client(chain: PeerChain, ca_pem: bytes, now: float) -> ClientCertificate:
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
            anchor = x509v1.find_issuer(leaf, ca_bundle.parse(ca_pem), instant)
            return _describe(leaf, [leaf, anchor])
        verifier = (
            verification.PolicyBuilder()
            .store(store)
            .time(instant)
            .extension_policies(ca_policy=_CLIENT_CA_POLICY, ee_policy=_CLIENT_POLICY)
            .build_client_verifier()
        )
        verified = verifier.verify(leaf, others).chain
        return _describe(leaf, verified)
    except (verification.VerificationError, ValueError, OverflowError, OSError) as error:
        raise CertificateRefused(f"{type(error).__name__}: {error}") from error


def verify_server(
    served: bytes, bundle: bytes, now: dt.datetime, host: str = ""
) -> x509.Certificate:
    """Verifies a served chain against a PEM bundle; gives the authority that it leads to.

    Args:
        served: PEM, leaf first, as it is sent in the handshake.
        bundle: PEM of the authorities that are trusted.
        now: aware.
        host: a name that the certificate must have; empty for any.

    Raises:
        CertificateRefused: the bundle does not verify it.
    """
    chain = ca_bundle.authorities(served)
    trusted = ca_bundle.authorities(bundle)
    if not chain:
        raise CertificateRefused("there is no certificate")
    if not trusted:
        raise CertificateRefused("the bundle holds no certificate")
    name = host or _any_name(chain[0])
    try:
        verifier = (
            verification.PolicyBuilder()
            .store(verification.Store(list(trusted)))
            .time(now)
            .extension_policies(ca_policy=_SERVER_CA_POLICY, ee_policy=_SERVER_POLICY)
            .build_server_verifier(x509.DNSName(name))
        )
        return verifier.verify(chain[0], list(chain[1:]))[-1]
    except (verification.VerificationError, ValueError) as error:
        raise CertificateRefused(str(error)) from None


def is_trusted(served: bytes, bundles: Sequence[bytes], now: dt.datetime) -> bool:
    """Whether each bundle verifies a served chain; True for no bundles."""
    try:
        for bundle in bundles:
            verify_server(served, bundle, now)
    except CertificateRefused:
        return False
    return True


def _any_name(leaf: x509.Certificate) -> str:
    """A name that the leaf has, for a verifier that requires one."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        first: str = names.get_values_for_type(x509.DNSName)[0]
    except (x509.ExtensionNotFound, ValueError, IndexError):
        raise CertificateRefused("the certificate has no DNS name") from None
    return first.replace("*", "any", 1)


@lru_cache(maxsize=4)
def _store(ca_pem: bytes) -> verification.Store:
    return verification.Store(ca_bundle.parse(ca_pem))


def _describe(leaf: x509.Certificate, chain: list[x509.Certificate]) -> ClientCertificate:
    names = _texts(leaf, NameOID.COMMON_NAME)
    return ClientCertificate(
        common_name=names[-1] if names else "",
        organizations=_texts(leaf, NameOID.ORGANIZATION_NAME),
        uids=_texts(leaf, _UID_OID),
        sha256=ca_bundle.fingerprint(leaf),
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


def _check_server(
    _policy: verification.Policy, _certificate: x509.Certificate, ext: x509.ExtendedKeyUsage | None
) -> None:
    if ext is not None and _SERVER_USAGES.isdisjoint(ext):
        raise ValueError("the certificate is not for servers")


_ANY = verification.Criticality.AGNOSTIC
_CLIENT_CA_POLICY = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, _ANY, _check_authority)
    .may_be_present(x509.KeyUsage, _ANY, _check_signing)
    .may_be_present(x509.ExtendedKeyUsage, _ANY, _check_client)
)
_CLIENT_POLICY = verification.ExtensionPolicy.permit_all().may_be_present(
    x509.ExtendedKeyUsage, _ANY, _check_client
)
_SERVER_CA_POLICY = verification.ExtensionPolicy.permit_all().require_present(
    x509.BasicConstraints, _ANY, _check_authority
)
_SERVER_POLICY = (
    verification.ExtensionPolicy.permit_all()
    .require_present(x509.SubjectAlternativeName, _ANY, None)
    .may_be_present(x509.ExtendedKeyUsage, _ANY, _check_server)
)
