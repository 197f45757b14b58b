"""The credentials that this server presents to Prometheus, and the CAs that it trusts for it.

Files are watched by their stamp (time, size, inode) at each use: a new token, certificate or
authority counts from the next call on, because mounted Secrets are rotated in place. A file that
has become unreadable or no longer fits (a certificate whose key is not written yet) leaves the
last good state in force; one that was never good fails the call. Contents never reach a message.

`Credentials` is a pair of plain callables so that the process can fill it from a kubeconfig
(`--prometheus-auth-incluster`, `--prometheus-auth-config`) without this room knowing Kubernetes.
As in the predecessor, a CA file replaces the kubeconfig's TLS side, and a token file its token.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from metrics_apiserver.base import tls
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.base.files import Reader, WatchedFiles
from metrics_apiserver.options.prometheus import PrometheusSettings

T = TypeVar("T")
_SECRET_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class PrometheusCredentials:
    """What a call needs to know.

    Attributes:
        authorization: value of the Authorization header, empty for none; `True` asks for a
            fresh one because the last was refused. May raise OSError, ValueError, MetricsError.
        ssl_context: context for https; the same object as long as nothing changed, because
            connections are pooled by it. May raise OSError (ssl.SSLError), ValueError.
    """

    authorization: Callable[[bool], Awaitable[str]]
    ssl_context: Callable[[], ssl.SSLContext]


def from_settings(
    settings: PrometheusSettings, kubeconfig: PrometheusCredentials | None = None
) -> PrometheusCredentials:
    """Credentials by files, over those of a kubeconfig where the files say nothing.

    Args:
        settings: names the files.
        kubeconfig: credentials of a kubeconfig or of the ServiceAccount.

    Raises:
        ConfigError: a named file cannot be used now; every such file is listed.
    """
    token = _authorization_by_files(settings)
    context = _context_by_files(settings)
    _check({"Authorization": token, "TLS": context})

    async def authorization(renew: bool) -> str:
        if not token.paths:
            return ""
        return token.watched.reread() if renew else token.watched.refresh()

    by_files = PrometheusCredentials(authorization, context.watched.refresh)
    if kubeconfig is None:
        return by_files
    return PrometheusCredentials(
        by_files.authorization if token.paths else kubeconfig.authorization,
        by_files.ssl_context if context.paths else kubeconfig.ssl_context,
    )


@dataclass(frozen=True, slots=True)
class _Files(Generic[T]):
    """What is made of the files that flags name; `paths` is empty where they name none."""

    paths: tuple[str, ...]
    watched: WatchedFiles[T]


def _watch(what: str, paths: Iterable[str], load: Callable[[Reader], T]) -> _Files[T]:
    named = tuple(filter(None, paths))
    name = f"{what} for Prometheus ({', '.join(named)})"
    return _Files(named, WatchedFiles(name, load))


def _authorization_by_files(settings: PrometheusSettings) -> _Files[str]:
    def load(read: Reader) -> str:
        if settings.token_file:
            return f"Bearer {_secret(read, settings.token_file)}"
        if not settings.username_file:
            return ""
        user = _secret(read, settings.username_file)
        if ":" in user:
            raise ValueError(f"{settings.username_file} holds a colon, which no user name may")
        pair = f"{user}:{_secret(read, settings.password_file)}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    paths = [settings.token_file]
    if not settings.token_file:
        paths = [settings.username_file, settings.password_file]
    return _watch("credentials", paths, load)


def _context_by_files(settings: PrometheusSettings) -> _Files[ssl.SSLContext]:
    ca_file, certificate, key = (
        settings.ca_file,
        settings.client_cert_file,
        settings.client_key_file,
    )

    def load(read: Reader) -> ssl.SSLContext:
        return tls.build_client_context(
            read(Path(ca_file)) if ca_file else None,
            (read(Path(certificate)), read(Path(key))) if certificate else None,
        )

    return _watch("TLS files", (ca_file, certificate, key), load)


def _check(made: dict[str, _Files[str] | _Files[ssl.SSLContext]]) -> None:
    diagnostics = []
    for name, value in made.items():
        try:
            value.watched.refresh()
        except (OSError, ValueError) as error:
            files = " ".join(value.paths)
            diagnostics.append(
                Diagnostic(f"cannot be used to reach Prometheus: {error}", f"{name} {files}")
            )
    if diagnostics:
        raise ConfigError("flags", tuple(diagnostics))


def _secret(read: Reader, path: str) -> str:
    """One line of visible characters; an error does not show it."""
    try:
        text = read(Path(path)).decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None
    if len(text) > _SECRET_LIMIT:
        raise ValueError(f"{path} is too long for a secret")
    if not text or any(sign < " " or sign == "\x7f" for sign in text):
        raise ValueError(f"{path} is empty or has control characters")
    return text
