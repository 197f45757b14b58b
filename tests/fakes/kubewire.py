"""Requests to the fake kube-apiserver as it saw them, and the answers that are not true ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from aiohttp import web

Verb = Literal["get", "list", "watch", "create", "update"]


@dataclass
class Fault:
    """What happens instead of an answer.

    Attributes:
        kind: `status` answers a Status; `raw` answers these bytes,
            `chunked` without a length; `reset` aborts the connection
            after `after` bytes of the true answer; `hang` never answers; `silent` opens a watch
            and sends nothing; `event` opens a watch and sends `body` as its only line.
    """

    kind: Literal["status", "raw", "chunked", "reset", "hang", "silent", "event"]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: int = 0


@dataclass
class Seen:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    verb: Verb
    accept: str
    authorization: str
    body: Any
    peer_name: str


def status(code: int, reason: str = "", *, retry_after: int | None = None) -> Fault:
    """An answer with a metav1.Status."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": f"fake {code}"}
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Fault("status", code, headers, orjson.dumps({**body, "reason": reason, "code": code}))


def gone() -> Fault:
    """A watch that ends with the ERROR event of an expired version."""
    expired = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    return Fault("event", body=orjson.dumps({"type": "ERROR", "object": expired}))


def bookmark(version: int) -> bytes:
    return orjson.dumps(
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}
    )


async def record(request: web.Request) -> Seen:
    body = await request.read()
    peer = request.get_extra_info("peercert") or {}
    names = [value for ((key, value),) in peer.get("subject", ()) if key == "organizationName"]
    query = dict(request.query)
    verb: Verb = "get"
    segments = request.path.strip("/").split("/")
    if request.method == "POST":
        verb = "create"
    elif request.method == "PUT":
        verb = "update"
    elif query.get("watch") in ("1", "true"):
        verb = "watch"
    elif _is_collection(segments):
        verb = "list"
    return Seen(
        method=request.method,
        path=request.path,
        query=query,
        verb=verb,
        accept=request.headers.get("Accept", ""),
        authorization=request.headers.get("Authorization", ""),
        body=orjson.loads(body) if body else None,
        peer_name=names[0] if names else "",
    )


def _is_collection(segments: list[str]) -> bool:
    rest = segments[2:] if segments[0] == "api" else segments[3:]
    if len(rest) > 2 and rest[0] == "namespaces":
        rest = rest[2:]
    return len(rest) == 1


def answer(code: int, body: bytes, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=code, body=body, headers={"Content-Type": "application/json", **(headers or {})}
    )


async def chunked(request: web.Request, fault: Fault) -> web.StreamResponse:
    """An answer of unknown length."""
    response = web.StreamResponse(status=fault.status, headers=fault.headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(fault.body)
    return response


async def cut(request: web.Request, part: bytes) -> web.StreamResponse:
    """Sends the beginning of an answer and aborts the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(part) + 1000
    await response.prepare(request)
    if part:
        await response.write(part)
        await asyncio.sleep(0.01)
    if request.transport is not None:
        request.transport.abort()
    return response
