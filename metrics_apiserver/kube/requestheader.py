"""The configuration that kube-apiserver publishes for delegated authentication, kept current.

The ConfigMap kube-system/extension-apiserver-authentication names the CAs of clients and of the
front proxy, the proxy's allowed names and the header names. A value that is missing, empty or
malformed keeps the one before it and is reported: an edit must not widen access. In particular a
front-proxy CA is not used until the list of allowed names has been read once, because an empty
list means any name. Follows apiserver's requestheader_controller.go and
configmap_cafile_content.go; stricter in keeping the allowed names when their key goes away.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from metrics_apiserver.base import errors
from metrics_apiserver.base.backoff import Backoff
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.collection import Collection
from metrics_apiserver.kube.watch import Reflector

logger = logging.getLogger(__name__)

NAMESPACE = "kube-system"
NAME = "extension-apiserver-authentication"
_COLLECTION = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ANY_TEXT = re.compile(r".+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AuthenticationConfig:
    """One state of the ConfigMap.

    Attributes:
        client_ca: PEM bundle for client certificates; empty turns them off.
        requestheader_ca: PEM bundle for the front proxy; empty turns headers off.
        allowed_names: common names of the front proxy; empty is any.
        generation: grows with every change.
    """

    client_ca: bytes = b""
    requestheader_ca: bytes = b""
    allowed_names: tuple[str, ...] = ()
    username_headers: tuple[str, ...] = ()
    group_headers: tuple[str, ...] = ()
    extra_prefixes: tuple[str, ...] = ()
    uid_headers: tuple[str, ...] = ()
    generation: int = 0


def parse(
    data: Mapping[str, Any], previous: AuthenticationConfig, validate_pem: Callable[[bytes], object]
) -> tuple[AuthenticationConfig, tuple[str, ...]]:
    """The state after `previous`, and what is wrong with the ConfigMap.

    Args:
        data: the ConfigMap's data.
        previous: the state to keep values from.
        validate_pem: raises ValueError for a bundle that cannot be used.
    """
    reading = _Reading(data, validate_pem)
    proxy_ca = reading.bundle("requestheader-client-ca-file", previous.requestheader_ca)
    # Without a front proxy, now or before, kube-apiserver writes none of its keys.
    reading.required = bool(proxy_ca)
    known = bool(previous.requestheader_ca)
    names = reading.texts(
        "requestheader-allowed-names", previous.allowed_names if known else None, _ANY_TEXT
    )
    config = AuthenticationConfig(
        client_ca=reading.bundle("client-ca-file", previous.client_ca),
        requestheader_ca=proxy_ca if names is not None else b"",
        allowed_names=names or (),
        username_headers=reading.headers("username-headers", previous.username_headers),
        group_headers=reading.headers("group-headers", previous.group_headers),
        extra_prefixes=reading.headers("extra-headers-prefix", previous.extra_prefixes),
        uid_headers=reading.headers("uid-headers", previous.uid_headers, optional=True),
        generation=previous.generation,
    )
    if config != previous:
        config = dataclasses.replace(config, generation=previous.generation + 1)
    return config, tuple(reading.problems)


class _Reading:
    """Takes values out of one state of the ConfigMap, noting what is wrong with it."""

    def __init__(self, data: Mapping[str, Any], validate_pem: Callable[[bytes], object]) -> None:
        self._data = data
        self._validate_pem = validate_pem
        self.required = False
        self.problems: list[str] = []

    def bundle(self, key: str, previous: bytes) -> bytes:
        text = self._data.get(key)
        if not isinstance(text, str) or not text.strip():
            if previous:
                self.problems.append(f"{key} is missing or empty: the old one is kept")
            return previous
        content = text.encode()
        if content == previous:
            return previous
        try:
            self._validate_pem(content)
        except ValueError as error:
            self.problems.append(f"{key} cannot be used, the old one is kept: {error}")
            return previous
        return content

    def headers(
        self, key: str, previous: tuple[str, ...], *, optional: bool = False
    ) -> tuple[str, ...]:
        if optional and not self._data.get(f"requestheader-{key}"):
            # Written only where the feature is on; but an emptied ConfigMap says nothing.
            return () if self._data.get("requestheader-username-headers") else previous
        return self.texts(f"requestheader-{key}", previous, _HEADER_NAME) or ()

    def texts(
        self, key: str, previous: tuple[str, ...] | None, form: re.Pattern[str]
    ) -> tuple[str, ...] | None:
        """The list that a key holds as JSON text; `previous` when there is no proper one."""
        text = self._data.get(key)
        if not text:
            if self.required:
                self.problems.append(f"{key} is missing or empty: the old value is kept")
            return previous
        try:
            values = orjson.loads(text)
        except (orjson.JSONDecodeError, TypeError):
            values = ""
        if values is None:
            return ()  # as Go writes an empty list
        if isinstance(values, list) and all(
            isinstance(value, str) and form.fullmatch(value) for value in values
        ):
            return tuple(values)
        self.problems.append(f"{key} is not a list of names: the old value is kept")
        return previous


class AuthenticationSource:
    """Follows the ConfigMap.

    Attributes:
        current: the state to authenticate with; empty before the first read.
        problems: what is wrong with the ConfigMap as it is now.
        synced: it was read once, or is known not to exist.

    Args:
        client: to kube-apiserver.
        validate_pem: raises ValueError for a bundle that cannot be used.
        on_change: called with each new state.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        client: KubeClient,
        validate_pem: Callable[[bytes], object],
        *,
        on_change: Callable[[AuthenticationConfig], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._validate_pem = validate_pem
        self._on_change = on_change
        self._arrived: dict[str, Any] | None = None
        # Listed again at the end of each watch: the recheck once a minute that Go does.
        target = Collection(
            _COLLECTION, query={"fieldSelector": f"metadata.name={NAME}"}, relist_each_turn=True
        )
        self._reflector = Reflector(client, target, self, backoff=Backoff(last=1.5), clock=clock)
        self.current = AuthenticationConfig()
        self.problems: tuple[str, ...] = ()
        self.synced = False

    @property
    def error(self) -> errors.KubeError | None:
        """Why the ConfigMap cannot be read now; None while it can."""
        error = self._reflector.last_error
        return _explain(error) if error is not None else None

    async def run(self) -> None:
        """Follows the ConfigMap until it is cancelled."""
        await self._reflector.run()

    def begin(self) -> None:
        self._arrived = None

    def add(self, item: dict[str, Any]) -> None:
        if _is_ours(item):
            self._arrived = item

    def commit(self) -> None:
        self._take(self._arrived)

    def apply(self, event: str, item: dict[str, Any]) -> None:
        if _is_ours(item):
            self._take(None if event == "DELETED" else item)

    def _take(self, item: dict[str, Any] | None) -> None:
        self.synced = True
        before = self.current
        if item is None:
            problems: tuple[str, ...] = (f"ConfigMap {NAMESPACE}/{NAME} does not exist",)
        else:
            data = item.get("data") or {}
            self.current, problems = parse(
                data if isinstance(data, dict) else {}, before, self._validate_pem
            )
        if problems != self.problems:
            for problem in problems:
                logger.warning("delegated authentication: %s", problem)
            self.problems = problems
        if self.current != before:
            logger.info("delegated authentication: state %d is in use", self.current.generation)
            self._on_change(self.current)


def _is_ours(item: dict[str, Any]) -> bool:
    metadata = item.get("metadata")
    return isinstance(metadata, dict) and metadata.get("name") == NAME


def _explain(error: errors.KubeError) -> errors.KubeError:
    """A 403 with what to grant."""
    if error.status != 403:
        return error
    return errors.KubeError(
        f"ConfigMap {NAMESPACE}/{NAME} may not be read: bind the Role {NAME}-reader "
        f"in {NAMESPACE} to this server",
        kind=error.kind,
        status=error.status,
        detail=error.detail,
    )
