"""The HTTP server: sockets in, one Call for each request, one Encoded out.

A loop accepts, each connection takes the current TLS context, and one function leads from request
to answer: no router, no middleware, no body. Connections are bounded; when all are taken the one
that has been idle for longest makes room, so that silent clients cannot keep kube-apiserver out.
Draining answers everything with `Connection: close` while still accepting, then finishes what is
in flight. Never logs or repeats bytes of a malformed request; at most ten such lines a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from aiohttp import web
from multidict import CIMultiDictProxy

from metrics_apiserver.api import encoding, status
from metrics_apiserver.api.answer import Answer, common_headers
from metrics_apiserver.api.connection import HEAD_TOO_LARGE, MALFORMED, Connection, Limits
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.base import errors
from metrics_apiserver.certs import peer

_logger = logging.getLogger(__name__)

_LINES_A_SECOND = 10
_ACCEPT_PAUSE_SECONDS = 0.1
_TLS_GOODBYE_SECONDS = 2.0
_BACKLOG = 1024
_GRACE_SECONDS = 0.5
_DEFAULT_LIMITS = Limits()
_NO_BODY_READ = status.render(
    errors.RequestTooLarge("Request entity too large: no request body is accepted")
)
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came.

    Attributes:
        method: upper-case.
        target: raw request target; only requestinfo reads it.
        headers: names without regard to case; bytes that are not UTF-8 are lone surrogates.
        peer: certificates shown in the handshake.
        remote: the peer's address, for the log.
    """

    method: str
    target: str
    headers: CIMultiDictProxy[str]
    peer: peer.PeerChain | None
    remote: str


def bind(address: str, port: int) -> socket.socket:
    """A listening socket; a wildcard address takes both families where IPv6 exists, as Go does.

    Raises:
        OSError: the address cannot be listened on.
    """
    if address in _WILDCARDS and socket.has_dualstack_ipv6():
        return socket.create_server(
            ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
        )
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=_BACKLOG)


