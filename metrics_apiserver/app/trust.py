"""Whom to believe: the cluster's ConfigMap, with the files of flags in place of its parts.

A flag-given file replaces the part that it is about, client certificates or the front proxy, as
apiserver's delegating options do. The files are looked at again each second; one that cannot be
used leaves its last good content in force.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from metrics_apiserver.certs import chain, files
from metrics_apiserver.core import errors
from metrics_apiserver.kube.requestheader import AuthenticationConfig
from metrics_apiserver.settings import AuthenticationSettings

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class _Bundle:
    """One PEM bundle on disk; its content is empty when no file is named."""

    def __init__(self, flag: str, path: str) -> None:
        self._path = Path(path) if path else None
        self.content = b""
        self._fault = ""
        if self._path is not None:
            try:
                self.content = self._read(self._path)
            except (OSError, ValueError) as error:
                fault = errors.Fault(f"cannot be used: {error}", path=f"--{flag}")
                raise errors.ConfigError("command line", (fault,)) from error

    @staticmethod
    def _read(path: Path) -> bytes:
        content = files.read(path)
        chain.parse_bundle(content)
        return content

    def look(self) -> None:
        if self._path is None:
            return
        try:
            self.content = self._read(self._path)
        except (OSError, ValueError) as error:
            if str(error) != self._fault:
                log.warning("kept the old %s: %s", self._path, error)
            self._fault = str(error)
        else:
            self._fault = ""


class FlagTrust:
    """The state to authenticate with.

    Args:
        settings: what the flags say.
        base: the ConfigMap's state.
        clock: monotonic seconds.

    Raises:
        errors.ConfigError: a file that a flag names cannot be used.
    """

    def __init__(
        self,
        settings: AuthenticationSettings,
        base: Callable[[], AuthenticationConfig],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._base = base
        self._clock = clock
        self._client = _Bundle("client-ca-file", settings.client_ca_file)
        self._proxy = _Bundle("requestheader-client-ca-file", settings.requestheader_ca_file)
        self._looked_at = clock()
        self._merged_from: AuthenticationConfig | None = None
        self._current = AuthenticationConfig()

    def current(self) -> AuthenticationConfig:
        """The state now; its generation grows with every change."""
        now = self._clock()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._client.look()
            self._proxy.look()
            self._merged_from = None
        base = self._base()
        if base is not self._merged_from:
            self._merged_from = base
            merged = replace(self._merge(base), generation=self._current.generation)
            if merged != self._current:
                self._current = replace(merged, generation=merged.generation + 1)
        return self._current

    def _merge(self, base: AuthenticationConfig) -> AuthenticationConfig:
        settings = self._settings
        if self._client.content:
            base = replace(base, client_ca=self._client.content)
        if self._proxy.content:
            base = replace(
                base,
                requestheader_ca=self._proxy.content,
                allowed_names=settings.requestheader_allowed_names,
                username_headers=settings.requestheader_username_headers,
                group_headers=settings.requestheader_group_headers,
                extra_prefixes=settings.requestheader_extra_prefixes,
                uid_headers=settings.requestheader_uid_headers,
            )
        return base
