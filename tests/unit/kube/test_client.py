"""Requests over real TLS: credentials, limits, deadlines, and what each failure is called."""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import trustme

from metrics_apiserver.base import errors
from metrics_apiserver.kube import config
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.connection import FileOrData, KubeConfig
from metrics_apiserver.kube.wire import KubeRequest, KubeResponse
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubediscovery import PODS
from tests.fakes.kubewire import Fault, status
from tests.fakes.waiting import until

PATH = "/api/v1/pods"


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def api() -> AsyncIterator[FakeKubeAPI]:
    async with FakeKubeAPI() as server:
        yield server


@pytest.fixture
async def client(api: FakeKubeAPI) -> AsyncIterator[KubeClient]:
    async with KubeClient(api.config(token="SECRET")) as made:
        yield made


async def _get(client: KubeClient, path: str = PATH, **options: float) -> KubeResponse:
    return await client.request(KubeRequest("GET", path), timeout=options.get("timeout", 5.0))


async def _failure(client: KubeClient, path: str = PATH, **options: float) -> errors.KubeError:
    with pytest.raises(errors.KubeError) as caught:
        await _get(client, path, **options)
    assert "SECRET" not in f"{caught.value} {caught.value.detail}"
    return caught.value


async def test_request(api: FakeKubeAPI, client: KubeClient) -> None:
    response = await client.request(KubeRequest("GET", PATH, {"labelSelector": "a in (b,c)"}))
    assert response.status == 200
    (seen,) = api.requests
    assert seen.query == {"labelSelector": "a in (b,c)"}
    assert seen.authorization == "Bearer SECRET"
    assert seen.accept == "application/json"


async def test_get_json(api: FakeKubeAPI, client: KubeClient) -> None:
    assert (await client.get_json(PATH))["kind"] == "List"
    with pytest.raises(errors.KubeError, match="GET /api/v1/nothing with 404") as caught:
        await client.get_json("/api/v1/nothing")
    assert (caught.value.kind, caught.value.status) == ("http", 404)
    api.fail(PATH, Fault("raw", body=b"[]"))
    with pytest.raises(errors.KubeError, match="cannot be used"):
        await client.get_json(PATH)


async def test_a_server_with_a_path(api: FakeKubeAPI) -> None:
    base = api.config()
    rancher = KubeConfig("test", f"{base.server}/k8s/clusters/c-1", ca=base.ca)
    async with KubeClient(rancher) as client:
        await _get(client)
    assert api.requests[0].path == "/k8s/clusters/c-1/api/v1/pods"


async def test_redirects_are_not_followed(api: FakeKubeAPI, client: KubeClient) -> None:
    async with FakeKubeAPI() as other:
        api.fail(PATH, Fault("raw", 307, {"Location": f"{other.url}/api"}))
        assert (await _get(client)).status == 307
        assert other.requests == []


async def test_compressed_answers_are_refused(api: FakeKubeAPI, client: KubeClient) -> None:
    api.fail(PATH, Fault("raw", headers={"Content-Encoding": "gzip"}, body=b"x"))
    assert (await _failure(client)).kind == "protocol"


async def test_large_answers_are_refused(api: FakeKubeAPI) -> None:
    async with KubeClient(api.config(), max_body_bytes=100) as client:
        api.fail(PATH, Fault("raw", body=b"x" * 101))
        assert (await _failure(client)).kind == "too_large"
        api.fail(PATH, Fault("chunked", body=b"x" * 101))
        assert (await _failure(client)).kind == "too_large"
        api.fail(PATH, Fault("raw", body=b"x" * 100))
        assert len((await _get(client)).body) == 100


async def test_each_failure_has_its_kind(api: FakeKubeAPI, client: KubeClient) -> None:
    api.fail(PATH, Fault("hang"))
    assert (await _failure(client, timeout=0.2)).kind == "timeout"
    api.fail(PATH, Fault("reset", after=10))
    assert (await _failure(client)).kind == "reset"
    await api.stop()
    failure = await _failure(client)
    assert failure.kind == "unreachable"
    assert "Connect" in failure.detail
    await api.start()
    assert (await _get(client)).status == 200


async def test_an_unknown_authority(api: FakeKubeAPI) -> None:
    stranger = api.config(ca=FileOrData("ca", trustme.CA().cert_pem.bytes()))
    async with KubeClient(stranger) as client:
        assert (await _failure(client)).kind == "tls"


async def test_server_name_and_no_verification(api: FakeKubeAPI) -> None:
    async with KubeClient(api.config(tls_server_name="elsewhere")) as client:
        assert (await _failure(client)).kind == "tls"
    async with KubeClient(api.config(tls_server_name="localhost")) as client:
        assert (await _get(client)).status == 200
    async with KubeClient(api.config(ca=None, insecure_skip_tls_verify=True)) as client:
        assert (await _get(client)).status == 200


async def test_client_certificate(api: FakeKubeAPI, tmp_path: Path) -> None:
    leaf = api.ca.issue_cert("client", organization_name="admins")
    (tmp_path / "tls.crt").write_bytes(leaf.cert_chain_pems[0].bytes())
    (tmp_path / "tls.key").write_bytes(leaf.private_key_pem.bytes())
    (tmp_path / "kubeconfig").write_bytes(
        api.kubeconfig({"client-certificate": "tls.crt", "client-key": "tls.key"})
    )
    async with KubeClient(config.load(str(tmp_path / "kubeconfig"))) as client:
        await _get(client)
    assert api.requests[0].peer_name == "admins"


