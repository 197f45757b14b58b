"""Rows K1, K5 and what is refused at once: how the process starts."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest

from tests.fakes import kubewire, process
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.process import ADMIN, PROXY, ServerProcess, as_user, items
from tests.fakes.prometheus import Backend

LOAD = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods/*/load"
DISCOVERY = "/apis/custom.metrics.k8s.io/v1beta1"
BACK_SECONDS = 2.0
SLACK_SECONDS = 2.0  # of a machine that runs other tests beside


async def test_a_ready_server_has_everything(server: ServerProcess) -> None:
    assert items(await server.ask(LOAD)) == {"web-0": "36", "web-1": "72500m"}
    metrics = await server.metrics()
    assert metrics['metrics_apiserver_watched_objects{resource="pods"}'] == 102
    assert metrics['metrics_apiserver_authentications_total{method="front-proxy"}'] == 1
    assert metrics['metrics_apiserver_authentications_total{method="anonymous"}'] >= 1
    assert metrics["metrics_apiserver_config_last_reload_successful"] == 1


async def test_without_kube_apiserver_it_waits_alive(
    tmp_path: Path, kube: FakeKubeAPI, values: Backend
) -> None:
    await kube.stop()
    async with ServerProcess(tmp_path, process.flags(tmp_path, kube, values.url)) as server:
        await server.answers("/livez", 200)
        assert (await server.get("/readyz")).status == 500
        callers = (
            await server.ask(DISCOVERY),
            await server.get(DISCOVERY, certified=[ADMIN]),
            await server.get(DISCOVERY, "Authorization: Bearer token"),
            await server.get(LOAD),
        )
        # Nobody is believed and nobody's permission is known.
        assert {reply.status for reply in callers} <= {401, 500}
        await kube.start()
        back = time.monotonic()
        await server.ready()
        assert time.monotonic() - back < BACK_SECONDS + SLACK_SECONDS
        assert items(await server.ask(LOAD)) == {"web-0": "36", "web-1": "72500m"}


async def test_a_connection_from_before_the_authorities_were_known_is_closed(
    tmp_path: Path, kube: FakeKubeAPI, values: Backend
) -> None:
    await kube.stop()
    async with ServerProcess(tmp_path, process.flags(tmp_path, kube, values.url)) as server:
        await server.answers("/livez", 200)
        async with server.client(PROXY) as early:
            assert (await early.get(LOAD, *as_user("hpa"))).status == 500
            await kube.start()
            # Kept open it would stay a stranger's for ever.
            async with asyncio.timeout(process.START_SECONDS):
                assert await early.is_closed()
        await server.ready()
        assert (await server.ask(LOAD)).status == 200


async def test_kube_apiserver_that_refuses_is_not_hammered(
    tmp_path: Path, kube: FakeKubeAPI, values: Backend
) -> None:
    kube.fail("/", kubewire.status(503), times=1_000_000)
    async with ServerProcess(tmp_path, process.flags(tmp_path, kube, values.url)) as server:
        await server.answers("/livez", 200)
        await server.until(lambda: len(kube.requests) >= 10)
        before = len(kube.requests)
        await asyncio.sleep(2.0)
        # Three things are followed, each with its own pause; at most five tries a second in all.
        assert len(kube.requests) - before <= 10
        kube.heal()
        await server.ready()


async def test_missing_permissions_are_named_and_mended_without_a_restart(
    tmp_path: Path, kube: FakeKubeAPI, values: Backend
) -> None:
    configmap = "/api/v1/namespaces/kube-system/configmaps"
    for path in ("/api/v1/pods", configmap):
        kube.fail(path, kubewire.status(403, "Forbidden"), times=1_000_000)
    async with ServerProcess(tmp_path, process.flags(tmp_path, kube, values.url)) as server:
        await server.answers("/livez", 200)
        await server.until(lambda: "on pods in its ClusterRole" in server.log)
        await server.until(
            lambda: "bind the Role extension-apiserver-authentication-reader" in server.log
        )
        listed = (await server.answers("/readyz", 500)).body.decode()
        assert "[-]informer-sync failed" in listed
        assert "[-]authentication-configuration failed" in listed
        assert "[+]discovery ok" in listed
        # The reasons are for the log: anybody may read the list.
        assert "ClusterRole" not in listed
        kube.heal()
        await server.ready()
        await server.until(lambda: server.log.count("condition resolved") >= 2)


async def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules:\n- seriesQuery: '{'\n  unknown: 1\n")
    (tmp_path / "kubeconfig").write_text("current-context: gone\n")
    (tmp_path / "other").write_text("[")
    (tmp_path / "ca.crt").write_text("no certificate")
    (tmp_path / "serving.key").write_text("no key")
    command = [
        f"--config={tmp_path / 'rules.yaml'}",
        f"--lister-kubeconfig={tmp_path / 'kubeconfig'}",
        f"--authentication-kubeconfig={tmp_path / 'kubeconfig'}",
        f"--authorization-kubeconfig={tmp_path / 'other'}",
        f"--client-ca-file={tmp_path / 'ca.crt'}",
        f"--requestheader-client-ca-file={tmp_path / 'nowhere.crt'}",
        f"--tls-cert-file={tmp_path / 'ca.crt'}",
        f"--tls-private-key-file={tmp_path / 'serving.key'}",
        f"--prometheus-token-file={tmp_path / 'nowhere'}",
        "--authorization-always-allow-paths=/a*b",
    ]
    async with ServerProcess(tmp_path, command) as server:
        assert await server.exit_code() == 2
        log = server.log
    assert f"{tmp_path / 'rules.yaml'}:3: rules[0]: unknown key unknown" in log
    assert f"{tmp_path / 'rules.yaml'}:2: rules[0].seriesQuery" in log
    assert log.count(f"{tmp_path / 'kubeconfig'}: contexts: ") == 1  # two roles, one fault
    for fault in (
        f"{tmp_path / 'other'}",
        "--client-ca-file: cannot be used",
        "--requestheader-client-ca-file: cannot be used",
        "--tls-cert-file: the serving pair cannot be used",
        "cannot be used to reach Prometheus",
        "--authorization-always-allow-paths: only a trailing *",
    ):
        assert fault in log, fault
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("flag", "fault"),
    [
        ("--secure-prt=1", "did you mean --secure-port?"),
        ("--metrics-relist-interval=1ms", "--metrics-relist-interval: must be at least 100ms"),
    ],
)
async def test_a_wrong_flag_ends_it_with_2(tmp_path: Path, flag: str, fault: str) -> None:
    async with ServerProcess(tmp_path, ["--config=rules.yaml", flag]) as server:
        assert await server.exit_code() == 2
        assert fault in server.log
        assert "Traceback" not in server.log


async def test_a_port_that_is_taken_ends_it_with_1(
    tmp_path: Path, kube: FakeKubeAPI, values: Backend
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        flags = process.flags(tmp_path, kube, values.url)
        taken = f"--secure-port={holder.getsockname()[1]}"
        async with ServerProcess(tmp_path, [*flags, taken]) as server:
            assert await server.exit_code() == 1
            assert "cannot listen" in server.log
            assert "Address already in use" in server.log
