"""Reads an answer's body with its decoded bytes counted, in pieces, and lets the loop breathe.

gzip is undone here and not by aiohttp, because a limit must hold before memory is taken: 200 kB of
gzip can be 200 MiB. Only gzip is offered to Prometheus, so any other encoding is refused, as are a
stream that ends early and bytes after its end.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator

import aiohttp

from metrics_apiserver.base import errors
from metrics_apiserver.prometheus import failures

PIECE_BYTES = 64 * 1024


async def read(
    response: aiohttp.ClientResponse, max_bytes: int, feed: Callable[[bytes], None]
) -> None:
    """Feeds the whole decoded body of `response`, piece by piece.

    Args:
        response: opened with `auto_decompress=False`.
        max_bytes: most bytes, decoded and as sent.
        feed: takes each piece of at most 64 KiB or one network read; what it raises goes on.

    Raises:
        UpstreamError: `too_large`, or the encoding is unknown or broken.
        aiohttp.ClientError: the connection broke.
    """
    if (response.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    decoder = _decoder(response.headers.get("Content-Encoding", ""))
    sent = decoded = 0
    async for chunk in response.content.iter_any():
        sent += len(chunk)
        if sent > max_bytes:
            raise _too_large(max_bytes)
        for piece in decoder.feed(chunk) if decoder else (chunk,):
            decoded += len(piece)
            if decoded > max_bytes:
                raise _too_large(max_bytes)
            feed(piece)
            if decoded > PIECE_BYTES:
                # Bytes that are already here never suspend the reader by themselves.
                await asyncio.sleep(0)
    if decoder:
        decoder.finish()


def _too_large(max_bytes: int) -> errors.UpstreamError:
    why = f"the answer of Prometheus is longer than {max_bytes} bytes"
    return failures.upstream(why, kind="too_large")


def _decoder(encoding: str) -> _Gunzip | None:
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return _Gunzip()
        case _:
            raise failures.protocol("the answer has an encoding that was not asked for")


class _Gunzip:
    """One gzip stream, undone in pieces of bounded size."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Decoded pieces; nothing is decoded further than the caller reads."""
        stream = self._stream
        try:
            while True:
                piece = stream.decompress(chunk, PIECE_BYTES)
                chunk = stream.unconsumed_tail
                if piece:
                    yield piece
                if len(piece) < PIECE_BYTES and not chunk:
                    break
        except zlib.error as error:
            raise failures.protocol("the gzip of the answer is broken") from error
        if stream.unused_data:
            raise failures.protocol("the gzip of the answer has bytes after its end")

    def finish(self) -> None:
        if not self._stream.eof:
            raise failures.protocol("the gzip of the answer ends early")
