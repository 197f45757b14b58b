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

from metrics_apiserver.base import errors
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.certs import chain, files
from metrics_apiserver.kube.requestheader import AuthenticationConfig
from metrics_apiserver.options.settings import AuthenticationSettings

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class _Bundle:
    """One PEM bundle on disk; its content is empty when no file is named."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self.content = b""
        self.fault = ""
        self.look()

    def look(self) -> None:
        """Takes over new content; the old stays where that cannot be used."""
        if self._path is None:
            return
        try:
            content = files.read(self._path)
            chain.parse_bundle(content)
        except (OSError, ValueError) as error:
            if self.content and str(error) != self.fault:
                log.warning("kept the old %s: %s", self._path, error)
            self.fault = str(error)
        else:
            self.content, self.fault = content, ""


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
        self._client = _Bundle(settings.client_ca_file)
        self._proxy = _Bundle(settings.requestheader_ca_file)
        bundles = {
            "--client-ca-file": self._client,
            "--requestheader-client-ca-file": self._proxy,
        }
        faults = [
            Diagnostic(f"cannot be used: {bundle.fault}", path=flag)
            for flag, bundle in bundles.items()
            if bundle.fault
        ]
        if faults:
            raise errors.ConfigError("command line", tuple(faults))
        self._looked_at = clock()
        self._merged_from: AuthenticationConfig | None = None
        self._current = AuthenticationConfig()

    def over(self, base: AuthenticationConfig) -> AuthenticationConfig:
        """The state now, made of the ConfigMap's; its generation grows with every change."""
        now = self._clock()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._client.look()
            self._proxy.look()
            self._merged_from = None
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
