"""Rows A1 to A7 and K7 with everything real but the cluster: sockets, contexts, certificates."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from metrics_apiserver.api.authn import Authenticator
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.api.server import Call
from metrics_apiserver.certs import pair_files
from metrics_apiserver.certs.serving import Policy, ServingContext
from metrics_apiserver.kube.requestheader import AuthenticationConfig
from tests.fakes import pki, servers
from tests.fakes.servers import Client, Run, RunningServer

PROXY_CA = pki.authority("front-proxy-ca")
CLIENT_CA = pki.authority("client-ca")
PROXY = pki.client(PROXY_CA, "front-proxy-client")
SPOOF = pki.client(CLIENT_CA, "front-proxy-client", ["dev"])
ADMIN = ("X-Remote-User: admin", "X-Remote-Group: system:masters")
CONFIG = AuthenticationConfig(
    client_ca=CLIENT_CA.pem,
    requestheader_ca=PROXY_CA.pem,
    allowed_names=("front-proxy-client",),
    username_headers=("X-Remote-User",),
    group_headers=("X-Remote-Group",),
    extra_prefixes=("X-Remote-Extra-",),
)


class Environment:
    """A server whose handler says who the caller is."""

    def __init__(self, directory: Path) -> None:
        self.config = CONFIG
        self.now = pki.NOW.timestamp()
        self.where = pair_files.PairFiles(directory / "tls.crt", directory / "tls.key")
        self.where.certificate.write_bytes(servers.SERVER.pem)
        self.where.key.write_bytes(servers.SERVER.key_pem)
        self.serving = ServingContext(
            self.where,
            Policy(),
            lambda: self.config.client_ca + b"\n" + self.config.requestheader_ca,
            lambda: self.now,
        )
        self.authenticator = Authenticator(lambda: self.config, None, wall_clock=lambda: self.now)

    async def answer(self, call: Call) -> Encoded:
        user = await self.authenticator.authenticate(call.peer, call.headers)
        return Encoded(orjson.dumps([user.name, *user.groups]))

    def opened(self) -> contextlib.AbstractAsyncContextManager[RunningServer]:
        return servers.listening(self.answer, tls=lambda: self.serving.context)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


async def who(client: Client, *headers: str) -> list[str] | int:
    """Name and groups of the caller, or the code of the refusal."""
    reply = await client.get("/", *headers)
    if reply.status != 200:
        return reply.status
    found: list[str] = orjson.loads(reply.body)
    return found


def test_who_is_who(environment: Environment, run: Run) -> None:
    evil = pki.client(PROXY_CA, "evil")

    async def scenario() -> None:
        async with environment.opened() as subject:
            async with subject.client() as nobody:
                anonymous = ["system:anonymous", "system:unauthenticated"]
                assert await who(nobody, *ADMIN) == anonymous
                assert await who(nobody, "Authorization: Bearer x") == 401
            async with subject.client(PROXY) as proxy:
                assert await who(proxy, *ADMIN) == [
                    "admin",
                    "system:masters",
                    "system:authenticated",
                ]
                # One connection carries many users.
                assert await who(proxy, "X-Remote-User: eve") == ["eve", "system:authenticated"]
                assert await who(proxy) == 401
                assert await who(proxy, "X-Remote-User: \udce9") == 401
                assert await who(proxy, "Impersonate-User: x", *ADMIN) == 403
            async with subject.client(SPOOF) as spoof:
                expected = ["front-proxy-client", "dev", "system:authenticated"]
                assert await who(spoof, *ADMIN) == expected
            async with subject.client(evil) as other:
                assert await who(other, *ADMIN) == 401

    run(scenario())


def test_a_withdrawn_authority_counts_on_live_connections_and_new_ones(
    environment: Environment, run: Run
) -> None:
    async def scenario() -> None:
        async with environment.opened() as subject, subject.client(PROXY) as live:
            assert isinstance(await who(live, *ADMIN), list)
            other = pki.authority("front-proxy-ca")
            environment.config = replace(CONFIG, requestheader_ca=other.pem, generation=2)
            assert await who(live, *ADMIN) == 401
            assert environment.serving.reload_once()
            with pytest.raises((OSError, EOFError)):
                async with subject.client(PROXY) as refused:
                    await who(refused, *ADMIN)
            renewed = pki.client(other, "front-proxy-client")
            async with subject.client(renewed) as proxy:
                assert isinstance(await who(proxy, *ADMIN), list)

    run(scenario())


def test_expiry_counts_on_a_live_connection(environment: Environment, run: Run) -> None:
    async def scenario() -> None:
        async with environment.opened() as subject, subject.client(PROXY) as live:
            assert isinstance(await who(live, *ADMIN), list)
            environment.now += 31 * 86400
            assert await who(live, *ADMIN) == 401

    run(scenario())


def test_rotation_of_the_serving_pair_fails_no_request(environment: Environment, run: Run) -> None:
    """Row T2: connections that live keep their pair, new ones get the new one."""

    async def scenario() -> None:
        async with environment.opened() as subject, subject.client(PROXY) as live:
            for _ in range(10):
                new = pki.server(servers.CA, "localhost", "127.0.0.1")
                environment.where.certificate.write_bytes(new.pem)
                assert not environment.serving.reload_once()
                async with subject.client(PROXY) as client:
                    assert isinstance(await who(client, *ADMIN), list)
                environment.where.key.write_bytes(new.key_pem)
                assert environment.serving.reload_once()
                async with subject.client(PROXY) as client:
                    tls = client.writer.get_extra_info("ssl_object")
                    assert tls.getpeercert(True) == new.der
                    assert isinstance(await who(client, *ADMIN), list)
                assert isinstance(await who(live, *ADMIN), list)

    run(scenario())
