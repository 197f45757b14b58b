"""Rows A5 to A7, K6, K7 and T2: authorities, tokens and pairs change while requests go on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from pathlib import Path

from tests.fakes import pki, process, servers
from tests.fakes.kubeapi import CONFIGMAPS, FakeKubeAPI
from tests.fakes.process import ADMIN, PROXY, PROXY_CA, ServerProcess, as_user, items
from tests.fakes.prometheus import Backend
from tests.fakes.servers import Client

LOAD = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods/*/load"
EFFECTIVE_SECONDS = 1.0
SLACK_SECONDS = 2.0  # of a machine that runs other tests beside
ALWAYS = 1_000_000


async def refused(client: Client) -> None:
    """Returns once a live connection of the front proxy is believed no more."""
    deadline = time.monotonic() + EFFECTIVE_SECONDS + SLACK_SECONDS
    while (reply := await client.get(LOAD, *as_user("hpa"))).status == 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert reply.status == 401


async def test_a_withdrawn_front_proxy(server: ServerProcess, kube: FakeKubeAPI) -> None:
    other_ca = pki.authority("front-proxy-ca-2")
    other = pki.client(other_ca, "front-proxy-client")
    async with server.client(PROXY) as live:
        assert (await live.get(LOAD, *as_user("hpa"))).status == 200
        process.trust(kube, process.configuration(proxy=other_ca))
        await refused(live)
    # The new one is let in, on a handshake of its own.
    await server.agrees(
        LOAD, lambda reply: reply.status == 200, *as_user("hpa"), certified=[other], seconds=5.0
    )
    # A certificate that nobody signed whom we know gets no connection, and so no identity.
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        assert (await server.ask(LOAD)).status == 401
    # Nor is it taken from a session of before: none is given out.
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = servers.client_context(other)
        context.maximum_version = version
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
        client = Client(reader, writer)
        assert (await client.get(LOAD, *as_user("hpa"))).status == 200
        session = writer.get_extra_info("ssl_object").session
        assert session is None or not session.has_ticket
        writer.transport.abort()


async def test_edits_that_open_no_door(server: ServerProcess, kube: FakeKubeAPI) -> None:
    good = process.configuration()
    async with server.client(PROXY) as live:
        for broken in (
            {},
            {**good, "requestheader-client-ca-file": "no certificate"},
            {**good, "requestheader-allowed-names": "not a list"},
            {**good, "requestheader-allowed-names": ""},
        ):
            before = server.log.count("delegated authentication: ")
            process.trust(kube, broken)
            await server.until(
                lambda before=before: server.log.count("delegated authentication: ") > before
            )
            assert (await live.get(LOAD, *as_user("hpa"))).status == 200
            evil = pki.client(PROXY_CA, "evil")
            assert (await server.get(LOAD, *as_user("x"), certified=[evil])).status == 401
        kube.delete(CONFIGMAPS, "kube-system", "extension-apiserver-authentication")
        await server.until(lambda: "does not exist" in server.log)
        assert (await live.get(LOAD, *as_user("hpa"))).status == 200
        await server.ready()
        process.trust(kube, {**good, "requestheader-allowed-names": json.dumps(["other"])})
        await refused(live)


async def test_the_server_s_own_token_changes(
    tmp_path: Path, kube: FakeKubeAPI, values: Backend
) -> None:
    flags = process.flags(tmp_path, kube, values.url)
    token = tmp_path / "token"
    token.write_text("token-0")
    (tmp_path / "kubeconfig").write_bytes(kube.kubeconfig({"tokenFile": str(token)}))
    kube.accepted_tokens = {"token-0"}
    no_memory = "--authorization-webhook-cache-authorized-ttl=0s"
    async with ServerProcess(tmp_path, [*flags, no_memory]) as server:
        await server.ready()
        for number in range(1, 4):
            # The file first, as the kubelet does it; the old token ends a little later.
            kube.accepted_tokens = {f"token-{number - 1}", f"token-{number}"}
            token.write_text(f"token-{number}")
            assert (await server.ask(LOAD)).status == 200
            kube.accepted_tokens = {f"token-{number}"}
            for _ in range(5):
                assert (await server.ask(LOAD)).status == 200
        kube.accepted_tokens = {"another"}
        assert (await server.ask(LOAD)).status == 500
        token.write_text("another")
        await server.agrees(
            LOAD, lambda reply: reply.status == 200, *as_user("hpa"), certified=[PROXY]
        )


async def test_serving_pairs_change_under_load(server: ServerProcess, tmp_path: Path) -> None:
    ended = asyncio.Event()
    answers = 0

    async def ask() -> None:
        nonlocal answers
        while not ended.is_set():
            assert items(await server.get(LOAD, certified=[ADMIN])) == {
                "web-0": "36",
                "web-1": "72500m",
            }
            answers += 1

    async def shown() -> bytes | None:
        async with server.client() as client:
            der: bytes | None = client.writer.get_extra_info("ssl_object").getpeercert(True)
            return der

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(ask())
        for number in range(3):
            pair = pki.server(servers.CA, "localhost", "127.0.0.1")
            if number % 2:
                # The other order, and a moment in which the two do not fit.
                (tmp_path / "serving.key").write_bytes(pair.key_pem)
                await asyncio.sleep(0.6)
            process.write_pair(tmp_path, pair)
            deadline = time.monotonic() + EFFECTIVE_SECONDS + SLACK_SECONDS
            while await shown() != pair.der:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
        ended.set()
    assert answers > 20
