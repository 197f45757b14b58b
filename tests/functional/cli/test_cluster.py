"""Requests by the official client over real TLS: credentials, limits, and names of failures."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from metrics_apiserver.base import errors
from metrics_apiserver.cli.cluster import Cluster
from metrics_apiserver.kube.wire import KubeRequest, KubeResponse
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubewire import Fault

# The official client's loader calls what newer Pythons deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes")

PATH = "/api/v1/pods"


@pytest.fixture
async def api() -> AsyncIterator[FakeKubeAPI]:
    async with FakeKubeAPI() as server:
        yield server


class Kubeconfig:
    """Writes kubeconfigs for the fake."""

    def __init__(self, api: FakeKubeAPI, directory: Path) -> None:
        self.directory = directory
        self._api = api

    def cluster(self, user: dict[str, Any] | None = None, **cluster: Any) -> Cluster:
        path = self.directory / "kubeconfig"
        path.write_bytes(self._api.kubeconfig(user or {}, **cluster))
        return Cluster(str(path))


@pytest.fixture
def kubeconfig(api: FakeKubeAPI, tmp_path: Path) -> Kubeconfig:
    return Kubeconfig(api, tmp_path)


async def get(cluster: Cluster, timeout: float = 5.0, max_bytes: int | None = None) -> KubeResponse:
    return await cluster.request(KubeRequest("GET", PATH), timeout=timeout, max_bytes=max_bytes)


async def failure(cluster: Cluster, **options: Any) -> errors.KubeError:
    with pytest.raises(errors.KubeError) as caught:
        await get(cluster, **options)
    assert "SECRET" not in f"{caught.value} {caught.value.detail}"
    return caught.value


async def test_a_request(api: FakeKubeAPI, kubeconfig: Kubeconfig) -> None:
    async with kubeconfig.cluster({"token": "SECRET"}) as cluster:
        call = KubeRequest("GET", PATH, {"labelSelector": "a in (b,c)"})
        assert (await cluster.request(call)).status == 200
        put = KubeRequest(
            "PUT", "/api/v1/namespaces/default/secrets/s", body=b'{"a": ["\xc3\xbc"]}'
        )
        await cluster.request(put)
    read, written = api.requests
    assert read.query == {"labelSelector": "a in (b,c)"}
    assert read.authorization == "Bearer SECRET"
    assert read.accept == "application/json"
    assert (written.method, written.path) == ("PUT", put.path)


async def test_get_json(api: FakeKubeAPI, kubeconfig: Kubeconfig) -> None:
    async with kubeconfig.cluster() as cluster:
        assert (await cluster.get_json(PATH))["kind"] == "List"
        with pytest.raises(errors.KubeError, match="GET /api/v1/nothing with 404") as caught:
            await cluster.get_json("/api/v1/nothing")
        assert (caught.value.kind, caught.value.status) == ("http", 404)
        api.fail(PATH, Fault("raw", body=b"[]"))
        with pytest.raises(errors.KubeError, match="cannot be used"):
            await cluster.get_json(PATH)


async def test_large_answers_are_refused(api: FakeKubeAPI, kubeconfig: Kubeconfig) -> None:
    async with kubeconfig.cluster() as cluster:
        for kind in ("raw", "chunked"):
            api.fail(PATH, Fault(kind, body=b"x" * 101))
            assert (await failure(cluster, max_bytes=100)).kind == "too_large"


async def test_each_failure_has_its_kind(api: FakeKubeAPI, kubeconfig: Kubeconfig) -> None:
    async with kubeconfig.cluster({"token": "SECRET"}) as cluster:
        api.fail(PATH, Fault("hang"))
        assert (await failure(cluster, timeout=0.2)).kind == "timeout"
        api.fail(PATH, Fault("reset", after=10))
        assert (await failure(cluster)).kind == "reset"
        await api.stop()
        assert (await failure(cluster)).kind == "unreachable"
        await api.start()
        assert (await get(cluster)).status == 200


async def test_server_name_and_authority(
    api: FakeKubeAPI, kubeconfig: Kubeconfig, tmp_path: Path
) -> None:
    stranger = tmp_path / "other.crt"
    trustme.CA().cert_pem.write_to_path(stranger)
    for fields, kind in (
        ({"certificate-authority": "other.crt", "certificate-authority-data": None}, "tls"),
        ({"tls-server-name": "elsewhere"}, "tls"),
        ({"tls-server-name": "localhost"}, ""),
        ({"certificate-authority-data": None, "insecure-skip-tls-verify": True}, ""),
    ):
        async with kubeconfig.cluster(**fields) as cluster:
            if kind:
                assert (await failure(cluster)).kind == kind
            else:
                assert (await get(cluster)).status == 200


async def test_a_broken_authority_is_a_failure(kubeconfig: Kubeconfig) -> None:
    fields: dict[str, Any] = {"certificate-authority-data": "eA=="}
    async with kubeconfig.cluster(**fields) as cluster:
        assert (await failure(cluster)).kind == "tls"


async def test_a_client_certificate(
    api: FakeKubeAPI, kubeconfig: Kubeconfig, tmp_path: Path
) -> None:
    leaf = api.ca.issue_cert("client", organization_name="admins")
    (tmp_path / "tls.crt").write_bytes(leaf.cert_chain_pems[0].bytes())
    (tmp_path / "tls.key").write_bytes(leaf.private_key_pem.bytes())
    user = {"client-certificate": "tls.crt", "client-key": "tls.key"}
    async with kubeconfig.cluster(user) as cluster:
        await get(cluster)
    assert api.requests[0].peer_name == "admins"


async def test_a_password(api: FakeKubeAPI, kubeconfig: Kubeconfig) -> None:
    async with kubeconfig.cluster({"username": "me", "password": "pass"}) as cluster:
        await get(cluster)
    assert api.requests[0].authorization == "Basic bWU6cGFzcw=="


async def test_a_401_is_tried_once_more_with_a_fresh_token(
    api: FakeKubeAPI, kubeconfig: Kubeconfig, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    api.accepted_tokens = {"one"}
    async with kubeconfig.cluster({"tokenFile": "token"}) as cluster:
        assert (await get(cluster)).status == 200
        token.write_text("two\n")
        api.accepted_tokens = {"two"}
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(get(cluster)) for _ in range(5)]
        assert {task.result().status for task in tasks} == {200}
        api.accepted_tokens = set()
        assert (await get(cluster)).status == 401


async def test_a_plugin_runs_again_after_a_401(
    api: FakeKubeAPI, kubeconfig: Kubeconfig, tmp_path: Path
) -> None:
    plugin, token = tmp_path / "plugin", tmp_path / "current"
    credential = '{"apiVersion":"v","kind":"ExecCredential","status":{"token":"%s"}}'
    plugin.write_text(f"#!/bin/sh\nprintf '{credential}' \"$(cat {token})\"\n")
    plugin.chmod(stat.S_IRWXU)
    api.accepted_tokens = {"one"}
    token.write_text("one")
    user = {"exec": {"command": "./plugin", "apiVersion": "v"}}
    async with kubeconfig.cluster(user) as cluster:
        assert (await get(cluster)).status == 200
        api.accepted_tokens = {"two"}
        token.write_text("two")
        assert (await get(cluster)).status == 200


@pytest.mark.parametrize(
    "user",
    [
        {"exec": {"command": "./absent", "apiVersion": "v", "args": ["SECRET"]}},
        {"auth-provider": {"name": "oidc", "config": {"id-token": "SECRET"}}},
        {"auth-provider": {"name": "azure", "config": {"access-token": "SECRET"}}},
    ],
)
async def test_a_plugin_that_gives_nothing(
    api: FakeKubeAPI, kubeconfig: Kubeconfig, user: dict[str, Any]
) -> None:
    async with kubeconfig.cluster(user) as cluster:
        error = await failure(cluster)
    assert error.kind == "credentials"
    assert error.message == "credentials for kube-apiserver cannot be obtained"
    assert api.requests == []


async def test_credentials_are_not_sent_over_plain_http(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        path.write_text(
            '{"current-context": "c", "users": [{"name": "u", "user": {"token": "SECRET"}}],'
            '"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],'
            f'"clusters": [{{"name": "c", "cluster": {{"server": "http://127.0.0.1:{port}"}}}}]}}'
        )
        async with Cluster(str(path)) as cluster:
            assert (await get(cluster)).body == b"{}"
    assert b"SECRET" not in seen[0]


async def test_a_refusal_that_repeats_our_token_keeps_it_out_of_the_error(
    api: FakeKubeAPI, kubeconfig: Kubeconfig
) -> None:
    echo = Fault("status", 500, {}, b'{"message":"Authorization: Bearer SECRET is odd"}')
    api.fail(PATH, echo)
    async with kubeconfig.cluster({"token": "SECRET"}) as cluster:
        assert (await get(cluster)).body == echo.body.replace(b"SECRET", b"[redacted]")


def test_a_kubeconfig_that_cannot_be_used(kubeconfig: Kubeconfig) -> None:
    with pytest.raises(errors.ConfigError, match="impersonation is not supported"):
        kubeconfig.cluster({"as": "somebody"})
    with pytest.raises(errors.ConfigError, match="this is not a pod; give a kubeconfig file"):
        Cluster("")
