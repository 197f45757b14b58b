"""Whom to believe: the cluster's ConfigMap, with the files of flags in place of its parts.

A flag-given file replaces the part that it is about, client certificates or the front proxy, as
apiserver's delegating options do. The files are read again each second; one that cannot be
used leaves its last good content in force.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from metrics_apiserver.base import errors
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.files import Reader, WatchedFiles
from metrics_apiserver.certs import ca_bundle
from metrics_apiserver.kube.requestheader import AuthenticationConfig, AuthenticationSource
from metrics_apiserver.options.authentication import AuthenticationSettings

RELOAD_SECONDS = 1.0
_NO_CONFIGMAP = AuthenticationConfig()


def _watch(path: str) -> WatchedFiles[bytes]:
    """One PEM bundle on disk; empty when no file is named."""

    def load(read: Reader) -> bytes:
        if not path:
            return b""
        content = read(Path(path))
        ca_bundle.parse(content)
        return content

    return WatchedFiles(path, load)


class FlagTrust:
    """The state to authenticate with.

    Args:
        settings: what the flags say.
        clock: monotonic seconds.

    Raises:
        errors.ConfigError: files that flags name cannot be used.
    """

    def __init__(
        self, settings: AuthenticationSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._client = _watch(settings.client_ca_file)
        self._proxy = _watch(settings.requestheader_ca_file)
        files = {
            "--client-ca-file": self._client,
            "--requestheader-client-ca-file": self._proxy,
        }
        diagnostics = []
        for flag, bundle in files.items():
            try:
                bundle.refresh()
            except (OSError, ValueError) as error:
                diagnostics.append(Diagnostic(f"cannot be used: {error}", path=flag))
        if diagnostics:
            raise errors.ConfigError("command line", tuple(diagnostics))
        self._client_ca, self._proxy_ca = self._client.refresh(), self._proxy.refresh()
        self._read_at = clock()
        self._source: AuthenticationSource | None = None
        self._merged_from: AuthenticationConfig | None = None
        self._current = AuthenticationConfig()

    def follow(self, source: AuthenticationSource) -> None:
        """Takes the ConfigMap's state from there."""
        self._source = source

    def current(self) -> AuthenticationConfig:
        """The state now, of the files over the ConfigMap's."""
        return self.over(self._source.current if self._source is not None else _NO_CONFIGMAP)

    def over(self, base: AuthenticationConfig) -> AuthenticationConfig:
        """The state now, made of the ConfigMap's; its generation grows with every change."""
        now = self._clock()
        if now - self._read_at >= RELOAD_SECONDS:
            self._read_at = now
            self._client_ca, self._proxy_ca = self._client.refresh(), self._proxy.refresh()
            self._merged_from = None
        if base is not self._merged_from:
            self._merged_from = base
            merged = replace(self._merge(base), generation=self._current.generation)
            if merged != self._current:
                self._current = replace(merged, generation=merged.generation + 1)
        return self._current

    def _merge(self, base: AuthenticationConfig) -> AuthenticationConfig:
        settings = self._settings
        if self._client_ca:
            base = replace(base, client_ca=self._client_ca)
        if self._proxy_ca:
            base = replace(
                base,
                requestheader_ca=self._proxy_ca,
                allowed_names=settings.requestheader_allowed_names,
                username_headers=settings.requestheader_username_headers,
                group_headers=settings.requestheader_group_headers,
                extra_prefixes=settings.requestheader_extra_prefixes,
                uid_headers=settings.requestheader_uid_headers,
            )
        return base