class Server(web.Server):
    """Serves `handler` on listening sockets.

    Args:
        handler: from request to answer; what it raises becomes a Status.
        tls: the context for the next connection.
        limits: bounds on callers.

    Attributes:
        handshakes_failed, requests_malformed, connections_evicted: counted from the start.
    """

    def __init__(
        self,
        handler: Callable[[Call], Awaitable[Encoded]],
        tls: Callable[[], ssl.SSLContext],
        limits: Limits = _DEFAULT_LIMITS,
    ) -> None:
        super().__init__(self._respond, handler_cancellation=True)
        self._call_handler = handler
        self._tls = tls
        self.limits = limits
        self._handshakes = asyncio.Semaphore(limits.connections)
        # Insertion order is the order in which connections became idle.
        self._idle: dict[Connection, None] = {}
        self._accepting: set[asyncio.Timeout] = set()
        self._lines = 0
        self._lines_until = 0.0
        self.is_draining = False
        self._is_finished = False
        self.handshakes_failed = 0
        self.requests_malformed = 0
        self.connections_evicted = 0

    async def serve(self, listener: socket.socket) -> None:
        """Accepts for ever; returns, with the socket closed, only after `finish` was called."""
        listener.setblocking(False)
        with listener, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as accepting:
                self._accepting.add(accepting)
                try:
                    await self._accept(listener)
                finally:
                    self._accepting.discard(accepting)

    def begin_drain(self) -> None:
        """From now on every answer closes its connection; new ones are still served."""
        self.is_draining = True

    def close_outdated(self) -> None:
        """Closes idle connections that showed no certificate while another context was in use.

        They were not asked for one by an authority that is known now, and a caller that keeps its
        connection open would stay a stranger.
        """
        for connection in tuple(self._idle):
            if connection.answered and self._is_outdated(connection):
                connection.force_close()

    def _is_outdated(self, connection: Connection) -> bool:
        return connection.peer is None and connection.context is not self._tls()

    async def finish(self, timeout_seconds: float) -> None:
        """Stops accepting, lets requests in flight end, and closes every connection."""
        self.is_draining = True
        for accepting in tuple(self._accepting):
            accepting.reschedule(self._loop.time())
        for connection in tuple(self._idle):
            connection.force_close()
        try:
            async with asyncio.timeout(timeout_seconds + _GRACE_SECONDS):
                await self.shutdown(timeout_seconds)
        except TimeoutError:
            _logger.warning("requests were still in flight after %s s", timeout_seconds)
            for left in self.connections:
                left.force_close()
        self._is_finished = True

    def __call__(self) -> Connection:
        return Connection(self, self, self._loop)

    def idle(self, connection: Connection) -> None:
        """Nothing is being done for this connection."""
        self._idle[connection] = None

    def opened(self, connection: Connection) -> None:
        """Takes a connection in; when all places are taken, the longest idle one leaves."""
        if self._is_finished:
            # Its handshake outlived the end: nothing is left that could answer it.
            connection.abort()
            return
        self.idle(connection)
        if len(self._connections) > self.limits.connections:
            self.connections_evicted += 1
            longest = next(iter(self._idle))
            del self._idle[longest]
            longest.abort()

    def closed(self, connection: Connection) -> None:
        self._idle.pop(connection, None)

    def malformed(self, error: BaseException | None) -> None:
        """Counts what could not be parsed, and logs its kind."""
        self.requests_malformed += 1
        self._say("refused a malformed request (%s)", type(error).__name__ if error else "size")

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as handshakes:
            while True:
                await self._handshakes.acquire()
                try:
                    raw, _ = await loop.sock_accept(listener)
                except OSError as error:
                    # Out of file descriptors, most likely: wait until some are given back.
                    self._handshakes.release()
                    self._say("cannot accept: %s", error.strerror)
                    await asyncio.sleep(_ACCEPT_PAUSE_SECONDS)
                    continue
                except BaseException:
                    self._handshakes.release()
                    raise
                handshakes.create_task(self._open(raw))

    async def _open(self, raw: socket.socket) -> None:
        """Shakes hands; from then on the connection lives by itself."""
        connection = self()
        connection.context = self._tls()
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection,
                raw,
                ssl=connection.context,
                ssl_handshake_timeout=self.limits.handshake_seconds,
                ssl_shutdown_timeout=_TLS_GOODBYE_SECONDS,
            )
        except Exception as error:  # noqa: BLE001 - one bad handshake must not end the loop
            self.handshakes_failed += 1
            raw.close()
            _logger.debug("handshake failed: %s", type(error).__name__)
        finally:
            self._handshakes.release()

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("Connection", request.protocol)
        self._idle.pop(connection, None)
        refusal = self._refuse(request, connection)
        encoded = refusal or await self._encode(request, connection)
        closes = refusal is not None or self.is_draining or "Upgrade" in request.headers
        closes = closes or self._is_outdated(connection)
        return Answer(
            encoded,
            common_headers(request.headers),
            keep_alive=request.keep_alive and not closes,
            written=connection.written,
        )

    def _refuse(self, request: web.BaseRequest, connection: Connection) -> Encoded | None:
        if request.body_exists:
            connection.refuse_body()
            return _NO_BODY_READ
        if connection.head_is_too_large:
            self.malformed(None)
            return HEAD_TOO_LARGE
        if request.version.major != 1:
            self.malformed(None)
            return MALFORMED
        return None

    async def _encode(self, request: web.BaseRequest, connection: Connection) -> Encoded:
        headers, target = request.headers, request.raw_path
        call = Call(request.method, target, headers, connection.peer, connection.remote)
        try:
            encoded = await self._call_handler(call)
        except Exception as error:  # noqa: BLE001 - the border where everything becomes a Status
            encoded = status.answer(error, request.method, target)
        return await encoding.compress(encoded, headers.get("Accept-Encoding", ""))

    def _say(self, text: str, argument: object) -> None:
        now = self._loop.time()
        if now >= self._lines_until:
            self._lines, self._lines_until = 0, now + 1
        self._lines += 1
        if self._lines <= _LINES_A_SECOND:
            _logger.warning(text, argument)
