"""Listening sockets that outlive the web configuration.

When the web configuration or a file it refers to changes, a new server with a new TLS context takes
over copies of the same sockets and the old one closes: pending connections are not lost, and open
ones keep the settings they started with. An invalid configuration is logged and the old one stays.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from aiohttp import web

from metrics_apiserver.base.files import Reader, WatchedFiles
from metrics_apiserver.exporter.settings import Web
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from metrics_apiserver.exporter.web import config
from metrics_apiserver.exporter.web.config import WebConfig
from metrics_apiserver.exporter.web.connection_limit import (
    HEADER_TIMEOUT_SECONDS,
    ConnectionLimiter,
)

_logger = logging.getLogger(__name__)

_BACKLOG = 128
_CHECK_SECONDS = 2.0
_SHUTDOWN_SECONDS = 1.0
_KEEPALIVE_SECONDS = 75.0

_Serving = tuple[web.AppRunner, Sequence[asyncio.Server]]


def open_sockets(addresses: Iterable[tuple[str, int]]) -> list[socket.socket]:
    """Binds every address; an empty host means all addresses, IPv6 and IPv4.

    Raises:
        OSError: an address cannot be bound.
    """
    found: list[socket.socket] = []
    for host, port in addresses:
        everywhere = host == ""
        dual = everywhere and socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if ":" in host or dual else socket.AF_INET
        found.append(
            socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=dual)
        )
    return found


class Listeners:
    """Serves on the sockets; `check_once` is one iteration of `run`.

    Args:
        application: makes the application for a configuration.
    """

    def __init__(
        self,
        settings: Web,
        application: Callable[[WebConfig], web.Application],
        telemetry: ExporterTelemetry,
        sockets: Sequence[socket.socket],
    ) -> None:
        self._settings = settings
        self._application = application
        self._telemetry = telemetry
        self._sockets = sockets
        self._serving: _Serving | None = None
        self._files = WatchedFiles("web configuration", self._load)
        self._loaded = _Loaded(WebConfig(), None)

    async def start(self) -> None:
        """Starts to serve.

        Raises:
            WebConfigError: the web configuration is invalid; nothing is served with less
                protection.
        """
        await self._serve(self._files.refresh())
        self._telemetry.web_reload_successful.set(1)

    async def run(self) -> None:
        """Checks for changes for ever."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            await self.check_once()

    async def check_once(self) -> None:
        """Reloads the configuration if a file changed since the last check."""
        loaded = self._files.refresh()
        self._telemetry.web_reload_successful.set(0 if self._files.error else 1)
        if loaded is self._loaded:
            return
        await self._serve(loaded)
        _logger.info("web configuration reloaded")

    async def close(self) -> None:
        """Stops accepting, then gives open requests a moment."""
        serving, self._serving = self._serving, None
        await _end(serving)
        for one in self._sockets:
            one.close()

    def _load(self, read: Reader) -> _Loaded:
        path = self._settings.config
        loaded = WebConfig() if path is None else config.load(path, read)
        return _Loaded(loaded, config.context(loaded.tls, read) if loaded.tls else None)

    async def _serve(self, loaded: _Loaded) -> None:
        runner = web.AppRunner(
            self._application(loaded.config),
            access_log=None,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        await runner.setup()
        servers = [await self._listen(runner, one, loaded.context) for one in self._sockets]
        before, self._serving = self._serving, (runner, servers)
        self._loaded = loaded
        await _end(before)

    async def _listen(
        self, runner: web.AppRunner, listening: socket.socket, context: ssl.SSLContext | None
    ) -> asyncio.Server:
        if runner.server is None:
            raise RuntimeError("the runner was not set up")
        return await asyncio.get_running_loop().create_server(
            ConnectionLimiter(runner.server),
            sock=listening.dup(),
            ssl=context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=HEADER_TIMEOUT_SECONDS if context else None,
        )


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A configuration and its TLS context."""

    config: WebConfig
    context: ssl.SSLContext | None


async def _end(serving: _Serving | None) -> None:
    """Stops accepting, gives open requests a moment, then closes the rest."""
    if serving is None:
        return
    runner, servers = serving
    for server in servers:
        server.close()
    await runner.cleanup()
