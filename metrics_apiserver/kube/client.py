"""HTTP to kube-apiserver: one connection pool, one deadline per request, bounded responses.

Redirects, proxies from the environment, cookies and compression are refused: a redirect would
carry our token elsewhere, and a response that is not compressed cannot expand. Every failure is an
`errors.KubeError`, whose text holds no token. After a 401 the request is sent once more with fresh
credentials, after a TLS failure once more with fresh files (rotations); other retries belong to the
callers, who know what may be repeated.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import yarl

from metrics_apiserver.kube import wire
from metrics_apiserver.kube.connection import KubeConfig
from metrics_apiserver.kube.credentials import KubeCredentials
from metrics_apiserver.kube.tls import ClientContext

MAX_BODY_BYTES = 32 << 20
MAX_LINE_BYTES = 8 << 20
CONNECT_TIMEOUT_SECONDS = 3.0
KEEPALIVE_SECONDS = 60.0
CONNECTIONS = 64
USER_AGENT = "metrics-apiserver"


class KubeClient:
    """Requests to one kube-apiserver. Use as an async context manager, or call `close`.

    Args:
        config: from `config.load`.
        clock: monotonic seconds.
        max_body_bytes: limit of one response, where the request gives none.
    """

    def __init__(
        self,
        config: KubeConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        max_body_bytes: int = MAX_BODY_BYTES,
        user_agent: str = USER_AGENT,
    ) -> None:
        self.config = config
        self._base = yarl.URL(config.server)
        self._context = ClientContext(config, clock=clock)
        self._credentials = KubeCredentials(config, clock=clock)
        self._max_body_bytes = max_body_bytes
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None
        self._sent = ""

    async def __aenter__(self) -> KubeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections; calls in flight fail."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self, call: wire.KubeRequest, *, timeout: float = 10.0, max_bytes: int | None = None
    ) -> wire.KubeResponse:
        """The response, whatever its status.

        Args:
            call: what to ask.
            timeout: seconds for all of it, connecting included.
            max_bytes: limit of the body.

        Raises:
            errors.KubeError: there was no complete response.
        """
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT_SECONDS)
        async with self._exchange(call, limits) as response:
            body = await wire.read(response, max_bytes or self._max_body_bytes)
            return self._response(response, body)

    async def get_json(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = wire.JSON,
        timeout: float = 10.0,
        max_bytes: int | None = None,
    ) -> dict[str, Any]:
        """The JSON object at `path`.

        Raises:
            errors.KubeError: no response, not 200, or not a JSON object.
        """
        call = wire.KubeRequest("GET", path, query or {}, accept=accept)
        response = await self.request(call, timeout=timeout, max_bytes=max_bytes)
        if response.status != 200:
            raise wire.status_error(f"GET {path}", response)
        return wire.decode(response.body)

    async def watch(
        self, path: str, *, query: Mapping[str, str], accept: str, timeout: float
    ) -> AsyncGenerator[list[bytes]]:
        """The lines of a watch, in batches as they come; first an empty one when it is open.

        Ends when kube-apiserver ends it. Close the generator (`contextlib.aclosing`) to stop.

        Args:
            path: collection to watch.
            query: parameters, `watch=true` included.
            accept: media types.
            timeout: seconds for the whole watch; a longer one is a dead connection.

        Raises:
            errors.KubeError: refused, cut, or past `timeout`.
        """
        call = wire.KubeRequest("GET", path, query, accept=accept)
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT_SECONDS)
        async with self._exchange(call, limits) as response:
            if response.status != 200:
                body = await wire.read(response, self._max_body_bytes)
                raise wire.status_error(f"GET {path}", self._response(response, body))
            yield []
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > MAX_LINE_BYTES:
                    raise wire.failure("protocol", "a watch event is larger than 8 MiB")
                if lines:
                    yield lines

    def _response(self, response: aiohttp.ClientResponse, body: bytes) -> wire.KubeResponse:
        """The response; an error that repeats our credentials does not carry them into a log."""
        if response.status >= 400:
            body = wire.redact(body.decode(errors="replace"), self._sent).encode()
        return wire.KubeResponse(response.status, response.headers, body)

    @asynccontextmanager
    async def _exchange(
        self, call: wire.KubeRequest, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response whose headers have arrived; leaving it unread closes the connection."""
        try:
            response = await self._send(call, limits)
            try:
                yield response
            finally:
                if response.content.at_eof():
                    response.release()
                else:
                    response.close()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise wire.translate(error) from error

    async def _send(
        self, call: wire.KubeRequest, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        header = await self._credentials.header()
        context = self._context.current(self._credentials.client_pair)
        try:
            response = await self._attempt(call, limits, header, context)
        except (aiohttp.ClientSSLError, ssl.SSLError):
            fresh = self._context.renew(self._credentials.client_pair)
            if fresh is context:
                raise
            context = fresh
            response = await self._attempt(call, limits, header, context)
        if response.status != 401:
            self._credentials.accepted(header)
            return response
        renewed = await self._credentials.renew(header)
        fresh = self._context.renew(self._credentials.client_pair)
        if renewed is None and fresh is context:
            return response
        response.release()
        return await self._attempt(call, limits, renewed or header, fresh)

    async def _attempt(
        self,
        call: wire.KubeRequest,
        limits: aiohttp.ClientTimeout,
        header: str,
        context: ssl.SSLContext | None,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": call.accept, "Accept-Encoding": "identity"}
        if header:
            headers["Authorization"] = header
            self._sent = header.partition(" ")[2]
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        response = await self._open_session().request(
            call.method,
            self._base.joinpath(call.path.lstrip("/")).with_query(call.query),
            data=call.body,
            headers=headers,
            timeout=limits,
            ssl=context if context is not None else True,
            server_hostname=self.config.tls_server_name or None,
            proxy=self.config.proxy_url or None,
            allow_redirects=False,
        )
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()
            raise wire.failure("protocol", "the response is compressed, which was not requested")
        return response

    def _open_session(self) -> aiohttp.ClientSession:
        """Made at first use: a session belongs to the running loop."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS,
                ttl_dns_cache=5,
                keepalive_timeout=KEEPALIVE_SECONDS,
                socket_factory=_open_socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def _open_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that notices a peer which vanished within 30 s, also while it only listens."""
    family, kind, protocol, _, _ = address
    connection = socket.socket(family, kind, protocol)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", 15),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 30_000),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
    return connection
