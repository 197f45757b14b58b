"""What the other side of a handshake has shown."""

from __future__ import annotations

import ssl
from typing import Literal

import pytest

from metrics_apiserver.certs import peer
from metrics_apiserver.certs.peer import PeerChain
from tests.fakes import pki

CA = pki.authority("front-proxy-ca")


def shown(*certified: pki.Certified) -> PeerChain:
    return PeerChain.of(tuple(one.der for one in certified))


def good_intermediate() -> list[pki.Certified]:
    middle = pki.authority("middle", CA)
    return [pki.client(middle, "front"), middle]


def test_fingerprint_covers_the_whole_chain() -> None:
    leaf, middle = good_intermediate()
    assert shown(leaf, middle).fingerprint != shown(leaf).fingerprint
    assert PeerChain.of((b"ab", b"c")).fingerprint != PeerChain.of((b"a", b"bc")).fingerprint


class _Handshake:
    """The attributes of an SSLObject that matter here, as different Pythons have them."""

    def __init__(self, leaf: bytes | None) -> None:
        self._leaf = leaf

    def getpeercert(self, binary_form: Literal[True]) -> bytes | None:
        assert binary_form
        return self._leaf


class _Public(_Handshake):
    def get_unverified_chain(self) -> list[bytes]:
        return [b"leaf", b"middle"]


class _Other(_Handshake):
    def get_unverified_chain(self) -> list[bytes]:
        return [b"middle", b"leaf"]


def test_peer_chain_without_tls_or_certificate() -> None:
    assert peer.peer_chain(None) is None
    assert peer.peer_chain(_Handshake(None)) is None


def test_peer_chain_by_the_public_way_of_python_3_13() -> None:
    found = peer.peer_chain(_Public(b"leaf"))
    assert found is not None
    assert found.certificates == (b"leaf", b"middle")


@pytest.mark.parametrize("handshake", [_Handshake(b"leaf"), _Other(b"leaf")])
def test_peer_chain_falls_back_to_the_leaf(handshake: _Handshake) -> None:
    found = peer.peer_chain(handshake)
    assert found is not None
    assert found.certificates == (b"leaf",)


def test_peer_chain_of_a_real_handshake() -> None:
    """Without a socket: two SSLObjects that pass bytes to each other."""
    leaf, middle = good_intermediate()
    server = pki.server(CA, "localhost")
    server_side, client_side = _handshake(server, [leaf, middle])
    found = peer.peer_chain(server_side)
    assert found is not None
    assert found.certificates == (leaf.der, middle.der)
    assert peer.peer_chain(client_side) is not None


def _handshake(
    server: pki.Certified, client: list[pki.Certified]
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    import tempfile

    def load(context: ssl.SSLContext, certified: list[pki.Certified]) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(certified[0].key_pem + b"".join(one.pem for one in certified))
            file.flush()
            context.load_cert_chain(file.name)

    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load(server_context, [server])
    server_context.verify_mode = ssl.CERT_OPTIONAL
    server_context.load_verify_locations(cadata=CA.pem.decode())
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.load_verify_locations(cadata=CA.pem.decode())
    load(client_context, client)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server_context.wrap_bio(to_server, to_client, server_side=True)
    client_side = client_context.wrap_bio(to_client, to_server, server_hostname="localhost")
    for _ in range(10):
        for side in (client_side, server_side):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return server_side, client_side
