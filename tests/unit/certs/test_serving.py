"""Rows A5, A6, B9, B10, D4, T1 and T2 on real TLS sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509

from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.certs import files, pair, serving
from tests.fakes import pki

CA = pki.authority("serving-ca")
CLIENT_CA = pki.authority("client-ca")
NOW = pki.NOW.timestamp()


@dataclass
class World:
    """A directory with a pair, and the authorities that the context asks for."""

    directory: Path
    client_ca: bytes = b""
    now: float = NOW
    policy: serving.Policy = field(default_factory=serving.Policy)

    @property
    def where(self) -> files.PairFiles:
        return files.PairFiles(self.directory / "tls.crt", self.directory / "tls.key")

    def write(self, certified: pki.Certified) -> None:
        self.where.certificate.write_bytes(certified.pem)
        self.where.key.write_bytes(certified.key_pem)

    def context(self) -> serving.ServingContext:
        return serving.ServingContext(
            self.where, self.policy, lambda: self.client_ca, lambda: self.now
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.write(pki.server(CA, "localhost"))
    return made


@contextlib.contextmanager
def listen(current: Callable[[], ssl.SSLContext]) -> Iterator[int]:
    """A server in a thread that writes `ok` to whoever completes the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    raw, _ = listener.accept()
                except OSError:
                    return
                with raw, contextlib.suppress(OSError):
                    raw.settimeout(5)
                    with current().wrap_socket(raw, server_side=True) as connection:
                        connection.sendall(b"ok")
                        connection.unwrap()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def client(*, certified: pki.Certified | None = None, directory: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=CA.pem.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # on from Python 3.13; Go asks for less
    if certified is not None:
        path = directory / "client.pem"
        path.write_bytes(certified.key_pem + certified.pem)
        context.load_cert_chain(path)
    return context


@dataclass
class Seen:
    serial: int
    session: ssl.SSLSession | None
    alpn: str | None
    cipher: str


def connect(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Seen:
    """One connection, read to its end.

    Raises:
        OSError: the server refused; with TLS 1.3 that shows only when reading.
    """
    with (
        socket.create_connection(("127.0.0.1", port), 5) as raw,
        context.wrap_socket(raw, server_hostname="localhost", session=session) as connection,
    ):
        if connection.recv(2) != b"ok":
            raise OSError("closed")
        der = connection.getpeercert(True)
        assert der is not None
        serial = x509.load_der_x509_certificate(der).serial_number
        cipher = connection.cipher()
        assert cipher is not None
        return Seen(serial, connection.session, connection.selected_alpn_protocol(), cipher[0])


def refused(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> bool:
    try:
        connect(port, context, session)
    except OSError:
        return True
    return False


def healthy(subject: serving.ServingContext) -> bool:
    return subject.last_reload_successful


def test_a_new_pair_is_served_at_the_next_handshake(world: World) -> None:
    subject = world.context()
    plain = client(directory=world.directory)
    with listen(lambda: subject.context) as port:
        first = connect(port, plain)
        assert not subject.reload_once()
        second = pki.server(CA, "localhost", days=pki.Days(end=9))
        world.write(second)
        assert subject.reload_once()
        assert connect(port, plain).serial == second.certificate.serial_number != first.serial
    assert subject.not_after == second.certificate.not_valid_after_utc.timestamp()
    assert subject.reloads == 1
    assert healthy(subject)


@pytest.mark.parametrize("order", ["certificate first", "key first"])
def test_both_orders_of_writing_end_right(world: World, order: str) -> None:
    subject = world.context()
    new = pki.server(CA, "localhost")
    steps: list[Callable[[], object]] = [
        lambda: world.where.certificate.write_bytes(new.pem),
        lambda: world.where.key.write_bytes(new.key_pem),
    ]
    if order == "key first":
        steps.reverse()
    with listen(lambda: subject.context) as port:
        old = connect(port, client(directory=world.directory)).serial
        steps[0]()
        assert not subject.reload_once()
        assert not healthy(subject)
        assert connect(port, client(directory=world.directory)).serial == old
        steps[1]()
        assert subject.reload_once()
        assert healthy(subject)
        new_serial = connect(port, client(directory=world.directory)).serial
        assert new_serial == new.certificate.serial_number


def bad_pairs() -> dict[str, tuple[bytes, bytes]]:
    good, other = pki.server(CA, "localhost"), pki.server(CA, "localhost")
    expired = pki.server(CA, "localhost", days=pki.Days(-9, -1))
    early = pki.server(CA, "localhost", days=pki.Days(1, 9))
    foreign = pki.server(CA, "elsewhere")
    return {
        "mismatched": (good.pem, other.key_pem),
        "empty": (b"", b""),
        "half a certificate": (good.pem[:300], good.key_pem),
        "half a key": (good.pem, good.key_pem[:100]),
        "expired": (expired.pem, expired.key_pem),
        "not yet valid": (early.pem, early.key_pem),
        "wrong name": (foreign.pem, foreign.key_pem),
        "huge": (good.pem + b"#" * 2_000_000, good.key_pem),
    }


BAD_PAIRS = bad_pairs()


@pytest.mark.parametrize("case", list(BAD_PAIRS))
def test_a_bad_pair_harms_nobody(world: World, caplog: pytest.LogCaptureFixture, case: str) -> None:
    world.policy = serving.Policy(required_hosts=("localhost",))
    subject = world.context()
    certificate, key = BAD_PAIRS[case]
    with listen(lambda: subject.context) as port:
        old = connect(port, client(directory=world.directory)).serial
        world.where.certificate.write_bytes(certificate)
        world.where.key.write_bytes(key)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert not subject.reload_once()
        assert connect(port, client(directory=world.directory)).serial == old
    assert not healthy(subject)
    assert len(caplog.records) == 1
    assert "PRIVATE KEY" not in caplog.text


def test_removed_files_keep_the_old_pair(world: World) -> None:
    subject = world.context()
    world.where.key.unlink()
    assert not subject.reload_once()
    assert not healthy(subject)
    world.write(pki.server(CA, "localhost"))
    assert subject.reload_once()


def test_the_same_bytes_written_again_change_nothing(world: World) -> None:
    subject = world.context()
    world.where.certificate.write_bytes(world.where.certificate.read_bytes())
    world.where.certificate.touch()
    assert not subject.reload_once()
    assert healthy(subject)


def test_an_expired_pair_is_replaced_even_by_another(world: World) -> None:
    world.write(pki.server(CA, "localhost", days=pki.Days(-9, -1)))
    subject = world.context()
    world.write(pki.server(CA, "localhost", days=pki.Days(-9, -2)))
    assert subject.reload_once()


def test_a_kubernetes_volume_swap_is_seen(tmp_path: Path) -> None:
    for generation, certified in enumerate([pki.server(CA, "localhost") for _ in range(2)]):
        folder = tmp_path / f"..{generation}"
        folder.mkdir()
        (folder / "tls.crt").write_bytes(certified.pem)
        (folder / "tls.key").write_bytes(certified.key_pem)
    (tmp_path / "..data").symlink_to("..0")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    subject = World(tmp_path).context()
    (tmp_path / "..data_tmp").symlink_to("..1")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert subject.reload_once()
    assert not subject.reload_once()


def test_a_mismatched_pair_never_starts(world: World) -> None:
    world.where.key.write_bytes(CA.key_pem)
    with pytest.raises(pair.PairRefused):
        world.context()
    world.where.key.unlink()
    with pytest.raises(FileNotFoundError):
        world.context()


def test_unknown_policy_never_starts(world: World) -> None:
    for policy in (serving.Policy("VersionTLS10"), serving.Policy(cipher_suites=("x",))):
        world.policy = policy
        with pytest.raises(ConfigError):
            world.context()


def test_client_authorities_are_swapped_and_withdrawn(world: World) -> None:
    subject = world.context()
    known = pki.client(CLIENT_CA, "front")
    identified = client(certified=known, directory=world.directory)
    plain = client(directory=world.directory)
    with listen(lambda: subject.context) as port:
        # No authority yet: nobody is asked for a certificate.
        connect(port, identified)
        world.client_ca = CLIENT_CA.pem
        assert subject.reload_once()
        connect(port, identified)
        connect(port, plain)
        world.client_ca = pki.authority("another").pem
        assert subject.reload_once()
        assert refused(port, identified)
        connect(port, plain)
        # Half a pair on disk does not delay the authorities.
        world.where.key.write_bytes(b"")
        world.client_ca = CLIENT_CA.pem
        assert subject.reload_once()
        connect(port, identified)
        world.client_ca = b"\n"
        assert subject.reload_once()
        connect(port, identified)


def test_malformed_authorities_keep_the_old_ones(world: World) -> None:
    world.client_ca = CLIENT_CA.pem
    subject = world.context()
    identified = client(certified=pki.client(CLIENT_CA, "front"), directory=world.directory)
    stranger = client(certified=pki.client(CA, "stranger"), directory=world.directory)
    world.client_ca = b"broken"
    assert not subject.reload_once()
    assert not healthy(subject)
    with listen(lambda: subject.context) as port:
        connect(port, identified)
        stranger = client(certified=pki.client(CA, "stranger"), directory=world.directory)
        assert refused(port, stranger)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_outlives_a_withdrawn_authority(world: World, version: ssl.TLSVersion) -> None:
    world.client_ca = CLIENT_CA.pem
    subject = world.context()
    identified = client(certified=pki.client(CLIENT_CA, "front"), directory=world.directory)
    identified.minimum_version = identified.maximum_version = version
    with listen(lambda: subject.context) as port:
        session = connect(port, identified).session
        assert session is None or not session.has_ticket
        world.client_ca = pki.authority("another").pem
        assert subject.reload_once()
        assert refused(port, identified, session)


def test_an_anchor_need_not_be_self_signed(world: World) -> None:
    middle = pki.authority("middle", CLIENT_CA)
    world.client_ca = middle.pem
    subject = world.context()
    identified = client(certified=pki.client(middle, "front"), directory=world.directory)
    with listen(lambda: subject.context) as port:
        connect(port, identified)


@pytest.mark.parametrize("make", pki.FRONT_PROXIES)
def test_front_proxies_as_distributions_have_them(
    world: World, make: Callable[[], tuple[pki.Certified, pki.Certified]]
) -> None:
    authority, leaf = make()
    world.client_ca = authority.pem
    subject = world.context()
    with listen(lambda: subject.context) as port:
        connect(port, client(certified=leaf, directory=world.directory))


def test_only_http_1_1_is_offered(world: World) -> None:
    subject = world.context()
    context = client(directory=world.directory)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with listen(lambda: subject.context) as port:
        assert connect(port, context).alpn == "http/1.1"
        context.set_alpn_protocols(["h2"])
        assert connect(port, context).alpn is None


@pytest.mark.parametrize("old", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_old_versions_are_refused(world: World, old: ssl.TLSVersion) -> None:
    subject = world.context()
    context = client(directory=world.directory)
    context.minimum_version = old
    context.maximum_version = old
    context.set_ciphers("ALL:@SECLEVEL=0")
    with listen(lambda: subject.context) as port:
        assert refused(port, context)


@pytest.mark.parametrize("suites", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "DHE+AESGCM"])
def test_suites_outside_the_default_are_refused(world: World, suites: str) -> None:
    subject = world.context()
    context = client(directory=world.directory)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suites)
    with listen(lambda: subject.context) as port:
        assert refused(port, context)
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        assert connect(port, context).cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"


def test_the_minimum_version_holds_after_a_swap(world: World) -> None:
    world.policy = serving.Policy("VersionTLS13")
    subject = world.context()
    world.write(pki.server(CA, "localhost"))
    assert subject.reload_once()
    context = client(directory=world.directory)
    with listen(lambda: subject.context) as port:
        connect(port, context)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert refused(port, context)


def test_a_client_without_server_name_gets_the_current_pair(world: World) -> None:
    subject = world.context()
    new = pki.server(CA, "localhost")
    world.write(new)
    subject.reload_once()
    context = client(directory=world.directory)
    context.check_hostname = False
    with (
        listen(lambda: subject.context) as port,
        socket.create_connection(("127.0.0.1", port), 5) as raw,
        context.wrap_socket(raw) as connection,
    ):
        assert connection.getpeercert(True) == new.der


@contextlib.asynccontextmanager
async def running(subject: serving.ServingContext) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(subject.run(0.01))
        yield
        task.cancel()


async def test_the_loop_takes_over_what_comes(world: World) -> None:
    subject = world.context()
    async with running(subject):
        new = pki.server(CA, "localhost")
        world.write(new)
        async with asyncio.timeout(5):
            while not subject.reloads:  # noqa: ASYNC110 - the loop under test signals nobody
                await asyncio.sleep(0.01)
