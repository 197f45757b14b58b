"""HTTP handlers: /metrics, /snapshot.json, /healthz, /readyz and an index page.

A request reads the exposition and the process's own metrics only; it never waits for the driver.
The text format is always 0.0.4: OpenMetrics does not allow DCGM's counter names.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web
from prometheus_client import generate_latest

from metrics_apiserver.exporter.exposition import ExpositionStore, RenderedExposition
from metrics_apiserver.exporter.families.dcgmtable import UNSUPPORTED
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from metrics_apiserver.exporter.watchdog import UNHEALTHY_SECONDS
from metrics_apiserver.exporter.web.auth import Passwords, has_name
from metrics_apiserver.exporter.web.config import WebConfig

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PROBES = ("/healthz", "/readyz")
_CACHE_SECONDS = 1.0  # what is rendered during a hang is cached as long as a round
_NO_WEIGHT = re.compile(r"q\s*=\s*0(\.0*)?")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Handlers:
    """The handlers.

    Args:
        path: of the metrics.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: ExpositionStore,
        telemetry: ExporterTelemetry,
        path: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._telemetry = telemetry
        self._path = path
        self._clock = clock
        self._cached: tuple[float, tuple[RenderedExposition | None, bool, bool], bytes] | None = (
            None
        )

    def application(self, config: WebConfig) -> web.Application:
        """An application, protected as the web configuration says."""
        found = web.Application(middlewares=[_AccessControl(config).handle], client_max_size=1)
        found.router.add_get(self._path, self.metrics)
        found.router.add_get("/snapshot.json", self.document)
        found.router.add_get("/healthz", self.healthz)
        found.router.add_get("/readyz", self.readyz)
        if self._path != "/":
            found.router.add_get("/", self.index)
        return found

    async def metrics(self, request: web.Request) -> web.Response:
        """All metrics in the text format, compressed if the client accepts it.

        While the sampling thread works, the exposition is served as it is. While the thread hangs,
        the metrics of the process are rendered again, and those of devices are left out once too
        old.
        """
        store, current = self._store, self._store.current
        self._telemetry.scrapes.labels("200").inc()
        headers = {"Content-Type": CONTENT_TYPE, "Vary": "Accept-Encoding"}
        accepts_gzip = _accepts_gzip(request.headers.get("Accept-Encoding", ""))
        if accepts_gzip:
            store.ask_for_gzip()
        if current is None or store.heartbeat.state != "alive" or not store.is_fresh:
            return web.Response(body=self._render_during_hang(current), headers=headers)
        if accepts_gzip and current.compressed is not None:
            headers["Content-Encoding"] = "gzip"
            return web.Response(body=current.compressed, headers=headers)
        return web.Response(body=current.whole, headers=headers)

    def _render_during_hang(self, current: RenderedExposition | None) -> bytes:
        now, state = self._clock(), (current, self._store.is_fresh, self._store.is_up)
        cached = self._cached
        if cached is not None and cached[1] == state and now - cached[0] < _CACHE_SECONDS:
            return cached[2]
        self._telemetry.up.set(self._store.is_up)
        text = generate_latest(self._telemetry.registry)
        if current is not None:
            text = (current.text if self._store.is_fresh else b"") + current.state + text
        self._cached = now, state, text
        return text

    async def document(self, request: web.Request) -> web.Response:
        """Family (d) as JSON; 503 without a fresh exposition."""
        del request
        current = self._store.current
        if current is None or not self._store.is_fresh:
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text="no recent snapshot\n")
        return web.Response(body=current.document, content_type="application/json")

    async def healthz(self, request: web.Request) -> web.Response:
        """200 while the sampling thread is alive."""
        del request
        heartbeat = self._store.heartbeat
        if heartbeat.age < UNHEALTHY_SECONDS:
            return web.Response(text="ok\n")
        text = f"sampling hangs for {heartbeat.age:.0f} s in {heartbeat.doing}\n"
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text=text)

    async def readyz(self, request: web.Request) -> web.Response:
        """200 after the first sampling round, with or without GPUs."""
        del request
        if self._store.current is not None:
            return web.Response(text="ok\n")
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text="no sampling round yet\n")

    async def index(self, request: web.Request) -> web.Response:
        """A page for browsers."""
        del request
        current = self._store.current
        state = "NVML answers" if self._store.is_up else "NVML does not answer"
        rows = "".join(f"<li><code>{html.escape(name)}</code></li>" for name in UNSUPPORTED)
        text = (
            "<!doctype html><title>NVML exporter</title><h1>NVML exporter</h1>"
            f"<p>{state}; {current.series if current else 0} series.</p>"
            f'<p><a href="{html.escape(self._path)}">metrics</a>, '
            '<a href="/snapshot.json">snapshot.json</a>, '
            '<a href="/healthz">healthz</a>, <a href="/readyz">readyz</a></p>'
            f"<p>NVML cannot supply:</p><ul>{rows}</ul>"
        )
        return web.Response(text=text, content_type="text/html")


def _accepts_gzip(header: str) -> bool:
    """Whether `gzip` is listed with a weight other than 0."""
    for part in header.split(","):
        coding, *parameters = (word.strip().lower() for word in part.split(";"))
        if coding == "gzip":
            return not any(_NO_WEIGHT.fullmatch(one) for one in parameters)
    return False


class _AccessControl:
    """Passwords, client certificate names and response headers, around every handler."""

    def __init__(self, config: WebConfig) -> None:
        self._passwords = Passwords(config.users)
        self._sans = config.tls.client_sans if config.tls else frozenset()
        self._headers = config.headers

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await self._answer(request, handler)
        for name, value in self._headers.items():
            answer.headers[name] = value
        return answer

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not has_name(request.get_extra_info("peercert"), self._sans):
            return web.Response(status=HTTPStatus.FORBIDDEN, text="Forbidden\n")
        if request.path not in PROBES:
            allowed = await self._passwords.allow(request.headers.get("Authorization"))
            if not allowed:
                return web.Response(
                    status=HTTPStatus.UNAUTHORIZED,
                    text="Unauthorized\n",
                    headers={"WWW-Authenticate": "Basic"},
                )
        try:
            return await handler(request)
        except web.HTTPException as error:
            return web.Response(status=error.status, text=f"{error.reason}\n")
