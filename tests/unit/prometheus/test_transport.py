"""Faults on the wire: each ends within its budget, as one error, and leaves the next call whole."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from metrics_apiserver.base import errors
from metrics_apiserver.options.prometheus import PrometheusSettings
from metrics_apiserver.prometheus import credentials
from metrics_apiserver.prometheus.credentials import PrometheusCredentials
from metrics_apiserver.prometheus.transport import ApiRequest, Transport
from tests.fakes import upstream
from tests.fakes.subprocesses import free_port
from tests.fakes.upstream import Mood, Upstream

OK = upstream.answer(b"ok")


@pytest.fixture
async def backend() -> AsyncIterator[Upstream]:
    async with Upstream(mood=OK) as server:
        yield server


@asynccontextmanager
async def transport_to(
    url: str,
    who: PrometheusCredentials | None = None,
    clock: Callable[[], float] = time.monotonic,
    **settings: object,
) -> AsyncIterator[Transport]:
    made = PrometheusSettings(url, **settings)  # type: ignore[arg-type] # any field, by its name
    transport = Transport(made, who or credentials.from_settings(made), clock)
    try:
        yield transport
    finally:
        await transport.close()


def call(
    *parameters: tuple[str, str],
    timeout: float = 5,
    max_bytes: int = 1 << 20,
    evaluates: bool = False,
    may_post: bool = True,
) -> ApiRequest:
    return ApiRequest("/api/v1/x", parameters, timeout, max_bytes, evaluates, may_post)


async def ask(transport: Transport, request: ApiRequest | None = None) -> bytes:
    pieces: list[bytes] = []
    await transport.ask(request or call(), pieces.append)
    return b"".join(pieces)


async def refusal(transport: Transport, request: ApiRequest | None = None) -> errors.UpstreamError:
    with pytest.raises(errors.UpstreamError) as refused:
        await ask(transport, request)
    return refused.value


class TestForm:
    async def test_a_short_question_is_a_get(self, backend: Upstream) -> None:
        async with transport_to(backend.url) as transport:
            assert await ask(transport, call(("match[]", 'a{b="c d&é"}'), ("match[]", "x")))
        (request,) = backend.requests
        assert (request.method, request.path) == ("GET", "/api/v1/x")
        assert request.form == {"match[]": ['a{b="c d&é"}', "x"]}
        assert request.headers["accept-encoding"] == "gzip"
        assert request.headers["accept"] == "application/json"
        assert "authorization" not in request.headers
        assert "cookie" not in request.headers

    async def test_a_long_question_is_a_post(self, backend: Upstream) -> None:
        text = 'up{pod=~"' + "a+b|é" * 500 + '"}'
        async with transport_to(backend.url) as transport:
            await ask(transport, call(("query", text)))
        (request,) = backend.requests
        assert request.method == "POST"
        assert request.form == {"query": [text]}
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"

    @pytest.mark.parametrize(
        ("verb", "may_post", "length", "method"),
        [
            ("GET", True, 9000, "GET"),
            ("POST", True, 1, "POST"),
            ("POST", False, 1, "GET"),
            ("auto", False, 9000, "GET"),
            ("auto", True, 2000, "GET"),
        ],
    )
    async def test_verb(
        self, backend: Upstream, verb: str, may_post: bool, length: int, method: str
    ) -> None:
        async with transport_to(backend.url, verb=verb) as transport:
            await ask(transport, call(("query", "x" * length), may_post=may_post))
        (request,) = backend.requests
        assert request.method == method
        assert request.form == {"query": ["x" * length]}

    @pytest.mark.parametrize("suffix", ["", "/", "//"])
    @pytest.mark.parametrize("prefix", ["", "/prom", "/a/b%2Fc"])
    async def test_path_prefix(self, backend: Upstream, prefix: str, suffix: str) -> None:
        async with transport_to(backend.url + prefix + suffix) as transport:
            await ask(transport)
        assert backend.requests[0].path == f"{prefix}/api/v1/x"

    async def test_headers_by_flag(self, backend: Upstream) -> None:
        headers = ("X-Scope-OrgID=tenant=1", "X-Empty", "X-Two=a", "X-Two=b")
        async with transport_to(backend.url, headers=headers) as transport:
            await ask(transport)
        (request,) = backend.requests
        assert request.headers["x-scope-orgid"] == "tenant=1"
        assert request.headers["x-empty"] == ""
        assert b"X-Two: a\r\nX-Two: b\r\n" in request.raw

    @pytest.mark.parametrize(
        ("budget", "least", "most"),
        [(10, 9300, 9500), (1.2, 500, 700), (1, 400, 500), (0.5, 150, 250)],
    )
    async def test_prometheus_gets_less_than_our_rest(
        self, backend: Upstream, budget: float, least: int, most: int
    ) -> None:
        async with transport_to(backend.url) as transport:
            await ask(transport, call(("query", "x"), timeout=budget, evaluates=True))
        (value,) = backend.requests[0].form["timeout"]
        assert value.endswith("ms")
        assert least <= int(value.removesuffix("ms")) <= most

    async def test_only_an_evaluation_has_a_timeout(self, backend: Upstream) -> None:
        async with transport_to(backend.url) as transport:
            await ask(transport)
        assert backend.requests[0].form == {}

    async def test_connections_are_kept(self, backend: Upstream) -> None:
        async with transport_to(backend.url) as transport:
            for _ in range(5):
                assert await ask(transport) == b"ok"
        assert (backend.hits, backend.connections) == (5, 1)

    async def test_no_proxy_from_the_environment(
        self, backend: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Upstream(mood=OK) as canary:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, canary.url)
            async with transport_to(backend.url) as transport:
                await ask(transport)
            assert canary.hits == 0
        assert backend.hits == 1


class TestUnreachable:
    async def test_refused(self) -> None:
        async with transport_to(f"http://127.0.0.1:{free_port()}") as transport:
            started = time.monotonic()
            refused = await refusal(transport)
            assert time.monotonic() - started < 1
        assert refused.kind == "unreachable"
        assert refused.message == "unable to fetch metrics: no connection to Prometheus"

    async def test_a_name_that_does_not_resolve(self) -> None:
        async with transport_to("http://prometheus.invalid:9090") as transport:
            refused = await refusal(transport)
        assert refused.kind == "unreachable"
        assert "prometheus.invalid" not in refused.message

    async def test_a_black_hole_costs_two_seconds(self) -> None:
        with socket.socket() as hole, socket.socket() as filler:
            hole.bind(("127.0.0.1", 0))
            hole.listen(0)
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
            with socket.socket() as second:
                second.setblocking(False)
                second.connect_ex(hole.getsockname())
                url = f"http://127.0.0.1:{hole.getsockname()[1]}"
                async with transport_to(url) as transport:
                    started = time.monotonic()
                    refused = await refusal(transport)
                    assert 1.9 < time.monotonic() - started < 4
        assert refused.kind == "unreachable"
        assert "in time" in refused.message

    async def test_recovery(self) -> None:
        async with Upstream(mood=OK) as first:
            port = first.port
        async with transport_to(f"http://127.0.0.1:{port}") as transport:
            assert (await refusal(transport)).kind == "unreachable"
            with socket.create_server(("127.0.0.1", port)) as server:
                server.listen()
                server.setblocking(False)
                asking = asyncio.create_task(ask(transport))  # noqa: TID251 - a test's own
                loop = asyncio.get_running_loop()
                connection, _ = await loop.sock_accept(server)
                with connection:
                    await loop.sock_recv(connection, 9999)
                    await loop.sock_sendall(
                        connection, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                    )
                    assert await asking == b"ok"


class TestDeadline:
    async def test_a_hung_backend(self, backend: Upstream) -> None:
        backend.mood = upstream.hang()
        async with transport_to(backend.url) as transport:
            started = time.monotonic()
            with pytest.raises(errors.UpstreamTimeout) as late:
                await ask(transport, call(timeout=0.3))
            assert 0.25 < time.monotonic() - started < 2
            backend.mood = OK
            assert await ask(transport) == b"ok"
        assert late.value.message == (
            "unable to fetch metrics: no answer from Prometheus within 0.3 s"
        )
        assert backend.connections == 2

    async def test_a_dripping_backend(self, backend: Upstream) -> None:
        backend.mood = upstream.drip(OK)
        async with transport_to(backend.url) as transport:
            with pytest.raises(errors.UpstreamTimeout):
                await ask(transport, call(timeout=0.3))

    async def test_a_slow_one_within_the_budget(self, backend: Upstream) -> None:
        backend.mood = upstream.slow(0.2, OK)
        async with transport_to(backend.url) as transport:
            assert await ask(transport) == b"ok"

    async def test_the_callers_own_limit_is_not_ours(self, backend: Upstream) -> None:
        backend.mood = upstream.hang()
        async with transport_to(backend.url) as transport:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await ask(transport)


class TestPlaces:
    async def test_calls_in_flight_are_limited_and_places_are_given_back(
        self, backend: Upstream
    ) -> None:
        flying = most = 0

        async def mood(exchange: upstream.Exchange) -> bool:
            nonlocal flying, most
            flying += 1
            most = max(most, flying)
            await asyncio.sleep(0.02)
            flying -= 1
            return await OK(exchange)

        backend.mood = mood
        async with (
            transport_to(backend.url, max_concurrent=3) as transport,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(12):
                group.create_task(ask(transport))
        assert most == 3
        assert backend.hits == 12

    async def test_a_full_queue_refuses_at_once(self, backend: Upstream) -> None:
        backend.mood = upstream.hang()
        async with transport_to(backend.url, max_concurrent=2, max_waiting=3) as transport:

            async def outcome() -> str:
                try:
                    await ask(transport, call(timeout=0.5))
                except errors.UpstreamError as refused:
                    return refused.kind
                except errors.UpstreamTimeout:
                    return "timeout"
                return "ok"

            async with asyncio.TaskGroup() as group:
                callers = [group.create_task(outcome()) for _ in range(9)]
            outcomes = [caller.result() for caller in callers]
            assert outcomes == ["timeout"] * 5 + ["overload"] * 4
            assert backend.hits <= 5
            backend.mood = OK
            assert await ask(transport) == b"ok"

    async def test_a_hung_query_leaves_places_for_the_others(self, backend: Upstream) -> None:
        backend.script = [upstream.hang()]
        async with (
            transport_to(backend.url, max_concurrent=2) as transport,
            asyncio.TaskGroup() as group,
        ):
            hung = group.create_task(ask(transport))
            await asyncio.sleep(0.05)
            for _ in range(10):
                assert await ask(transport) == b"ok"
            hung.cancel()


class TestRetry:
    @pytest.mark.parametrize("verb", ["GET", "POST"])
    async def test_a_reset_is_tried_once_more(self, backend: Upstream, verb: str) -> None:
        backend.script = [upstream.reset()]
        async with transport_to(backend.url, verb=verb) as transport:
            assert await ask(transport, call(("query", "x"))) == b"ok"
        assert [request.form for request in backend.requests] == [{"query": ["x"]}] * 2

    @pytest.mark.parametrize("verb", ["GET", "POST"])
    async def test_a_kept_connection_that_died_is_tried_once_more(
        self, backend: Upstream, verb: str
    ) -> None:
        backend.script = [OK, upstream.raw(b"")]
        async with transport_to(backend.url, verb=verb) as transport:
            await ask(transport)
            assert await ask(transport) == b"ok"
        assert backend.hits == 3

    @pytest.mark.parametrize("verb", ["GET", "POST"])
    async def test_not_twice(self, backend: Upstream, verb: str) -> None:
        backend.mood = upstream.reset()
        async with transport_to(backend.url, verb=verb) as transport:
            refused = await refusal(transport)
        assert refused.kind == "unreachable"
        assert refused.message.endswith("the connection to Prometheus broke")
        assert backend.hits == 2

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422, 429, 500, 502, 503])
    async def test_an_answer_is_never_tried_again(self, backend: Upstream, status: int) -> None:
        backend.mood = upstream.html(status)
        async with transport_to(backend.url) as transport:
            refused = await refusal(transport)
        assert (refused.status, backend.hits) == (status, 1)
        assert "html" not in refused.message

    async def test_an_answer_that_began_is_not_tried_again(self, backend: Upstream) -> None:
        backend.mood = upstream.truncate(-1, OK)
        async with transport_to(backend.url) as transport:
            refused = await refusal(transport)
        assert refused.message.endswith("the answer of Prometheus broke off")
        assert backend.hits == 1


class TestAnswers:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("verb", ["GET", "POST"])
    async def test_redirects_are_never_followed(
        self, backend: Upstream, status: int, verb: str
    ) -> None:
        async with Upstream(mood=OK) as canary:
            location = f"{canary.url}/api/v1/x"
            backend.mood = upstream.redirect(location, status)
            headers = ("X-Scope-OrgID=secret", "Authorization=Bearer secret")
            async with transport_to(backend.url, verb=verb, headers=headers) as transport:
                refused = await refusal(transport)
            assert canary.connections == 0
        assert (refused.kind, refused.status) == ("http", status)
        assert "redirect" in refused.message
        assert location not in refused.message

    @pytest.mark.parametrize(
        ("mood", "kind"),
        [
            pytest.param(
                upstream.answer(b"half", headers={"Content-Length": "99"}),
                "timeout",
                id="promised more and waits",
            ),
            pytest.param(
                upstream.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"),
                "unreachable",
                id="promised more and closed",
            ),
            pytest.param(
                upstream.raw(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nxyz\r\n"
                ),
                "protocol",
                id="chunk garbage",
            ),
            pytest.param(
                upstream.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"),
                "unreachable",
                id="no last chunk",
            ),
            pytest.param(
                upstream.raw(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
                "protocol",
                id="length is no number",
            ),
            pytest.param(upstream.raw(b"garbage\r\n\r\n"), "protocol", id="not HTTP"),
            pytest.param(
                upstream.raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
                "protocol",
                id="long header",
            ),
            pytest.param(upstream.answer(b"x" * (1 << 21)), "too_large", id="long"),
        ],
    )
    async def test_broken_answers(self, backend: Upstream, mood: Mood, kind: str) -> None:
        backend.script = [mood]
        async with transport_to(backend.url) as transport:
            if kind == "timeout":
                with pytest.raises(errors.UpstreamTimeout):
                    await ask(transport, call(timeout=0.3))
            else:
                assert (await refusal(transport)).kind == kind
            assert await ask(transport) == b"ok"
        assert backend.connections == 2, "the broken connection was used again"

    @pytest.mark.parametrize(
        ("mood", "kind"),
        [
            pytest.param(upstream.gzipped(b"ok", cut=1), "protocol", id="cut gzip"),
            pytest.param(upstream.gzip_bomb(8), "too_large", id="bomb"),
        ],
    )
    async def test_broken_encodings(self, backend: Upstream, mood: Mood, kind: str) -> None:
        backend.script = [mood]
        async with transport_to(backend.url) as transport:
            assert (await refusal(transport)).kind == kind
            assert await ask(transport) == b"ok"

    async def test_bytes_beyond_the_promised_length_are_no_answer(self, backend: Upstream) -> None:
        forged = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
        backend.script = [upstream.answer(b"ok" + forged, headers={"Content-Length": "2"})]
        async with transport_to(backend.url) as transport:
            assert await ask(transport) == b"ok"
            assert await ask(transport) == b"ok"

    async def test_gzip(self, backend: Upstream) -> None:
        backend.mood = upstream.gzipped(b"ok")
        async with transport_to(backend.url) as transport:
            assert await ask(transport) == b"ok"

    async def test_what_the_reader_raises_ends_the_call(self, backend: Upstream) -> None:
        def refuse(piece: bytes) -> None:
            raise LookupError(piece)

        async with transport_to(backend.url, max_concurrent=1) as transport:
            with pytest.raises(LookupError):
                await transport.ask(call(), refuse)
            assert await ask(transport) == b"ok"

    async def test_an_endless_error_page_keeps_its_status(self, backend: Upstream) -> None:
        backend.mood = upstream.answer(b"x" * (1 << 22), 502)
        async with transport_to(backend.url) as transport:
            refused = await refusal(transport)
        assert (refused.status, refused.detail) == (502, "")

    @pytest.mark.parametrize(
        ("error_type", "status", "why"),
        [
            ("bad_data", 400, "Prometheus refused the query (400 bad_data)"),
            ("execution", 422, "Prometheus refused the query (422 execution)"),
        ],
    )
    async def test_errors_of_the_api(
        self, backend: Upstream, error_type: str, status: int, why: str
    ) -> None:
        backend.mood = upstream.error(status, error_type, "its own words")
        async with transport_to(backend.url) as transport:
            refused = await refusal(transport)
        assert refused.message == f"unable to fetch metrics: {why}"
        assert refused.detail == "its own words"

    async def test_a_time_limit_of_prometheus(self, backend: Upstream) -> None:
        backend.mood = upstream.error(503, "timeout", "query timed out")
        async with transport_to(backend.url) as transport:
            with pytest.raises(errors.UpstreamTimeout):
                await ask(transport)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TestRetryAfter:
    @pytest.mark.parametrize("status", [429, 503])
    async def test_a_pause_is_kept(self, backend: Upstream, status: int) -> None:
        clock = Clock()
        backend.script = [upstream.answer(b"", status, {"Retry-After": "7"})]
        async with transport_to(backend.url, clock=clock) as transport:
            assert (await refusal(transport)).status == status
            clock.now += 6.9
            refused = await refusal(transport)
            assert refused.kind == "overload"
            assert "pause" in refused.message
            assert backend.hits == 1
            clock.now += 0.2
            assert await ask(transport) == b"ok"


def bearer(*tokens: str) -> tuple[PrometheusCredentials, list[bool]]:
    """Gives the first token until a fresh one is asked for; the last one stays."""
    left = list(tokens)
    request: list[bool] = []

    async def authorization(renew: bool) -> str:
        request.append(renew)
        if renew and len(left) > 1:
            left.pop(0)
        return f"Bearer {left[0]}"

    return PrometheusCredentials(authorization, ssl.create_default_context), request


class TestCredentials:
    async def test_a_refused_token_is_renewed_once(self, backend: Upstream) -> None:
        who, request = bearer("old", "new")
        backend.script = [upstream.answer(b"", 401)]
        async with transport_to(backend.url, who) as transport:
            assert await ask(transport) == b"ok"
        sent = [request.headers["authorization"] for request in backend.requests]
        assert sent == ["Bearer old", "Bearer new"]
        assert request == [False, True]

    async def test_not_twice(self, backend: Upstream) -> None:
        who, _ = bearer("old", "new", "newest")
        backend.mood = upstream.answer(b"", 401)
        async with transport_to(backend.url, who) as transport:
            refused = await refusal(transport)
        assert (refused.status, backend.hits) == (401, 2)

    async def test_the_same_token_is_not_sent_again(self, backend: Upstream) -> None:
        who, _ = bearer("only")
        backend.mood = upstream.answer(b"", 401)
        async with transport_to(backend.url, who) as transport:
            refused = await refusal(transport)
        assert (refused.status, backend.hits) == (401, 1)

    async def test_a_forbidden_query_asks_for_no_token(self, backend: Upstream) -> None:
        who, request = bearer("old", "new")
        backend.mood = upstream.answer(b"", 403)
        async with transport_to(backend.url, who) as transport:
            await refusal(transport)
        assert request == [False]

    async def test_a_token_file_is_read_again_at_401(
        self, backend: Upstream, tmp_path: Path
    ) -> None:
        path = tmp_path / "token"
        path.write_text("old")

        async def rotate(exchange: upstream.Exchange) -> bool:
            path.write_text("new")
            return await upstream.answer(b"", 401)(exchange)

        backend.script = [rotate]
        async with transport_to(backend.url, token_file=str(path)) as transport:
            assert await ask(transport) == b"ok"
        assert backend.requests[1].headers["authorization"] == "Bearer new"

    async def test_a_header_by_flag_wins(self, backend: Upstream) -> None:
        who, _ = bearer("file")
        headers = ("authorization=Basic flag",)
        async with transport_to(backend.url, who, headers=headers) as transport:
            await ask(transport)
        assert backend.requests[0].headers["authorization"] == "Basic flag"

    @pytest.mark.parametrize(
        "error", [OSError("gone"), ValueError("odd"), errors.Unavailable("no kubeconfig")]
    )
    async def test_credentials_that_cannot_be_had(
        self, backend: Upstream, error: Exception
    ) -> None:
        async def fails(renew: bool) -> str:
            raise error

        async with transport_to(
            backend.url, PrometheusCredentials(fails, ssl.create_default_context)
        ) as transport:
            refused = await refusal(transport)
        assert refused.message.endswith("the credentials for Prometheus cannot be read")
        assert refused.detail == str(error)
        assert backend.hits == 0


def server_context(ca: trustme.CA, *names: str, ask_client: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(*names).configure_cert(context)
    if ask_client:
        ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class TestTLS:
    @pytest.fixture
    def ca_file(self, ca: trustme.CA, tmp_path: Path) -> str:
        path = tmp_path / "ca.crt"
        ca.cert_pem.write_to_path(path)
        return str(path)

    async def test_a_trusted_server(self, ca: trustme.CA, ca_file: str) -> None:
        async with (
            Upstream(mood=OK, tls=server_context(ca, "localhost")) as backend,
            transport_to(backend.url, ca_file=ca_file) as transport,
        ):
            assert await ask(transport) == b"ok"
            assert await ask(transport) == b"ok"
        assert backend.connections == 1

    @pytest.mark.parametrize("name", ["localhost", "elsewhere.example"])
    async def test_other_servers_get_nothing(self, ca: trustme.CA, ca_file: str, name: str) -> None:
        signer = ca if name != "localhost" else trustme.CA()
        async with (
            Upstream(mood=OK, tls=server_context(signer, name)) as backend,
            transport_to(backend.url, ca_file=ca_file) as transport,
        ):
            refused = await refusal(transport)
        assert refused.message.endswith("the certificate of Prometheus is not trusted")
        assert (refused.kind, backend.hits) == ("unreachable", 0)

    async def test_plain_http_on_a_tls_port(self, ca: trustme.CA) -> None:
        async with (
            Upstream(mood=OK, tls=server_context(ca, "localhost")) as backend,
            transport_to(backend.url.replace("https:", "http:")) as transport,
        ):
            assert (await refusal(transport)).kind == "unreachable"

    async def test_a_server_that_speaks_no_tls(self, ca_file: str) -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, transport_to(f"https://localhost:{port}", ca_file=ca_file) as transport:
            refused = await refusal(transport)
        assert refused.message.endswith("the TLS handshake with Prometheus failed")

    async def test_a_client_certificate_is_shown_and_rotated(
        self, ca: trustme.CA, ca_file: str, tmp_path: Path
    ) -> None:
        cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"

        def issue(name: str) -> None:
            leaf = ca.issue_cert("client.example", common_name=name)
            leaf.cert_chain_pems[0].write_to_path(cert)
            leaf.private_key_pem.write_to_path(key)

        issue("first")
        async with (
            Upstream(mood=OK, tls=server_context(ca, "localhost", ask_client=True)) as backend,
            transport_to(
                backend.url, ca_file=ca_file, client_cert_file=str(cert), client_key_file=str(key)
            ) as transport,
        ):
            await ask(transport)
            issue("second")
            await ask(transport)
        shown = [str(request.peer_certificate) for request in backend.requests]
        assert "first" in shown[0]
        assert "second" in shown[1]

    async def test_without_one_the_server_hangs_up(self, ca: trustme.CA, ca_file: str) -> None:
        async with (
            Upstream(mood=OK, tls=server_context(ca, "localhost", ask_client=True)) as backend,
            transport_to(backend.url, ca_file=ca_file) as transport,
        ):
            assert (await refusal(transport)).kind == "unreachable"
        assert backend.hits == 0

    async def test_a_context_that_cannot_be_made(self) -> None:
        async def nobody(renew: bool) -> str:
            return ""

        def fails() -> ssl.SSLContext:
            raise ssl.SSLError("bad pair")

        async with transport_to(
            "https://localhost:1", PrometheusCredentials(nobody, fails)
        ) as transport:
            refused = await refusal(transport)
        assert refused.message.endswith("the credentials for Prometheus cannot be read")


async def test_closing_an_unused_transport() -> None:
    async with transport_to("http://localhost:1"):
        pass


def test_it_may_be_made_before_a_loop_runs() -> None:
    made = PrometheusSettings("http://localhost:1")
    transport = Transport(made, credentials.from_settings(made))
    asyncio.run(transport.close())
