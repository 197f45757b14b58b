"""The Authorization header of requests to kube-apiserver, kept fresh.

Service-account tokens are replaced on disk about every hour: the file is checked once a second and
read again when it has changed, at least once a minute, and at once after a 401. An empty or half
written file leaves the last token in use. For users with `exec` or `auth-provider` the loader of
the official client runs at first use and again after a 401, so that no local clock is compared with
an expiry that another machine wrote. Tokens are never part of a message.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from metrics_apiserver.base import errors
from metrics_apiserver.base.files import Reader, WatchedFiles
from metrics_apiserver.base.tls import Pair
from metrics_apiserver.kube.connection import CredentialPlugin, FileOrData, KubeConfig

logger = logging.getLogger(__name__)

STAT_INTERVAL_SECONDS = 1.0
READ_INTERVAL_SECONDS = 60.0
PLUGIN_TIMEOUT_SECONDS = 30.0
PLUGIN_INTERVAL_SECONDS = 5.0


def _bearer(content: bytes) -> str:
    """The header for a token as it stands in a file; empty when it cannot be one."""
    try:
        token = content.decode("ascii").strip()
    except UnicodeDecodeError:
        return ""
    return f"Bearer {token}" if token.isprintable() and token and " " not in token else ""


def _watch(token: FileOrData, clock: Callable[[], float]) -> WatchedFiles[str]:
    """The header for a token in a file.

    A file that is replaced by one that holds no token (half of it, say) does not count.
    """

    def load(read: Reader) -> str:
        header = _bearer(token.read(read))
        if not header:
            raise ValueError(f"{token.path} holds no token")
        return header

    return WatchedFiles(
        "token for kube-apiserver",
        load,
        interval_seconds=STAT_INTERVAL_SECONDS,
        reread_seconds=READ_INTERVAL_SECONDS,
        clock=clock,
    )


class KubeCredentials:
    """The credentials of one client of kube-apiserver.

    Attributes:
        client_pair: certificate and key that a plugin gave; None otherwise.
    """

    def __init__(self, config: KubeConfig, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._file = _watch(config.token, clock) if config.token and config.token.path else None
        self._plugin = config.plugin
        self._plugin_ran_at: float | None = None
        self._plugin_error: errors.KubeError | None = None
        self._plugin_lock = asyncio.Lock()
        self._header = self._unusable = ""
        self._proven = ""
        self.client_pair: Pair | None = None
        if config.token is not None and self._file is None:
            self._header = _bearer(config.token.data)
        elif config.username:
            text = f"{config.username}:{config.password}".encode()
            self._header = "Basic " + base64.b64encode(text).decode()

    async def header(self) -> str:
        """The Authorization header; empty when there is none to send.

        Raises:
            errors.KubeError: a credential plugin failed.
        """
        if self._file is not None:
            self._take(self._file.current)
        elif self._plugin is not None and not self._header and self.client_pair is None:
            await self._run_plugin(self._plugin)
        return self._header

    def accepted(self, header: str) -> None:
        """Remembers a header that kube-apiserver accepted."""
        self._proven = header

    async def renew(self, refused: str) -> str | None:
        """After a 401: another header worth one more try, None when there is none.

        A token that is on disk only in part is refused too; the last one that worked is then
        still good for the time that both are valid.
        """
        if self._file is not None:
            self._take(self._file.reread)
            for candidate in (self._header, self._proven):
                if candidate and candidate != refused:
                    return candidate
            return None
        if self._plugin is not None:
            pair = self.client_pair
            await self._run_plugin(self._plugin)
            changed = self._header != refused or self.client_pair is not pair
            return self._header if changed else None
        return None

    def _take(self, read: Callable[[], str]) -> None:
        """The header of the token file; while there never was a good one, there is none."""
        try:
            self._header = read()
        except (OSError, ValueError) as error:
            if str(error) != self._unusable:
                self._unusable = str(error)
                logger.warning("the token for kube-apiserver cannot be used: %s", error)

    async def _run_plugin(self, plugin: CredentialPlugin) -> None:
        """Runs the plugin unless it ran just now; callers that come meanwhile share the run."""
        async with self._plugin_lock:
            ran_at = self._plugin_ran_at
            if ran_at is not None and self._clock() - ran_at < PLUGIN_INTERVAL_SECONDS:
                if self._plugin_error is not None:
                    raise self._plugin_error
                return
            self._plugin_ran_at = self._clock()
            self._plugin_error = errors.KubeError(
                "credentials for kube-apiserver cannot be obtained",
                kind="credentials",
                detail=f"{plugin.kind} did not finish",
            )
            run = _run_exec if plugin.kind == "exec" else _run_auth_provider
            try:
                async with asyncio.timeout(PLUGIN_TIMEOUT_SECONDS):
                    self._header, self.client_pair = await run(plugin)
            except Exception as error:  # noqa: BLE001 - the library raises whatever it likes, and
                # the text may quote what it was given: only the type is logged
                self._plugin_error.detail = f"{plugin.kind} failed: {type(error).__name__}"
                raise self._plugin_error from None
            self._plugin_error = None


async def _run_exec(plugin: CredentialPlugin) -> tuple[str, Pair | None]:
    # Imported here: it costs 0.5 s and 20 MB, and clusters run us with a service account.
    from kubernetes.aio.config import exec_provider, kube_config

    library: Any = exec_provider
    nodes: Any = kube_config
    settings = dict(plugin.settings)
    command = settings.get("command", "")
    if "/" in command:
        settings["command"] = str(plugin.directory / command)
    status = await library.ExecProvider(nodes.ConfigNode("exec", settings)).run()
    certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
    pair = (certificate.encode(), key.encode()) if certificate and key else None
    header = _bearer(status.get("token", "").encode())
    if not header and pair is None:
        raise ValueError("the plugin gave neither a token nor a certificate with its key")
    return header, pair


async def _run_auth_provider(plugin: CredentialPlugin) -> tuple[str, Pair | None]:
    # Imported here for the same reason as above.
    from kubernetes.aio.config import kube_config

    library: Any = kube_config
    document = {
        "current-context": "this",
        "contexts": [{"name": "this", "context": {"cluster": "this", "user": "this"}}],
        "clusters": [{"name": "this", "cluster": {}}],
        "users": [{"name": "this", "user": {"auth-provider": dict(plugin.settings)}}],
    }
    target = SimpleNamespace(api_key={})
    loader = library.KubeConfigLoader(document, config_base_path=str(plugin.directory))
    await loader.load_and_set(target)
    header: str = target.api_key.get("BearerToken", "")
    if not header:
        raise ValueError("the provider gave no token")
    return header, None
