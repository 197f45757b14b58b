"""One request to Prometheus over HTTP, with one deadline and a bound on its bytes.

The budget covers everything: waiting for a slot, connecting (2 s at most), sending and reading.
Redirects are answers that failed, because a redirect would carry our credentials away; no proxy is
taken from the environment; no cookie is kept. A connection that breaks before an answer began is
tried once more (aiohttp itself does so for GET), a 401 once more if fresh credentials differ, a
POST of our own choice once more as GET (`verb`), and nothing else.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp
import yarl
from multidict import CIMultiDict

from metrics_apiserver.base import errors
from metrics_apiserver.options.prometheus import PrometheusSettings
from metrics_apiserver.prometheus import body, failures
from metrics_apiserver.prometheus.admission import Admission
from metrics_apiserver.prometheus.credentials import PrometheusCredentials
from metrics_apiserver.prometheus.refusals import Refusals
from metrics_apiserver.prometheus.verb import Verb

CONNECT_SECONDS = 2.0
_DNS_CACHE_SECONDS = 5
_ERROR_BODY_BYTES = 16 * 1024
_SHORTEST_SECRET = 6  # shorter header values are tenants and switches
# What Prometheus gets of our time is less by what its answer needs to reach us.
_ANSWER_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One call of the API.

    Attributes:
        path: below the URL, such as `/api/v1/query`; already percent-encoded.
        parameters: form fields in order; names may repeat.
        timeout: budget in seconds.
        max_bytes: most decoded bytes of the answer.
        evaluates: Prometheus takes a `timeout` here.
        may_post: the API takes POST here.
    """

    path: str
    parameters: tuple[tuple[str, str], ...]
    timeout: float
    max_bytes: int
    evaluates: bool = False
    may_post: bool = True


class Transport:
    """Sends requests to one Prometheus; made before the loop runs, used within one loop.

    Args:
        settings: URL, limits.
        credentials: of this server; read for each request.
        clock: seconds that never go back.
        refusals: what this Prometheus is known to refuse.
    """

    def __init__(
        self,
        settings: PrometheusSettings,
        credentials: PrometheusCredentials,
        clock: Callable[[], float] = time.monotonic,
        refusals: Refusals | None = None,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._clock = clock
        self._base = settings.url.rstrip("/")
        self._secure = settings.url.lower().startswith("https:")
        self._headers = CIMultiDict({"Accept": "application/json", "Accept-Encoding": "gzip"})
        self._headers.extend(settings.header_pairs)
        self._admission = Admission(settings.max_concurrent, settings.max_waiting, clock)
        self._verb = Verb(settings.verb, refusals or Refusals(clock=clock))
        self._sent_secret = ""
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, request: ApiRequest, feed: Callable[[bytes], None]) -> None:
        """Sends one request and feeds the decoded body of its 200 response.

        Args:
            request: the API call.
            feed: takes the body piece by piece; what it raises ends the call.

        Raises:
            UpstreamError: no usable answer; its kind says why.
            UpstreamTimeout: the budget or Prometheus' own time is spent.
        """
        deadline = self._clock() + request.timeout
        try:
            async with asyncio.timeout(request.timeout), self._admission.place():
                await self._ask_again_if_refused(request, deadline, feed)
        except TimeoutError as error:
            why = f"no answer from Prometheus within {request.timeout:g} s"
            raise failures.timeout(why) from error

    def redact(self, text: str) -> str:
        """`text` of the backend without what we sent to it in headers, if it echoes that."""
        secrets = [value for _, value in self._settings.header_pairs]
        for secret in (*secrets, self._sent_secret):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "[redacted]")
        return text

    async def close(self) -> None:
        """Closes all connections; the transport may not be used afterwards."""
        if self._session is not None:
            await self._session.close()

    async def _ask_again_if_refused(
        self, request: ApiRequest, deadline: float, feed: Callable[[bytes], None]
    ) -> None:
        parameters = request.parameters
        if request.evaluates:
            parameters = (*parameters, ("timeout", _evaluation_time(deadline - self._clock())))
        form = urlencode(parameters)

        async def send(method: str) -> failures.PrometheusError | None:
            authorization = await self._authorization(renew=False)
            refused = await self._ask_once(method, request, form, authorization, feed)
            if getattr(refused, "status", 0) == 401:
                fresh = await self._authorization(renew=True)
                if fresh != authorization:
                    refused = await self._ask_once(method, request, form, fresh, feed)
            return refused

        method = self._verb.choose(form, may_post=request.may_post)
        refused = await self._verb.settle(method, await send(method), lambda: send("GET"))
        if refused is not None:
            raise refused

    async def _ask_once(
        self,
        method: str,
        request: ApiRequest,
        form: str,
        authorization: str,
        feed: Callable[[bytes], None],
    ) -> failures.PrometheusError | None:
        """Feeds the body, or returns what an answer other than 200 means."""
        try:
            async with await self._send(method, request, form, authorization) as response:
                if response.status == 200:
                    await body.read(response, request.max_bytes, feed)
                    return None
                self._admission.observe(response.status, response.headers.get("Retry-After", ""))
                text = bytearray()
                try:
                    await body.read(response, _ERROR_BODY_BYTES, text.extend)
                except errors.UpstreamError:
                    text.clear()  # too long or garbled: the status alone says enough
                return failures.from_response(response.status, bytes(text))
        except aiohttp.ClientError as error:
            raise failures.from_exception(error) from error

    async def _send(
        self, method: str, request: ApiRequest, form: str, authorization: str
    ) -> aiohttp.ClientResponse:
        self._admission.check_pause()
        headers = self._headers.copy()
        if authorization:
            # A header given by flag wins, as in the predecessor.
            headers.setdefault("Authorization", authorization)
        url = f"{self._base}{request.path}"
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif form:
            url = f"{url}?{form}"
        data = form.encode() if method == "POST" else None
        try:
            return await self._request(method, url, headers, data)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if method == "GET":
                raise
        # Every request is a read, so POST may be repeated as aiohttp repeats GET.
        return await self._request(method, url, headers, data)

    async def _request(
        self, method: str, url: str, headers: CIMultiDict[str], data: bytes | None
    ) -> aiohttp.ClientResponse:
        session = self._session or self._open_session()
        return await session.request(
            method,
            yarl.URL(url, encoded=True),
            data=data,
            headers=headers,
            allow_redirects=False,
            ssl=self._context() if self._secure else True,
        )

    async def _authorization(self, *, renew: bool) -> str:
        try:
            value = await self._credentials.authorization(renew)
        except (OSError, ValueError, errors.MetricsError) as error:
            raise _no_credentials(error) from error
        self._sent_secret = value.partition(" ")[2]
        return value

    def _context(self) -> ssl.SSLContext:
        try:
            return self._credentials.ssl_context()
        except (OSError, ValueError, errors.MetricsError) as error:
            raise _no_credentials(error) from error

    def _open_session(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # places are counted here, so that waiting for one is seen
                ttl_dns_cache=_DNS_CACHE_SECONDS,
                keepalive_timeout=30,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "metrics-apiserver"},
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
            auto_decompress=False,
            trust_env=False,
        )
        return self._session


def _evaluation_time(rest: float) -> str:
    """The `timeout` parameter for a rest in seconds: positive, a Prometheus duration."""
    seconds = rest - _ANSWER_SECONDS if rest > 2 * _ANSWER_SECONDS else rest / 2
    return f"{max(1, int(seconds * 1000))}ms"


def _no_credentials(error: Exception) -> errors.UpstreamError:
    why = "the credentials for Prometheus cannot be read"
    return failures.upstream(why, kind="unreachable", detail=str(error))