async def test_a_401_is_tried_once_more_with_a_fresh_token(
    api: FakeKubeAPI, tmp_path: Path
) -> None:
    clock, token = _Clock(), tmp_path / "token"
    token.write_text("one\n")
    api.accepted_tokens = {"one"}
    async with KubeClient(api.config(token_file=token), clock=clock) as client:
        assert (await _get(client)).status == 200
        token.write_text("two\n")
        api.accepted_tokens = {"two"}
        assert (await _get(client)).status == 200
        assert [seen.authorization[7:] for seen in api.requests] == ["one", "one", "two"]
        api.accepted_tokens = set()
        assert (await _get(client)).status == 401


async def test_a_half_written_token_does_no_harm(api: FakeKubeAPI, tmp_path: Path) -> None:
    clock, token = _Clock(), tmp_path / "token"
    token.write_text("whole-token")
    api.accepted_tokens = {"whole-token"}
    async with KubeClient(api.config(token_file=token), clock=clock) as client:
        for content in ("whole-token", "whole", "", " ", "whole\ntoken"):
            token.write_text(content)
            clock.now += 2
            assert (await _get(client)).status == 200


async def test_a_rotated_authority_is_found_at_the_first_failure(
    api: FakeKubeAPI, tmp_path: Path
) -> None:
    clock, ca = _Clock(), tmp_path / "ca.crt"
    ca.write_bytes(api.ca_pem)
    async with KubeClient(api.config(ca=FileOrData("ca", path=ca)), clock=clock) as client:
        assert (await _get(client)).status == 200
        await api.stop()
        api.rotate_ca()
        await api.start()
        ca.write_bytes(api.ca_pem)
        assert (await _get(client)).status == 200


async def test_an_exec_plugin_runs_again_after_a_401(api: FakeKubeAPI, tmp_path: Path) -> None:
    clock, plugin, token = _Clock(), tmp_path / "plugin", tmp_path / "current"
    credential = '{"apiVersion":"v","kind":"ExecCredential","status":{"token":"%s"}}'
    plugin.write_text(f"#!/bin/sh\nprintf '{credential}' \"$(cat {token})\"\n")
    plugin.chmod(stat.S_IRWXU)
    settings = {"exec": {"command": "./plugin", "apiVersion": "v"}}
    (tmp_path / "kubeconfig").write_bytes(api.kubeconfig(settings))
    read = config.load(str(tmp_path / "kubeconfig"))
    api.accepted_tokens = {"one"}
    async with KubeClient(read, clock=clock) as client:
        token.write_text("one")
        assert (await _get(client)).status == 200
        api.accepted_tokens = {"two"}
        token.write_text("two")
        clock.now += 6
        assert (await _get(client)).status == 200
        api.accepted_tokens = set()
        assert (await _get(client)).status == 401


async def test_watch_lines(api: FakeKubeAPI, client: KubeClient) -> None:
    batches = client.watch(
        PATH, query={"watch": "true", "resourceVersion": "1000"}, accept="*/*", timeout=5
    )
    lines: list[bytes] = []
    async with aclosing(batches) as stream:
        assert await anext(stream) == []
        await until(lambda: api.watches(PODS.group_resource))
        api.put(PODS.group_resource, "default", "a")
        api.send(PODS.group_resource, b'"%s"' % (b"x" * 200_000))
        api.end_watches()
        async for batch in stream:
            lines.extend(line for line in batch if line)
    assert b'"name":"a"' in lines[0]
    assert len(lines[1]) == 200_002


async def test_watch_failures(api: FakeKubeAPI, client: KubeClient) -> None:
    async def follow(seconds: float) -> None:
        query = {"watch": "true", "resourceVersion": "1000"}
        stream = client.watch(PATH, query=query, accept="*/*", timeout=seconds)
        async with aclosing(stream) as batches:
            async for _ in batches:
                pass

    for fault, kind in (
        (status(429, retry_after=3), "http"),
        (Fault("reset"), "reset"),
        (Fault("silent"), "timeout"),
        (Fault("event", body=b"x" * (9 << 20)), "protocol"),
    ):
        api.fail(PATH, fault)
        with pytest.raises(errors.KubeError) as caught:
            await follow(1.0)
        assert caught.value.kind == kind
        assert caught.value.retry_after == (3.0 if kind == "http" else None)


async def test_many_at_once(api: FakeKubeAPI, client: KubeClient) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_get(client)) for _ in range(200)]
    assert {task.result().status for task in tasks} == {200}


async def test_tokens_are_not_logged(
    api: FakeKubeAPI, client: KubeClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await _get(client)
    await api.stop()
    await _failure(client)
    assert "SECRET" not in caplog.text


async def test_a_refusal_that_repeats_our_token_keeps_it_out_of_the_error(
    api: FakeKubeAPI, client: KubeClient
) -> None:
    echo = Fault("status", 500, {}, b'{"message":"Authorization: Bearer SECRET is odd"}')
    api.fail(PATH, echo)
    assert (await _get(client)).body == echo.body.replace(b"SECRET", b"[redacted]")
    api.fail(PATH, echo)
    with pytest.raises(errors.KubeError) as caught:
        await client.get_json(PATH)
    assert caught.value.detail == "Authorization: Bearer [redacted] is odd"
    api.fail(PATH, echo)
    stream = client.watch(PATH, query={"watch": "true"}, accept="", timeout=5.0)
    with pytest.raises(errors.KubeError) as caught:
        async with aclosing(stream) as batches:
            await anext(batches)
    assert "SECRET" not in caught.value.detail
