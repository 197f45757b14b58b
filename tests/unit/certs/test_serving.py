"""Rows A5, A6, B9, B10, D4, T1 and T2 on real TLS sockets."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509

from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.certs import pair, pair_files, serving
from tests.fakes import pki

CA = pki.authority("serving-ca")
CLIENT_CA = pki.authority("client-ca")
NOW = pki.NOW.timestamp()


@dataclass
class Environment:
    """A directory with a pair, and the authorities that the context asks for."""

    directory: Path
    client_ca: bytes = b""
    now: float = NOW
    policy: serving.Policy = field(default_factory=serving.Policy)

    @property
    def where(self) -> pair_files.PairFiles:
        return pair_files.PairFiles(self.directory / "tls.crt", self.directory / "tls.key")

    def write(self, certified: pki.Certified) -> None:
        self.where.certificate.write_bytes(certified.pem)
        self.where.key.write_bytes(certified.key_pem)

    def context(self) -> serving.ServingContext:
        return serving.ServingContext(
            self.where, self.policy, lambda: self.client_ca, lambda: self.now
        )


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    made = Environment(tmp_path)
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


def test_a_new_pair_is_served_at_the_next_handshake(environment: Environment) -> None:
    subject = environment.context()
    plain = client(directory=environment.directory)
    with listen(lambda: subject.context) as port:
        first = connect(port, plain)
        assert not subject.reload_once()
        second = pki.server(CA, "localhost", days=pki.Days(end=9))
        environment.write(second)
        assert subject.reload_once()
        assert connect(port, plain).serial == second.certificate.serial_number != first.serial
    assert subject.not_after == second.certificate.not_valid_after_utc.timestamp()
    assert not subject.reload_once()
    assert healthy(subject)


@pytest.mark.parametrize("order", ["certificate first", "key first"])
def test_both_orders_of_writing_end_right(environment: Environment, order: str) -> None:
    subject = environment.context()
    new = pki.server(CA, "localhost")
    steps: list[Callable[[], object]] = [
        lambda: environment.where.certificate.write_bytes(new.pem),
        lambda: environment.where.key.write_bytes(new.key_pem),
    ]
    if order == "key first":
        steps.reverse()
    with listen(lambda: subject.context) as port:
        old = connect(port, client(directory=environment.directory)).serial
        steps[0]()
        assert not subject.reload_once()
        assert not healthy(subject)
        assert connect(port, client(directory=environment.directory)).serial == old
        steps[1]()
        assert subject.reload_once()
        assert healthy(subject)
        new_serial = connect(port, client(directory=environment.directory)).serial
        assert new_serial == new.certificate.serial_number


def bad_pairs() -> dict[str, tuple[bytes, bytes]]:
    good, other = pki.server(CA, "localhost"), pki.server(CA, "localhost")
    expired = pki.server(CA, "localhost", days=pki.Days(-9, -1))
    early = pki.server(CA, "localhost", days=pki.Days(1, 9))
    return {
        "mismatched": (good.pem, other.key_pem),
        "empty": (b"", b""),
        "half a certificate": (good.pem[:300], good.key_pem),
        "half a key": (good.pem, good.key_pem[:100]),
        "expired": (expired.pem, expired.key_pem),
        "not yet valid": (early.pem, early.key_pem),
        "huge": (good.pem + b"#" * 2_000_000, good.key_pem),
    }


BAD_PAIRS = bad_pairs()


@pytest.mark.parametrize("case", list(BAD_PAIRS))
def test_a_bad_pair_harms_nobody(
    environment: Environment, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    subject = environment.context()
    certificate, key = BAD_PAIRS[case]
    with listen(lambda: subject.context) as port:
        old = connect(port, client(directory=environment.directory)).serial
        environment.where.certificate.write_bytes(certificate)
        environment.where.key.write_bytes(key)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert not subject.reload_once()
        assert connect(port, client(directory=environment.directory)).serial == old
    assert not healthy(subject)
    assert len(caplog.records) == 1
    assert "PRIVATE KEY" not in caplog.text


def test_removed_files_keep_the_old_pair(environment: Environment) -> None:
    subject = environment.context()
    environment.where.key.unlink()
    assert not subject.reload_once()
    assert not healthy(subject)
    environment.write(pki.server(CA, "localhost"))
    assert subject.reload_once()


def test_the_same_bytes_written_again_change_nothing(environment: Environment) -> None:
    subject = environment.context()
    environment.where.certificate.write_bytes(environment.where.certificate.read_bytes())
    environment.where.certificate.touch()
    assert not subject.reload_once()
    assert healthy(subject)


def test_an_expired_pair_is_replaced_even_by_another(environment: Environment) -> None:
    environment.write(pki.server(CA, "localhost", days=pki.Days(-9, -1)))
    subject = environment.context()
    environment.write(pki.server(CA, "localhost", days=pki.Days(-9, -2)))
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
    subject = Environment(tmp_path).context()
    (tmp_path / "..data_tmp").symlink_to("..1")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert subject.reload_once()
    assert not subject.reload_once()


def test_a_mismatched_pair_never_starts(environment: Environment) -> None:
    environment.where.key.write_bytes(CA.key_pem)
    with pytest.raises(pair.PairRefused):
        environment.context()
    environment.where.key.unlink()
    with pytest.raises(FileNotFoundError):
        environment.context()


def test_unknown_policy_never_starts(environment: Environment) -> None:
    for policy in (serving.Policy("VersionTLS10"), serving.Policy(cipher_suites=("x",))):
        environment.policy = policy
        with pytest.raises(ConfigError):
            environment.context()


def test_client_authorities_are_swapped_and_withdrawn(environment: Environment) -> None:
    subject = environment.context()
    known = pki.client(CLIENT_CA, "front")
    identified = client(certified=known, directory=environment.directory)
    plain = client(directory=environment.directory)
    with listen(lambda: subject.context) as port:
        # No authority yet: nobody is asked for a certificate.
        connect(port, identified)
        environment.client_ca = CLIENT_CA.pem
        assert subject.reload_once()
        connect(port, identified)
        connect(port, plain)
        environment.client_ca = pki.authority("another").pem
        assert subject.reload_once()
        assert refused(port, identified)
        connect(port, plain)
        # Half a pair on disk does not delay the authorities.
        environment.where.key.write_bytes(b"")
        environment.client_ca = CLIENT_CA.pem
        assert subject.reload_once()
        connect(port, identified)
        environment.client_ca = b"\n"
        assert subject.reload_once()
        connect(port, identified)


def test_malformed_authorities_keep_the_old_ones(environment: Environment) -> None:
    environment.client_ca = CLIENT_CA.pem
    subject = environment.context()
    identified = client(certified=pki.client(CLIENT_CA, "front"), directory=environment.directory)
    stranger = client(certified=pki.client(CA, "stranger"), directory=environment.directory)
    environment.client_ca = b"broken"
    assert not subject.reload_once()
    assert not healthy(subject)
    with listen(lambda: subject.context) as port:
        connect(port, identified)
        stranger = client(certified=pki.client(CA, "stranger"), directory=environment.directory)
        assert refused(port, stranger)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_outlives_a_withdrawn_authority(
    environment: Environment, version: ssl.TLSVersion
) -> None:
    environment.client_ca = CLIENT_CA.pem
    subject = environment.context()
    identified = client(certified=pki.client(CLIENT_CA, "front"), directory=environment.directory)
    identified.minimum_version = identified.maximum_version = version
    with listen(lambda: subject.context) as port:
        session = connect(port, identified).session
        assert session is None or not session.has_ticket
        environment.client_ca = pki.authority("another").pem
        assert subject.reload_once()
        assert refused(port, identified, session)


def test_an_anchor_need_not_be_self_signed(environment: Environment) -> None:
    middle = pki.authority("middle", CLIENT_CA)
    environment.client_ca = middle.pem
    subject = environment.context()
    identified = client(certified=pki.client(middle, "front"), directory=environment.directory)
    with listen(lambda: subject.context) as port:
        connect(port, identified)


@pytest.mark.parametrize("make", pki.FRONT_PROXIES)
def test_front_proxies_as_distributions_have_them(
    environment: Environment, make: Callable[[], tuple[pki.Certified, pki.Certified]]
) -> None:
    authority, leaf = make()
    environment.client_ca = authority.pem
    subject = environment.context()
    with listen(lambda: subject.context) as port:
        connect(port, client(certified=leaf, directory=environment.directory))


def test_only_http_1_1_is_offered(environment: Environment) -> None:
    subject = environment.context()
    context = client(directory=environment.directory)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with listen(lambda: subject.context) as port:
        assert connect(port, context).alpn == "http/1.1"
        context.set_alpn_protocols(["h2"])
        assert connect(port, context).alpn is None


@pytest.mark.parametrize("old", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_old_versions_are_refused(environment: Environment, old: ssl.TLSVersion) -> None:
    subject = environment.context()
    context = client(directory=environment.directory)
    context.minimum_version = old
    context.maximum_version = old
    context.set_ciphers("ALL:@SECLEVEL=0")
    with listen(lambda: subject.context) as port:
        assert refused(port, context)


@pytest.mark.parametrize("suites", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "DHE+AESGCM"])
def test_suites_outside_the_default_are_refused(environment: Environment, suites: str) -> None:
    subject = environment.context()
    context = client(directory=environment.directory)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suites)
    with listen(lambda: subject.context) as port:
        assert refused(port, context)
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        assert connect(port, context).cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"


def test_the_minimum_version_holds_after_a_swap(environment: Environment) -> None:
    environment.policy = serving.Policy("VersionTLS13")
    subject = environment.context()
    environment.write(pki.server(CA, "localhost"))
    assert subject.reload_once()
    context = client(directory=environment.directory)
    with listen(lambda: subject.context) as port:
        connect(port, context)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert refused(port, context)


def test_a_client_without_server_name_gets_the_current_pair(environment: Environment) -> None:
    subject = environment.context()
    new = pki.server(CA, "localhost")
    environment.write(new)
    subject.reload_once()
    context = client(directory=environment.directory)
    context.check_hostname = False
    with (
        listen(lambda: subject.context) as port,
        socket.create_connection(("127.0.0.1", port), 5) as raw,
        context.wrap_socket(raw) as connection,
    ):
        assert connection.getpeercert(True) == new.der
