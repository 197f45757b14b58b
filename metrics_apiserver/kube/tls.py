"""The client's TLS context towards kube-apiserver, rebuilt when its files are replaced.

A context that is in use is never changed: `load_verify_locations` only adds, so a withdrawn CA
would stay trusted, and a mismatched pair would break it for new connections. A new context is
built beside it and taken for new connections; when it cannot be built (a rotation half done)
the old one stays.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable

from metrics_apiserver.base import errors, tls
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.files import Reader, WatchedFiles
from metrics_apiserver.base.tls import Pair
from metrics_apiserver.kube.connection import KubeConfig

CHECK_INTERVAL_SECONDS = 1.0


class ClientContext:
    """The context for new connections; None of it for plain HTTP."""

    def __init__(self, config: KubeConfig, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Builds the first context.

        Raises:
            errors.ConfigError: the configured material cannot be used.
        """
        self._config = config
        self._secure = config.server.startswith("https://")
        self._plugin_pair: Pair | None = None
        self._files = WatchedFiles(
            "TLS files for kube-apiserver",
            self._build,
            interval_seconds=CHECK_INTERVAL_SECONDS,
            clock=clock,
        )
        if self._secure:
            try:
                self._files.refresh()
            except (OSError, ValueError) as error:
                raise errors.ConfigError(config.source, (Diagnostic(str(error)),)) from error

    def current(self, plugin_pair: Pair | None = None) -> ssl.SSLContext | None:
        """The context to connect with, looking at the files at most once a second."""
        if plugin_pair is not self._plugin_pair:
            return self.renew(plugin_pair)
        return self._files.current() if self._secure else None

    def renew(self, plugin_pair: Pair | None = None) -> ssl.SSLContext | None:
        """As `current`, looking at the files now. The same object means that nothing is new."""
        if not self._secure:
            return None
        if plugin_pair is not self._plugin_pair:
            self._plugin_pair = plugin_pair
            return self._files.reread()
        return self._files.refresh()

    def _build(self, read: Reader) -> ssl.SSLContext:
        config, pair = self._config, self._plugin_pair
        certificate, key = config.client_certificate, config.client_key
        if pair is None and certificate is not None and key is not None:
            pair = certificate.read(read), key.read(read)
        ca = config.ca.read(read) if config.ca is not None else None
        return tls.build_client_context(ca, pair, verify=not config.insecure_skip_tls_verify)
