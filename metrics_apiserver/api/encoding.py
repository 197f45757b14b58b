"""Content negotiation and the bytes of an answer.

JSON is what every client can read; YAML is for people and only for answers up to 1 MiB, because
writing it costs a hundred times as much. Clauses of Accept are tried by quality, then in order,
and the first that can be met wins; a clause that asks for a transform (`as=Table`) is skipped
where the endpoint has none. Protobuf is not spoken. Follows endpoints/handlers/negotiation and
responsewriters/writers.go: gzip at level 1, only above 128 KiB and only when asked.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
import yaml

from metrics_apiserver.base import errors

JSON = "application/json"
YAML = "application/yaml"
TEXT = "text/plain; charset=utf-8"

GZIP_FROM_BYTES = 128 * 1024
_GZIP_IN_THREAD_FROM_BYTES = 1024 * 1024
_ITEMS_AT_ONCE = 5000
_YAML_UP_TO_BYTES = 1024 * 1024
_ACCEPT_REMEMBERED_UP_TO = 512
_PRETTY_AGENTS = ("curl", "Wget", "Mozilla/5.0")
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_RANGES = {
    "*/*": JSON,
    "application/*": JSON,
    JSON: JSON,
    YAML: YAML,
}
_TRANSFORM = frozenset({"as", "g", "v"})
_NO_HEADERS: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Encoded:
    """A whole answer.

    Attributes:
        body: uncompressed bytes unless a header says otherwise.
        headers: beside those that every answer carries; the same name replaces that one.
        gzipped: `body` compressed ahead of time, for documents that are asked for often.
    """

    body: bytes
    content_type: str = JSON
    status: int = 200
    headers: tuple[tuple[str, str], ...] = _NO_HEADERS
    gzipped: bytes | None = None


@dataclass(frozen=True, slots=True)
class Representation:
    """What was negotiated.

    Attributes:
        table: the client asked for a `meta.k8s.io` Table, in this version; empty for the object.
    """

    media_type: str
    table: str = ""
    pretty: bool = False


_PLAIN = Representation(JSON)
_PRETTY = Representation(JSON, pretty=True)


def negotiate(
    headers: Mapping[str, str], query: Mapping[str, str], *, tables: bool = False
) -> Representation:
    """Chooses the representation of a successful answer.

    Args:
        headers: request headers, names without regard to case.
        query: first values of the query parameters.
        tables: whether the endpoint can answer as a Table.

    Raises:
        errors.NotAcceptable: no clause of Accept can be met.
    """
    accept = headers.get("Accept", "")
    if len(accept) <= _ACCEPT_REMEMBERED_UP_TO:
        chosen = _choose(accept, tables)
    else:
        chosen = _choose.__wrapped__(accept, tables)
    if chosen is None:
        raise errors.NotAcceptable(f"only the following media types are accepted: {JSON}, {YAML}")
    if not chosen.pretty and _wants_pretty(headers, query):
        return (
            _PRETTY
            if chosen is _PLAIN
            else Representation(chosen.media_type, chosen.table, pretty=True)
        )
    return chosen


def encode(document: object, chosen: Representation = _PLAIN) -> Encoded:
    """Writes a document of dicts, lists, strings and numbers.

    Raises:
        errors.NotAcceptable: the answer is too large for YAML.
    """
    if chosen is _PLAIN:
        return Encoded(_write_json(document))
    if chosen.media_type == YAML:
        return Encoded(_write_yaml(document), YAML)
    option = orjson.OPT_INDENT_2 if chosen.pretty else 0
    return Encoded(orjson.dumps(document, option=option))


def _write_json(document: object) -> bytes:
    """One call, or for a long list one for each piece: orjson lets no other thread in meanwhile."""
    if isinstance(document, dict):
        items = document.get("items")
        last = next(reversed(document), None)
        if isinstance(items, list) and len(items) > _ITEMS_AT_ONCE and last == "items":
            head = orjson.dumps({**document, "items": []})
            pieces = (
                orjson.dumps(items[begin : begin + _ITEMS_AT_ONCE])[1:-1]
                for begin in range(0, len(items), _ITEMS_AT_ONCE)
            )
            return b"".join((head[:-2], b",".join(pieces), b"]}"))
    return orjson.dumps(document)


async def compress(answer: Encoded, accept_encoding: str) -> Encoded:
    """The answer as the client can take it: gzip for large bodies, when it was asked for."""
    if len(answer.body) <= GZIP_FROM_BYTES:
        return answer
    vary = ("Vary", "Accept-Encoding")
    if not _accepts_gzip(accept_encoding):
        return Encoded(answer.body, answer.content_type, answer.status, (*answer.headers, vary))
    body = answer.gzipped
    if body is None and len(answer.body) < _GZIP_IN_THREAD_FROM_BYTES:
        body = gzip(answer.body)
    elif body is None:
        body = await asyncio.to_thread(gzip, answer.body)
    headers = (*answer.headers, vary, ("Content-Encoding", "gzip"))
    return Encoded(body, answer.content_type, answer.status, headers)


def gzip(body: bytes) -> bytes:
    """Level 1, without a time stamp: equal bodies give equal bytes."""
    compressor = zlib.compressobj(level=1, wbits=zlib.MAX_WBITS | 16)
    return compressor.compress(body) + compressor.flush()


def parse_accept(accept: str) -> list[tuple[str, dict[str, str]]]:
    """Clauses by falling quality, then as written: media range and parameters without `q`.

    Media ranges and parameter names are lower-cased; clauses with quality 0 are left out.
    """
    clauses: list[tuple[float, str, dict[str, str]]] = []
    for clause in accept.split(","):
        media_range, *rest = (part.strip() for part in clause.split(";"))
        params = {}
        for part in rest:
            key, _, value = part.partition("=")
            params[key.strip().lower()] = value.strip().strip('"')
        quality = _quality(params.pop("q", ""))
        if media_range and quality > 0:
            clauses.append((quality, media_range.lower(), params))
    clauses.sort(key=lambda clause: -clause[0])
    return [(media_range, params) for _, media_range, params in clauses]


@lru_cache(maxsize=128)
def _choose(accept: str, tables: bool) -> Representation | None:
    if not accept.strip():
        return _PLAIN
    for media_range, params in parse_accept(accept):
        media_type = _RANGES.get(media_range)
        if media_type is None or params.get("stream") or params.get("sv"):
            continue
        table = ""
        if _TRANSFORM & params.keys():
            table = _table_version(params) if tables else ""
            if not table:
                continue
        if media_type == YAML:
            return Representation(YAML, table)
        if table or params.get("pretty") == "1":
            return Representation(JSON, table, pretty=params.get("pretty") == "1")
        return _PLAIN
    return None


def _table_version(params: dict[str, str]) -> str:
    wanted = (params.get("as"), params.get("g")) == ("Table", "meta.k8s.io")
    version = params.get("v", "")
    return version if wanted and version in ("v1", "v1beta1") else ""


def _wants_pretty(headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
    asked = query.get("pretty", "")
    if asked:
        return asked in _TRUE
    return headers.get("User-Agent", "").startswith(_PRETTY_AGENTS)


def _accepts_gzip(accept_encoding: str) -> bool:
    for token in accept_encoding.split(","):
        name, _, params = token.partition(";")
        if name.strip().lower() == "gzip":
            return _quality(params.replace(" ", "").removeprefix("q=")) > 0
    return False


def _quality(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 1.0


def _write_yaml(document: object) -> bytes:
    raw = orjson.dumps(document)
    if len(raw) > _YAML_UP_TO_BYTES:
        raise errors.NotAcceptable(f"an answer of this size is given as {JSON} only")
    # libyaml where PyYAML was built with it; both write the same text.
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(
        orjson.loads(raw), Dumper=dumper, default_flow_style=False, allow_unicode=True, width=10**6
    )
    return text.encode()
