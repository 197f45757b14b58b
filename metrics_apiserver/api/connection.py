"""One connection: aiohttp's HTTP/1.1 protocol with the deadlines and limits that it lacks.

aiohttp lets a head drip for as long as keep-alive lasts, waits for ever for a client that does not
read, and puts the bytes of a malformed request into its answer and its log. Here a head has ten
seconds and one mebibyte, a stalled write is cut, and what cannot be parsed is answered by a Status
that repeats nothing. Bodies are never read. Reads private attributes of aiohttp's RequestHandler
and Server: pyproject.toml pins the minor version that was tested, and a test names what is missing.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import http_exceptions, web

from metrics_apiserver.api.answer import Answer
from metrics_apiserver.api.status import failure
from metrics_apiserver.certs import peer

MALFORMED = failure(400, "BadRequest", "the request is not valid HTTP")
HEAD_TOO_LARGE = failure(431, "", "the request head is too large")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a caller may take, in seconds, bytes and pieces.

    Attributes:
        idle_seconds: above the 90 s after which kube-apiserver closes, so that it does so first.
        linger_seconds: how long a refused body is thrown away before the connection closes.
        write_seconds: how long a client may leave our answer unread.
    """

    connections: int = 1024
    header_bytes: int = 1024 * 1024
    header_count: int = 4096
    handshake_seconds: float = 10.0
    header_seconds: float = 10.0
    idle_seconds: float = 120.0
    linger_seconds: float = 1.0
    write_seconds: float = 60.0


class ConnectionOwner(Protocol):
    """What a connection needs of its server."""

    limits: Limits

    def opened(self, connection: Connection) -> None: ...
    def idle(self, connection: Connection) -> None: ...
    def closed(self, connection: Connection) -> None: ...
    def malformed(self, error: BaseException | None) -> None: ...


class Connection(web.RequestHandler):
    """Serves the requests of one client, one after the other.

    Attributes:
        peer: the certificates shown in the handshake, None without.
        context: the TLS context that it was accepted under.
        answered: it has had an answer.
        head_is_too_large: the last head was complete only after more bytes than it may have.
        remote: the peer's address, for the log.
    """

    __slots__ = (
        "_deadline",
        "_head_bytes",
        "_owner",
        "_refused_body",
        "_stall",
        "answered",
        "context",
        "head_is_too_large",
        "peer",
        "remote",
    )

    def __init__(
        self, server: web.Server, owner: ConnectionOwner, loop: asyncio.AbstractEventLoop
    ) -> None:
        limits = owner.limits
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=limits.idle_seconds,
            access_log=None,  # type: ignore[arg-type]  # aiohttp tests it for truth, as AppRunner does
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes,
            max_headers=limits.header_count,
            lingering_time=limits.linger_seconds,
            auto_decompress=False,
        )
        self._owner = owner
        self._head_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._refused_body = False
        self.context: ssl.SSLContext | None = None
        self.answered = False
        self.head_is_too_large = False
        self.peer: peer.PeerChain | None = None
        self.remote = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peer = peer.peer_chain(transport.get_extra_info("ssl_object"))
        self.remote = str((transport.get_extra_info("peername") or ("",))[0])
        self._arm()
        self._owner.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._disarm()
        self._unstall()
        self._owner.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused_body:
            return
        complete = self._request_count
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001 - whatever the parser trips over ends this one
            self._owner.malformed(error)
            self.abort()
            return
        if self._request_count != complete:
            self.head_is_too_large = self._head_bytes + len(data) > self._owner.limits.header_bytes
            self._head_bytes = 0
            self._disarm()
        elif data:
            self._count(len(data))

    def written(self) -> None:
        """The answer is out; the connection waits for its next request."""
        self.answered = True
        if self.transport is not None:
            self._owner.idle(self)

    def refuse_body(self) -> None:
        """Throws away what still comes; the connection closes after the answer."""
        self._refused_body = True

    def abort(self) -> None:
        """Closes at once, with whatever is not written yet."""
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self._loop.call_later(self._owner.limits.write_seconds, self.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unstall()

    def _unstall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    # The parameters are aiohttp's; all but the exception are of no use here.
    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002
        status: int = 500,  # noqa: ARG002
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Answers what aiohttp could not parse, repeating none of it."""
        self._owner.malformed(exc)
        too_large = isinstance(exc, http_exceptions.LineTooLong) or "Too many headers" in str(exc)
        return Answer(HEAD_TOO_LARGE if too_large else MALFORMED, keep_alive=False)

    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ARG002 - aiohttp's signature
        """Replaces aiohttp's log lines, which would hold bytes of the request."""
        error = kw.get("exc_info")
        self._owner.malformed(error if isinstance(error, BaseException) else None)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._owner.limits.header_bytes and not self._request_in_progress:
            self._owner.malformed(None)
            self._refuse_head()
        elif self._deadline is None:
            self._arm()

    def _refuse_head(self) -> None:
        """Answers although no request is complete, and throws away the rest for a moment."""
        if self.transport is None:
            return
        answer = HEAD_TOO_LARGE
        head = (
            f"HTTP/1.1 {answer.status} Request Header Fields Too Large\r\n"
            f"Content-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + answer.body)
        self.refuse_body()
        self.close()
        self._loop.call_later(self._owner.limits.linger_seconds, self.force_close)

    def _arm(self) -> None:
        self._deadline = self._loop.call_later(self._owner.limits.header_seconds, self._expire)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        if self._request_in_progress:
            self._arm()
        else:
            self.abort()
