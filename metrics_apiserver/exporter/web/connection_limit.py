"""Limits in front of aiohttp: the number of connections, and a deadline for the first request.

aiohttp waits for ever for a client that connects and sends nothing. Here the headers of the first
request must arrive within ten seconds, and connections above the limit are closed at once, so that
nobody who can reach the port can exhaust memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

MAX_CONNECTIONS = 256
HEADER_TIMEOUT_SECONDS = 10.0
_END_OF_HEAD = b"\r\n\r\n"


class ConnectionLimiter:
    """Protocol factory of one listening socket.

    Args:
        make: protocol factory of aiohttp.
        limit: maximum number of connections.
        header_timeout_seconds: for the headers of the first request.
    """

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        limit: int = MAX_CONNECTIONS,
        header_timeout_seconds: float = HEADER_TIMEOUT_SECONDS,
    ) -> None:
        self._make = make
        self._limit = limit
        self._header_timeout_seconds = header_timeout_seconds
        self.open = 0

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return _LimitedProtocol(self, self._make(), self._header_timeout_seconds)

    def acquire(self) -> bool:
        """Counts a new connection; False above the limit."""
        self.open += 1
        return self.open <= self._limit

    def release(self) -> None:
        """A connection was closed."""
        self.open -= 1


class _LimitedProtocol(asyncio.Protocol):
    """Forwards everything to aiohttp's protocol, which uses the transport directly."""

    def __init__(
        self, limiter: ConnectionLimiter, inner: asyncio.Protocol, header_timeout_seconds: float
    ) -> None:
        self._limiter = limiter
        self._inner = inner
        self._header_timeout_seconds = header_timeout_seconds
        self._head: bytes | None = b""
        self._timer: asyncio.TimerHandle | None = None
        self._is_in = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        both = cast("asyncio.Transport", transport)
        if not self._limiter.acquire():
            both.abort()
            return
        self._is_in = True
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._header_timeout_seconds, both.abort)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limiter.release()
        self._stop_timer()
        if self._is_in:
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head = (self._head + data)[-len(_END_OF_HEAD) - len(data) :]
            if _END_OF_HEAD in self._head:
                self._head = None
                self._stop_timer()
            else:
                self._head = self._head[-len(_END_OF_HEAD) :]
        if self._is_in:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._is_in else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
