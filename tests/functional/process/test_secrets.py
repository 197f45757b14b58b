"""Rows D1, D2 and D5: nothing secret in a log, an answer or a self-metric, however it came in."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes import kubewire, pki, process, servers, upstream
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.process import ADMIN, PROXY, ServerProcess
from tests.fakes.servers import Client
from tests.fakes.upstream import Exchange, Mood, Upstream

LOAD = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods/*/load"
KUBE_TOKEN = "canary-kube-token-0001"
HEADER = "canary-header-value-0002"
PASSWORD = "canary-password-0003"
GOOD_TOKEN = "canary-good-token-0004"
BAD_TOKEN = "canary-bad-token-0005"
OTHER = pki.server(servers.CA, "localhost")
CANARIES = (
    KUBE_TOKEN,
    HEADER,
    PASSWORD,
    base64.b64encode(f"user:{PASSWORD}".encode()).decode(),
    GOOD_TOKEN,
    BAD_TOKEN,
    # Lines from the middle of private keys.
    servers.SERVER.key_pem.decode().splitlines()[1],
    OTHER.key_pem.decode().splitlines()[1],
)


def echo(status: int) -> Mood:
    """An error page that repeats the request, headers and all."""

    async def mood(exchange: Exchange) -> bool:
        head = exchange.request.raw.decode("latin-1")
        text = json.dumps({"status": "error", "errorType": "execution", "error": head})
        return await upstream.answer(text, status)(exchange)

    return mood


@pytest.fixture
async def server(
    tmp_path: Path, kube: FakeKubeAPI, proxy: Upstream
) -> AsyncIterator[ServerProcess]:
    """Knows every secret and says as much as it ever does."""
    (tmp_path / "user").write_text("user")
    (tmp_path / "password").write_text(PASSWORD)
    kube.users[GOOD_TOKEN] = {"username": "somebody", "groups": ["dev"]}
    flags = [
        *process.flags(tmp_path, kube, proxy.url, token=KUBE_TOKEN),
        f"--prometheus-username-file={tmp_path / 'user'}",
        f"--prometheus-password-file={tmp_path / 'password'}",
        f"--prometheus-header=X-Secret={HEADER}",
        "--prometheus-timeout=2s",
        "--query-freshness=0",
        "--authentication-token-webhook-cache-ttl=0s",
        "--v=10",
        "--logging-format=json",
    ]
    async with ServerProcess(tmp_path, flags) as subject:
        await subject.ready()
        await subject.agrees(LOAD, lambda reply: reply.status == 200, certified=[ADMIN])
        yield subject


def requests() -> list[list[str]]:
    """Target and header lines, with secrets where callers put them, rightly or not."""
    return [
        [LOAD, f"Authorization: Bearer {GOOD_TOKEN}"],
        [LOAD, f"Authorization: Bearer {BAD_TOKEN}"],
        [LOAD, f"authorization: bearer  {BAD_TOKEN}"],
        [LOAD, f"Authorization: Basic {BAD_TOKEN}"],
        [LOAD, f"Authorization: Bearer {BAD_TOKEN}\x01"],
        [LOAD, f"Authorization : Bearer {BAD_TOKEN}"],
        [LOAD, f"Authorization: Bearer {BAD_TOKEN}", "Transfer-Encoding: x", "Content-Length: 3"],
        [LOAD, f"Authorization: Bearer {BAD_TOKEN}\udce9"],
        [LOAD, f"Authorization: {BAD_TOKEN}{'x' * (1 << 20)}"],
        [LOAD, f"Cookie: session={BAD_TOKEN}", "Impersonate-User: root"],
        [f"{LOAD}?access_token={BAD_TOKEN}"],
        [f"{LOAD}?timeout=500ms&token={BAD_TOKEN}"],
        [f"/livez?token={BAD_TOKEN}", f"Authorization: Bearer {BAD_TOKEN}"],
        ["/debug/pprof/heap", f"Authorization: Bearer {GOOD_TOKEN}"],
        ["/readyz/../metrics", f"Authorization: Bearer {GOOD_TOKEN}"],
    ]


async def ask(server: ServerProcess, target: str, *lines: str) -> bytes:
    """Everything that comes back, to the end of the connection."""
    async with server.client() as client:
        head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: x", "Connection: close", *lines])
        return await talk(client, f"{head}\r\n\r\n".encode("utf-8", "surrogateescape"))


async def talk(client: Client, sent: bytes) -> bytes:
    received = b""
    try:
        async with asyncio.timeout(10):
            await client.send(sent)
            while part := await client.reader.read(65536):
                received += part
    except OSError:
        pass  # cut off: what came before counts
    return received


async def test_no_secret_comes_out(
    server: ServerProcess, proxy: Upstream, kube: FakeKubeAPI, tmp_path: Path
) -> None:
    answers = [await ask(server, *request) for request in requests()]
    # The backends fail, and repeat what they were sent.
    for mood in (echo(400), echo(422), echo(401), echo(503), upstream.reset()):
        proxy.mood = mood
        answers.append(await ask(server, LOAD, f"Authorization: Bearer {GOOD_TOKEN}"))
    proxy.mood = upstream.forward()
    for path in ("/apis/authentication.k8s.io", "/apis/authorization.k8s.io", "/api"):
        body = json.dumps({"kind": "Status", "message": f"{KUBE_TOKEN} {GOOD_TOKEN}"}).encode()
        kube.fail(path, kubewire.Fault("status", 400, {}, body), times=1)
        answers.append(await ask(server, LOAD, f"Authorization: Bearer {GOOD_TOKEN}"))
    # Files that cannot be used, and are reported in the log.
    (tmp_path / "serving.key").write_bytes(OTHER.key_pem)
    (tmp_path / "password").write_text(f"{PASSWORD}\x01")
    server.signal(signal.SIGHUP)
    await server.until(lambda: "keeping the last good serving pair" in server.log)
    answers.append(await ask(server, LOAD, f"Authorization: Bearer {GOOD_TOKEN}"))
    answers.append((await server.get("/metrics", certified=[ADMIN])).body)
    log = server.log

    everything = b"\n".join(answers).decode("latin-1") + log
    for canary in CANARIES:
        assert canary not in everything, canary
    assert "PRIVATE KEY" not in everything
    assert all(answers), "every caller has an answer"
    # What comes from us, whatever the caller did, is no traceback and names no software.
    assert "Traceback" not in everything
    assert not any(b"\nServer:" in answer for answer in answers)


async def test_a_log_line_is_one_line_whatever_a_caller_sends(server: ServerProcess) -> None:
    evil = "%0a%1b[2J%0d%0aforged"
    targets = (f"/{evil}", f"{LOAD}{evil}", f"{LOAD}?labelSelector={evil}", f"/livez/{evil}")
    for target in targets:
        reply = await server.get(target, "User-Agent: \x1b[2J", certified=[ADMIN])
        assert reply.status in (400, 404)
    await server.get(LOAD, *process.as_user("a\x1b[31m"), certified=[PROXY])
    for line in server.log.splitlines():
        assert isinstance(json.loads(line), dict)
        assert "\x1b" not in line
        assert not line.startswith("forged")
    # There are no pages for debugging, for nobody.
    for path in ("/debug/pprof/", "/debug", "/configz", "/flagz", "/statusz"):
        assert (await server.get(path, certified=[ADMIN])).status == 404
