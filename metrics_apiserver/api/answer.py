"""The bytes of one answer on the wire: small ones in a single write, large ones piece by piece.

aiohttp's own Response names its software in a `Server` header and computes what is known here
already; this one writes exactly the headers it is given, with the length of the body, and closes
the connection when asked to. Pieces let a slow reader slow us down: given whole, a large body would
be encrypted and buffered whole, and nobody would notice a client that never reads.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from functools import lru_cache

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from metrics_apiserver.api.encoding import Encoded

_MAX_AUDIT_ID = 64
_NO_BODY = frozenset({204, 304})
_PIECE_BYTES = 256 * 1024


class Answer(web.StreamResponse):
    """Writes an Encoded.

    Args:
        headers: what every answer carries, to be kept; those of `encoded` replace them.
        keep_alive: whether another request may follow on this connection.
        written: called when the last byte was handed to the transport.
    """

    def __init__(
        self,
        encoded: Encoded,
        headers: CIMultiDict[str] | None = None,
        *,
        keep_alive: bool,
        written: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(status=encoded.status)
        self._is_kept_alive = keep_alive
        self._written = written
        self._stream: AbstractStreamWriter | None = None
        self._head = CIMultiDict() if headers is None else headers
        self._body_bytes = b""
        if encoded.status not in _NO_BODY:
            self._body_bytes = encoded.body
            self._head["Content-Type"] = encoded.content_type
            self._head["Content-Length"] = str(len(encoded.body))
        for name, value in encoded.headers:
            self._head[name] = value

    @property
    def keep_alive(self) -> bool:
        return self._is_kept_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Hands the head to the writer, which sends it together with the body."""
        version = request.version
        if not self._is_kept_alive:
            self._head["Connection"] = "close"
        elif version.minor == 0:
            self._head["Connection"] = "keep-alive"
        if request.method == "HEAD":
            self._body_bytes = b""
        self._stream = request.writer
        line = f"HTTP/1.{min(version.minor, 1)} {self.status} {self.reason}"
        await self._stream.write_headers(line, self._head)
        return self._stream

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002 - aiohttp's signature
        stream, body = self._stream, self._body_bytes
        if stream is None:
            return
        if len(body) > _PIECE_BYTES:
            view = memoryview(body)
            for begin in range(0, len(body), _PIECE_BYTES):
                await stream.write(view[begin : begin + _PIECE_BYTES])
            body = b""
        await stream.write_eof(body)
        if self._written is not None:
            self._written()


def common_headers(request_headers: Mapping[str, str]) -> CIMultiDict[str]:
    """What every answer carries: an audit identifier (the caller's, if it is one), no caching."""
    return CIMultiDict(
        {
            "Audit-Id": _audit_id(request_headers.get("Audit-ID", "")),
            "Cache-Control": "no-cache, private",
            "Date": _format_date(int(time.time())),  # noqa: TID251 - the edge: it is the Date header
        }
    )


def _audit_id(given: str) -> str:
    if 0 < len(given) <= _MAX_AUDIT_ID and given.isascii() and given.isprintable():
        return given
    # A version 4 UUID by the fast generator: it names a request and guards nothing.
    text = f"{random.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


@lru_cache(maxsize=2)
def _format_date(second: int) -> str:
    return formatdate(second, usegmt=True)
