"""Who this server is to Prometheus, and whom it takes for Prometheus.

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
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.options.settings import PrometheusSettings

_log = logging.getLogger(__name__)

T = TypeVar("T")
_SECRET_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Credentials:
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
    settings: PrometheusSettings, kubeconfig: Credentials | None = None
) -> Credentials:
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
        return token.current(renew=renew)

    by_files = Credentials(authorization, context.current)
    if kubeconfig is None:
        return by_files
    return Credentials(
        by_files.authorization if token.paths else kubeconfig.authorization,
        by_files.ssl_context
        if context.paths or settings.insecure_skip_verify
        else kubeconfig.ssl_context,
    )


class Watched(Generic[T]):
    """A value made from files, made again when one of them changes.

    Args:
        paths: the files; none makes the value once.
        load: reads them; raises OSError or ValueError when they cannot be used.
    """

    def __init__(self, paths: tuple[str, ...], load: Callable[[], T]) -> None:
        self.paths = paths
        self._load = load
        self._stamp: tuple[tuple[int, int, int], ...] | None = None
        self._good: list[T] = []  # none or one: the value may be of any type
        self._last_error = ""

    def current(self, *, renew: bool = False) -> T:
        """The value of the files as they are, or the last good one.

        Args:
            renew: read them although their stamps are the same.

        Raises:
            OSError, ValueError: they were never usable.
        """
        try:
            # Taken before loading: a change during it is seen at the next call.
            stamp = tuple(map(_stamp, self.paths))
        except OSError as error:
            return self._last_good(None, error)
        if self._good and stamp == self._stamp and not renew:
            return self._good[0]
        try:
            value = self._load()
        except (OSError, ValueError) as error:
            return self._last_good(stamp, error)
        self._stamp, self._good, self._last_error = stamp, [value], ""
        return value

    def _last_good(
        self, stamp: tuple[tuple[int, int, int], ...] | None, error: OSError | ValueError
    ) -> T:
        self._stamp = stamp
        if not self._good:
            raise error
        if str(error) != self._last_error:
            self._last_error = str(error)
            _log.warning("keeping the last good %s: %s", " ".join(self.paths), error)
        return self._good[0]


def _stamp(path: str) -> tuple[int, int, int]:
    status = Path(path).stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _authorization_by_files(settings: PrometheusSettings) -> Watched[str]:
    if settings.token_file:
        return Watched(
            (settings.token_file,), lambda: f"Bearer {_read_secret(settings.token_file)}"
        )
    if not settings.username_file:
        return Watched((), str)

    def basic() -> str:
        user = _read_secret(settings.username_file)
        if ":" in user:
            raise ValueError(f"{settings.username_file} holds a colon, which no user name may")
        pair = f"{user}:{_read_secret(settings.password_file)}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    return Watched((settings.username_file, settings.password_file), basic)


def _context_by_files(settings: PrometheusSettings) -> Watched[ssl.SSLContext]:
    files = (settings.ca_file, settings.client_cert_file, settings.client_key_file)

    def load() -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        # As in Go: no extension is demanded that many private authorities lack (Python 3.13 began
        # to), and every certificate of the bundle is an anchor, whoever signed it.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if settings.client_cert_file:
            # An empty password keeps OpenSSL from asking the terminal for an encrypted key's.
            context.load_cert_chain(settings.client_cert_file, settings.client_key_file, "")
        return context

    return Watched(tuple(path for path in files if path), load)


def _check(watched: dict[str, Watched[str] | Watched[ssl.SSLContext]]) -> None:
    diagnostics = []
    for name, value in watched.items():
        try:
            value.current()
        except (OSError, ValueError) as error:
            files = " ".join(value.paths)
            diagnostics.append(
                Diagnostic(f"cannot be used to reach Prometheus: {error}", f"{name} {files}")
            )
    if diagnostics:
        raise ConfigError("flags", tuple(diagnostics))


def _read_secret(path: str) -> str:
    """One line of visible characters; its own faults never show it."""
    with Path(path).open("rb") as file:
        data = file.read(_SECRET_LIMIT + 1)
    if len(data) > _SECRET_LIMIT:
        raise ValueError(f"{path} is too long for a secret")
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None
    if not text or any(sign < " " or sign == "\x7f" for sign in text):
        raise ValueError(f"{path} is empty or has control characters")
    return text
