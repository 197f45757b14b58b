"""The certificates that the other side of a TLS connection has shown, as they were sent.

Nothing is verified here: the handshake only proves that the caller holds the leaf's key. `verify`
says whose certificate it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, Protocol


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


def _as_der(certificate: Any) -> bytes:
    encoding_der = 2  # _ssl.ENCODING_DER, which the ssl module does not export
    der: bytes = certificate.public_bytes(encoding_der)
    return der
