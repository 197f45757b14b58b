"""One collection of kube-apiserver: its path, and the decoding of its pages and watch events.

Strict where a lenient decoder would empty a store: a response without a list and a version is not
an empty list, and an event that is not understood is an error, after which the collection is listed
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from metrics_apiserver.base import errors
from metrics_apiserver.kube import wire

WATCH_SECONDS = 50.0
WATCH_GRACE_SECONDS = 8.0


class Sink(Protocol):
    """Receives the content of a collection: the store of names, or the one ConfigMap."""

    def begin(self) -> None:
        """A LIST starts: collect aside."""

    def add(self, item: dict[str, Any]) -> None:
        """One object of the LIST."""

    def commit(self) -> None:
        """The LIST is complete: show it in place of what was there."""

    def apply(self, event: str, item: dict[str, Any]) -> None:
        """One change: ADDED, MODIFIED or DELETED."""


@dataclass(frozen=True, slots=True)
class Collection:
    """What is listed and watched.

    Attributes:
        path: of the collection.
        query: parameters of both, such as a fieldSelector.
        watch_seconds: longest life of a watch, asked of the server.
        grace_seconds: a watch that lives this much longer is dead.
        relist_each_turn: read everything again when a watch ends, to be sure.
    """

    path: str
    list_accept: str = wire.JSON
    watch_accept: str = wire.JSON
    query: Mapping[str, str] = field(default_factory=dict)
    watch_seconds: float = WATCH_SECONDS
    grace_seconds: float = WATCH_GRACE_SECONDS
    relist_each_turn: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One change, or a BOOKMARK, whose item holds nothing but the version."""

    kind: str
    version: str
    item: dict[str, Any]


def read_page(path: str, page: dict[str, Any]) -> tuple[list[dict[str, Any]], str, str]:
    """Items, version and token of a page. A response without them is not an empty list.

    Raises:
        errors.KubeError: it is not a list that can be watched.
    """
    metadata, items = page.get("metadata"), page.get("items", "")
    if isinstance(metadata, dict) and isinstance(items, list | None):
        version, token = metadata.get("resourceVersion"), metadata.get("continue") or ""
        if isinstance(version, str) and version and isinstance(token, str):
            return items or [], version, token
    raise wire.failure("protocol", f"{path} is not a list that can be watched")


def read_event(line: bytes) -> Event:
    """One line of a watch.

    Raises:
        errors.KubeError: the server ends the watch with an error, or it is no event.
    """
    try:
        document = orjson.loads(line)
        kind, item = document["type"], document["object"]
        if kind in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
            return Event(kind, _text(item["metadata"]["resourceVersion"]), item)
        failure = _error_event(item) if kind == "ERROR" else wire.failure("protocol", "odd event")
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError) as error:
        raise wire.failure("protocol", f"bad watch event: {type(error).__name__}") from None
    raise failure


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("expected text")
    return value


def _error_event(status: dict[str, Any]) -> errors.KubeError:
    code = status.get("code")
    seconds = (status.get("details") or {}).get("retryAfterSeconds")
    return errors.KubeError(
        "kube-apiserver ended a watch",
        kind="http",
        status=code if isinstance(code, int) else 500,
        retry_after=float(seconds) if isinstance(seconds, int) else None,
        detail=str(status.get("message", ""))[:500],
    )
