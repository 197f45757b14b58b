"""The client's TLS context towards kube-apiserver, rebuilt when its files are replaced.

A context that is in use is never changed: `load_verify_locations` only adds, so a withdrawn CA
would stay trusted, and a mismatched pair would break it for new connections. A new context is
built beside it and taken for new connections; when it cannot be built (a rotation half done)
the old one stays. Verification is that of Go: any certificate in the bundle is an anchor, and the
strict RFC 5280 flags of Python 3.13 are off, because cluster CAs in the field lack key identifiers.
"""

from __future__ import annotations

import logging
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from metrics_apiserver.base import errors
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.kube.connection import FileOrData, KubeConfig

logger = logging.getLogger(__name__)

CHECK_INTERVAL_SECONDS = 1.0

Pair = tuple[bytes, bytes]
"""PEM of a client certificate (with its chain) and of its key."""


@contextmanager
def private_file(content: bytes, *, in_memory: bool = hasattr(os, "memfd_create")) -> Iterator[str]:
    """A name for bytes that OpenSSL wants as a file; nothing of it is left on a disk.

    Linux gets an anonymous memory file, which also works on a read-only root; elsewhere it is a
    temporary file, mode 0600, removed at once.
    """
    if in_memory:
        descriptor = os.memfd_create("client-pair", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    descriptor, name = tempfile.mkstemp()
    try:
        os.write(descriptor, content)
        yield name
    finally:
        os.close(descriptor)
        Path(name).unlink()


def build_context(ca: bytes | None, pair: Pair | None, *, verify: bool = True) -> ssl.SSLContext:
    """A client context.

    Args:
        ca: PEM bundle; None for the system's roots.
        pair: client certificate and key.
        verify: False accepts any server, as `insecure-skip-tls-verify` asks for.

    Raises:
        ValueError: the material cannot be used; the text holds none of it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(cadata=ca.decode("ascii", "ignore"))
        except (ssl.SSLError, ValueError) as error:
            raise ValueError("the certificate authority is not a PEM certificate") from error
    if pair is not None:
        with private_file(b"\n".join(pair)) as name:
            try:
                # A password that cannot fit: OpenSSL would ask the terminal for one otherwise.
                context.load_cert_chain(name, password=lambda: b"")
            except (ssl.SSLError, OSError, ValueError) as error:
                message = "the client certificate and key are not a matching PEM pair"
                raise ValueError(message) from error
    return context


class ClientContext:
    """The context for new connections; None of it for plain HTTP."""

    def __init__(self, config: KubeConfig, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Builds the first context.

        Raises:
            errors.ConfigError: the configured material cannot be used.
        """
        self._config = config
        self._clock = clock
        self._secure = config.server.startswith("https://")
        self._plugin_pair: Pair | None = None
        self._checked_at = clock()
        self._signatures = self._read_signatures()
        self._context: ssl.SSLContext | None = None
        if self._secure:
            try:
                self._context = self._build()
            except (OSError, ValueError) as error:
                raise errors.ConfigError(config.source, (Diagnostic(str(error)),)) from error

    def current(self, plugin_pair: Pair | None = None) -> ssl.SSLContext | None:
        """The context to connect with, looking at the files at most once a second."""
        due = self._clock() - self._checked_at >= CHECK_INTERVAL_SECONDS
        if due or plugin_pair is not self._plugin_pair:
            return self.renew(plugin_pair)
        return self._context

    def renew(self, plugin_pair: Pair | None = None) -> ssl.SSLContext | None:
        """As `current`, looking at the files now. The same object means that nothing is new."""
        self._checked_at = self._clock()
        signatures = self._read_signatures()
        if signatures != self._signatures or plugin_pair is not self._plugin_pair:
            self._signatures, self._plugin_pair = signatures, plugin_pair
            if self._secure:
                self._rebuild()
        return self._context

    def _rebuild(self) -> None:
        try:
            self._context = self._build()
        except (OSError, ValueError) as error:
            logger.warning("kube-apiserver TLS files changed but cannot be used yet: %s", error)

    def _materials(self) -> tuple[FileOrData | None, ...]:
        return self._config.ca, self._config.client_certificate, self._config.client_key

    def _read_signatures(self) -> tuple[object, ...]:
        return tuple(m.signature() if m is not None else None for m in self._materials())

    def _build(self) -> ssl.SSLContext:
        ca, certificate, key = self._materials()
        pair = self._plugin_pair
        if pair is None and certificate is not None and key is not None:
            pair = certificate.read(), key.read()
        verify = not self._config.insecure_skip_tls_verify
        return build_context(ca.read() if ca is not None else None, pair, verify=verify)
