"""Bytes of an answer are bounded as they come, encoded or not."""

from __future__ import annotations

import asyncio
import gzip
import resource
import zlib

import aiohttp
import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.prometheus import body
from tests.fakes import upstream
from tests.fakes.upstream import Mood, Upstream

LIMIT = 1024 * 1024


async def read(mood: Mood, limit: int = LIMIT) -> list[bytes]:
    pieces: list[bytes] = []
    async with (
        Upstream(mood=mood) as backend,
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(backend.url) as response,
    ):
        await body.read(response, limit, pieces.append)
    return pieces


def encoded(data: bytes, encoding: str) -> Mood:
    return upstream.answer(data, headers={"Content-Encoding": encoding})


@pytest.mark.parametrize("text", [b"", b"x", b"x" * LIMIT], ids=len)
async def test_plain(text: bytes) -> None:
    assert b"".join(await read(upstream.answer(text))) == text


@pytest.mark.parametrize("text", [b"", b"x", b"abc" * 300_000, bytes(LIMIT)], ids=len)
async def test_gzip(text: bytes) -> None:
    pieces = await read(upstream.gzipped(text))
    assert b"".join(pieces) == text
    assert max(map(len, pieces), default=0) <= body.PIECE_BYTES


async def test_gzip_in_small_reads() -> None:
    text = b"".join(b"%d," % i for i in range(2000))
    mood = upstream.drip(upstream.gzipped(text), size=500, pause=0.001)
    assert b"".join(await read(mood)) == text


async def test_a_named_identity_is_plain() -> None:
    assert await read(encoded(b"x", "identity")) == [b"x"]


async def test_a_long_body_is_refused_by_its_length_alone() -> None:
    mood = upstream.answer(b"x", headers={"Content-Length": str(LIMIT + 1)})
    with pytest.raises(errors.UpstreamError) as refused:
        await read(mood)
    assert refused.value.kind == "too_large"


async def test_a_long_body_of_unknown_length_is_refused_while_it_is_read() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    with pytest.raises(errors.UpstreamError, match="longer than 1048576 bytes"):
        await read(upstream.raw(head + b"x" * (LIMIT + 1)))


async def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    mood = upstream.gzip_bomb(96)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(errors.UpstreamError) as refused:
        await read(mood)
    assert refused.value.kind == "too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


async def test_empty_blocks_count_as_sent() -> None:
    """A stream can be long without ever giving a byte."""
    header = gzip.compress(b"")[:10]
    empty_block = b"\x00\x00\x00\xff\xff"
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\n\r\n"
    with pytest.raises(errors.UpstreamError) as refused:
        await read(upstream.raw(head + header + empty_block * (LIMIT // 5 + 10)))
    assert refused.value.kind == "too_large"


@pytest.mark.parametrize(
    ("mood", "why"),
    [
        pytest.param(upstream.gzipped(b"x" * 100, cut=1), "ends early", id="cut in the end"),
        pytest.param(upstream.gzipped(b"x" * 100, cut=15), "ends early", id="cut in the data"),
        pytest.param(upstream.gzipped(b"x", tail=b"!"), "after its end", id="tail"),
        pytest.param(
            upstream.gzipped(b"x", tail=gzip.compress(b"y")), "after its end", id="two streams"
        ),
        pytest.param(encoded(b"no gzip", "gzip"), "broken", id="no gzip"),
        pytest.param(encoded(b"", "gzip"), "ends early", id="empty"),
        pytest.param(encoded(b"x", "br"), "not asked for", id="brotli"),
        pytest.param(encoded(b"x", "gzip, gzip"), "not asked for", id="twice"),
        pytest.param(encoded(zlib.compress(b"x"), "deflate"), "not asked for", id="deflate"),
    ],
)
async def test_other_encodings_are_refused(mood: Mood, why: str) -> None:
    with pytest.raises(errors.UpstreamError, match=why) as refused:
        await read(mood)
    assert refused.value.kind == "protocol"


async def test_a_wrong_checksum_is_refused() -> None:
    data = bytearray(gzip.compress(b"x" * 100))
    data[-5] ^= 1
    with pytest.raises(errors.UpstreamError, match="broken"):
        await read(encoded(bytes(data), "gzip"))


async def test_a_long_body_lets_the_loop_turn() -> None:
    turns = 0

    def ignore(piece: bytes) -> None:
        pass

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with (
        Upstream(mood=upstream.gzipped(bytes(32 * LIMIT))) as backend,
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(backend.url) as response,
        asyncio.TaskGroup() as group,
    ):
        counting = group.create_task(count())
        before = turns
        await body.read(response, 64 * LIMIT, ignore)
        counting.cancel()
    assert turns - before > 50
