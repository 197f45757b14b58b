"""The TLS context of new connections: our pair and the authorities that clients may come from.

OpenSSL's context cannot be changed safely while it serves: a mismatched pair loaded into it kills
every new handshake, authorities can only be added, and of a context swapped in by the SNI callback
neither minimum version, verify mode nor verify flags count. So each change builds a new context
from bytes that were checked as a whole, and every accepted connection uses the current one. A
new context also has no sessions: none, by ticket or by identifier, outlives a withdrawn authority.
Material that cannot be used is logged once and the old stays in use. A client certificate is
optional here; `verify` verifies it, once for each bundle.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives import serialization

from metrics_apiserver.base.files import Reader, WatchedFiles, private_file
from metrics_apiserver.certs import ca_bundle, ciphers, pair, pair_files

_logger = logging.getLogger(__name__)

_OPTIONS = (
    ssl.OP_NO_TICKET
    | ssl.OP_NO_COMPRESSION
    | ssl.OP_NO_RENEGOTIATION
    | ssl.OP_CIPHER_SERVER_PREFERENCE
)


@dataclass(frozen=True, slots=True)
class Policy:
    """The TLS versions and cipher suites of the flags.

    Attributes:
        min_version, cipher_suites: by Go's names; no suites means the AEAD ones.
    """

    min_version: str = "VersionTLS12"
    cipher_suites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Material:
    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes = b""


class ServingContext:
    """Owns the context to listen with.

    Args:
        where: the pair's files.
        policy: fixed for the life of the process.
        client_ca: the PEM bundles of all authorities whose clients we know, joined; may be empty.
        wall_clock: epoch seconds.

    Attributes:
        context: for the next connection; ask for each one.
        last_reload_successful: False while what is on disk, or the authorities, are unusable.

    Raises:
        ConfigError: the policy names what does not exist.
        pair.PairRefused: no usable pair to start with; an expired one is usable.
        OSError, ValueError: a file cannot be read.
    """

    def __init__(
        self,
        where: pair_files.PairFiles,
        policy: Policy,
        client_ca: Callable[[], bytes],
        wall_clock: Callable[[], float],
    ) -> None:
        self._where = where
        self._min_version = ciphers.minimum_version(policy.min_version)
        self._suites = ciphers.openssl_list(policy.cipher_suites)
        self._client_ca = client_ca
        self._wall_clock = wall_clock
        self._failures: dict[str, str] = {}
        self._files = WatchedFiles("serving pair", self._read_pair)
        self._loaded = self._files.refresh()
        self._material, self._pair = self._loaded
        if not self._pair.is_valid_at(wall_clock()):
            _logger.warning("the serving certificate %s is not valid now", where.certificate)
        self.context = self._build(self._material)
        self._attempt("client authorities", self._reload_authorities)

    @property
    def not_after(self) -> float:
        """Epoch seconds at which the certificate that is served now expires."""
        return self._pair.not_after

    def current(self) -> ssl.SSLContext:
        """The context for the next connection."""
        return self.context

    @property
    def last_reload_successful(self) -> bool:
        return not self._failures and not self._files.error

    def reload_once(self) -> bool:
        """Takes over new authorities and a new pair, each on its own; True if either came.

        A withdrawn authority must go even while the pair on disk is half written.
        """
        authorities = self._attempt("client authorities", self._reload_authorities)
        serving_pair = self._attempt("serving pair", self._reload_pair)
        return authorities or serving_pair

    def _attempt(self, part: str, turn: Callable[[], bool]) -> bool:
        try:
            changed = turn()
        except (OSError, ValueError, pair.PairRefused) as error:
            failure = f"{type(error).__name__}: {error}"
            if self._failures.get(part) != failure:
                _logger.warning("kept the old %s: %s", part, failure)
            self._failures[part] = failure
            return False
        if self._failures.pop(part, None) is not None:
            _logger.info("the %s can be used again", part)
        if changed:
            _logger.info("took over new %s", part)
        return changed

    def _reload_authorities(self) -> bool:
        client_ca = self._client_ca()
        if client_ca == self._material.client_ca:
            return False
        self._swap(replace(self._material, client_ca=client_ca))
        return True

    def _read_pair(self, read: Reader) -> tuple[_Material, pair.ServingPair]:
        material = _Material(read(self._where.certificate), read(self._where.key))
        return material, pair.inspect(material.certificate, material.key)

    def _reload_pair(self) -> bool:
        loaded = self._files.refresh()
        if loaded is self._loaded:
            return False
        material, found = loaded
        changed = (material.certificate, material.key) != (
            self._material.certificate,
            self._material.key,
        )
        if changed:
            self._check(found)
            self._swap(replace(material, client_ca=self._material.client_ca))
            self._pair = found
        self._loaded = loaded
        return changed

    def _check(self, found: pair.ServingPair) -> None:
        now = self._wall_clock()
        if not found.is_valid_at(now) and self._pair.is_valid_at(now):
            raise pair.PairRefused("the new certificate is not valid now")

    def _swap(self, material: _Material) -> None:
        self.context = self._build(material)
        self._material = material

    def _build(self, material: _Material) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self._min_version
        context.set_ciphers(self._suites)
        context.options |= _OPTIONS
        context.num_tickets = 0
        context.set_alpn_protocols(["http/1.1"])
        # Exactly the bytes that were checked; OpenSSL reads files only.
        with private_file(material.key + b"\n" + material.certificate) as name:
            context.load_cert_chain(name)
        if material.client_ca.strip():
            authorities = ca_bundle.parse(material.client_ca)
            der = (ca.public_bytes(serialization.Encoding.DER) for ca in authorities)
            context.load_verify_locations(cadata=b"".join(der))
            context.verify_mode = ssl.CERT_OPTIONAL
            # As in Go, every certificate of a bundle is an anchor.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context
