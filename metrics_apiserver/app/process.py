"""Runs one server process: listens, serves, drains and closes what `build` has made.

The accept loop and every other long-lived task run under the supervisor: one that ends, ends the
process. A drain fails readiness first, goes on answering new requests, closes their connections,
and only then stops accepting and ends the loops.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket

from metrics_apiserver import __version__
from metrics_apiserver.api import server
from metrics_apiserver.api.connection import Limits
from metrics_apiserver.api.server import Server
from metrics_apiserver.app.build import Components
from metrics_apiserver.app.supervisor import Loop

log = logging.getLogger(__name__)

FINISH_SECONDS = 30.0
GC_THRESHOLDS = (20_000, 20, 50)


class Process:
    """One process.

    Args:
        components: what it runs, and closes at the end.
    """

    def __init__(self, components: Components) -> None:
        self._components = components

    async def run(self) -> int:
        """Serves until a signal; 0 after a drain, 1 when a loop ended or the port is taken."""
        components = self._components
        settings = components.settings
        if settings.ignored_flags:
            log.warning(
                "flags without a meaning here",
                extra={"flags": " ".join(f"--{name}" for name in settings.ignored_flags)},
            )
        try:
            listener = server.bind(settings.serving.bind_address, settings.serving.port)
        except OSError as error:
            log.critical(
                "cannot listen",
                extra={
                    "address": f"{settings.serving.bind_address}:{settings.serving.port}",
                    "error": error.strerror or str(error),
                },
            )
            await self._close()
            return 1
        http_server = Server(
            components.api.handler,
            components.serving.current,
            Limits(connections=settings.serving.max_connections),
        )
        components.requests.export_gauges(http_server, components.api.in_flight)
        self._handle_signals()
        # What start-up made stays: no collection needs to walk it again.
        gc.collect()
        gc.freeze()
        # Answers are trees without cycles: looking for garbage in them each time only stalls.
        gc.set_threshold(*GC_THRESHOLDS)
        return await self._serve(http_server, listener)

    async def _serve(self, http_server: Server, listener: socket.socket) -> int:
        host, port = listener.getsockname()[:2]
        log.info("serving", extra={"address": f"{host}:{port}", "version": __version__})
        components, ended = self._components, asyncio.Event()
        loops = self._loops(http_server, listener)
        try:
            async with asyncio.TaskGroup() as group:
                work = group.create_task(components.supervisor.run(loops, ended))
                stop = group.create_task(components.stopping.wait())
                await asyncio.wait((stop, work), return_when=asyncio.FIRST_COMPLETED)
                good = not work.done()
                stop.cancel()
                await self._drain(http_server, quick=not good)
                ended.set()
                good = await work and good
        finally:
            await self._close()
        log.info("stopped", extra={"clean": good})
        return 0 if good else 1

    def _loops(self, http_server: Server, listener: socket.socket) -> dict[str, Loop]:
        components = self._components

        async def accept() -> None:
            await http_server.serve(listener)
            # It returns only in a drain; the supervisor then ends this loop with the others.
            await asyncio.Event().wait()

        def after_reload() -> None:
            http_server.close_outdated()
            components.requests.count_refusals(http_server, components.api.in_flight)

        return {
            "accept": accept,
            **components.environment.loops,
            **components.periodic.loops(after_reload),
            "rule reload": components.sources.reloader.run,
            "relist": components.sources.relister.run,
            "event loop lag": components.lag.run,
        }

    async def _drain(self, http_server: Server, *, quick: bool) -> None:
        """Readiness fails first, then answers close their connections, then nothing is taken."""
        http_server.begin_drain()
        if not quick:
            await asyncio.sleep(self._components.settings.serving.drain_seconds)
        await http_server.finish(FINISH_SECONDS)

    async def _close(self) -> None:
        await self._components.prometheus.close()
        await self._components.environment.close()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)

    def _on_stop(self) -> None:
        if self._components.stopping.is_set():
            # Asked twice: whoever asks does not want to wait.
            os._exit(1)
        seconds = self._components.settings.serving.drain_seconds
        log.info("stopping", extra={"drain_seconds": seconds})
        self._components.stopping.set()

    def _on_hangup(self) -> None:
        self._components.sources.reloader.wake()
        self._components.serving.reload_once()
