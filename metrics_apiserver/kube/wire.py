"""Requests to kube-apiserver, its responses, and the errors made of them.

Bodies are bounded while they are read. Messages of errors hold neither headers nor bodies, only the
message of a metav1.Status.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import aiohttp
import orjson

from metrics_apiserver.base import errors

JSON = "application/json"
MAX_RETRY_AFTER_SECONDS = 60.0
SHORTEST_SECRET = 6


@dataclass(frozen=True, slots=True)
class KubeRequest:
    """One request.

    Attributes:
        path: absolute, below the server's own path; segments are plain names.
        body: JSON bytes.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    accept: str = JSON
    content_type: str = JSON


@dataclass(frozen=True, slots=True)
class KubeResponse:
    """A complete response of any status."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Requests(Protocol):
    """What makes requests: the server's small client, or the official one of the commands."""

    async def request(
        self, call: KubeRequest, *, timeout: float = ..., max_bytes: int | None = ...
    ) -> KubeResponse:
        """The response, whatever its status.

        Raises:
            errors.KubeError: there was no complete response.
        """


async def read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The whole body.

    Raises:
        errors.KubeError: it is larger than `max_bytes`.
    """
    if (response.content_length or 0) > max_bytes:
        raise failure("too_large", f"the response has {response.content_length} bytes")
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            raise failure("too_large", f"the response has more than {max_bytes} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def decode(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        errors.KubeError: it is something else.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise failure("protocol", f"the response is not JSON: {error.msg}") from None
    if not isinstance(document, dict):
        raise failure("protocol", "the response is not a JSON object")
    return document


def redact(text: str, secret: str) -> str:
    """`text` without a secret that it repeats; what is too short to be one stays."""
    return text.replace(secret, "[redacted]") if len(secret) >= SHORTEST_SECRET else text


def status_error(what: str, response: KubeResponse) -> errors.KubeError:
    """The error for a response that is not 2xx.

    Args:
        what: the request, for the message, such as `GET /apis`.
        response: any; a metav1.Status body gives the detail.
    """
    try:
        text = str(decode(response.body).get("message", ""))
    except errors.KubeError:
        text = "no Status in the body"
    return errors.KubeError(
        f"kube-apiserver answered {what} with {response.status}",
        kind="http",
        status=response.status,
        retry_after=_retry_after(response.headers),
        detail=text[:500],
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("Retry-After", "")
    return min(float(text), MAX_RETRY_AFTER_SECONDS) if text.isdecimal() else None


def failure(kind: str, detail: str) -> errors.KubeError:
    """An error without an HTTP status; `kind` is one of those of `errors.KubeError`."""
    messages = {
        "timeout": "kube-apiserver did not answer in time",
        "unreachable": "kube-apiserver cannot be reached",
        "tls": "the TLS connection to kube-apiserver failed",
        "reset": "kube-apiserver closed the connection",
    }
    message = messages.get(kind, "kube-apiserver gave a response that cannot be used")
    return errors.KubeError(message, kind=kind, detail=detail)


def translate(error: Exception) -> errors.KubeError:
    """Our error for one of aiohttp or the system; the text of a header never gets in."""
    name = type(error).__name__
    match error:
        case TimeoutError():
            return failure("timeout", name)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return failure("tls", f"{name}: {error}")
        case aiohttp.ClientConnectorError():
            reason = error.os_error.strerror or type(error.os_error).__name__
            return failure("unreachable", f"{error.host}:{error.port}: {reason}")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | OSError():
            return failure("reset", name)
        case _:
            return failure("protocol", name)
