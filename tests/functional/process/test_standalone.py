"""`serve --standalone`: one command beside a Prometheus, asked by kubectl and by itself."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes import process, servers, upstream
from tests.fakes.process import ServerProcess
from tests.fakes.prometheus import Backend
from tests.fakes.upstream import Upstream

GROUP = "/apis/custom.metrics.k8s.io/v1beta1"


@pytest.fixture
async def server(tmp_path: Path, values: Backend) -> AsyncIterator[ServerProcess]:
    (tmp_path / "rules.yaml").write_text(process.RULES)
    flags = [
        "--standalone",
        f"--config={tmp_path / 'rules.yaml'}",
        f"--prometheus-url={values.url}",
        f"--write-kubeconfig={tmp_path / 'kubeconfig'}",
        "--shutdown-drain=0s",
    ]
    async with ServerProcess(tmp_path, flags) as subject:
        # Only its own authority signed what it shows: asking without that fails the handshake.
        await subject.until(lambda: "serving address=" in subject.log)
        yield subject


async def kubectl(directory: Path, *words: str) -> tuple[int, bytes]:
    """Exit code and output of kubectl with the kubeconfig that the server wrote."""
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not on PATH")
    running = await asyncio.create_subprocess_exec(
        program,
        f"--kubeconfig={directory / 'kubeconfig'}",
        f"--cache-dir={directory / 'cache'}",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await running.communicate()
    assert running.returncode is not None
    return running.returncode, output


async def raw(directory: Path, path: str) -> Any:
    async with asyncio.timeout(process.START_SECONDS):
        while True:
            code, output = await kubectl(directory, "get", "--raw", path)
            if code == 0:
                return json.loads(output)
            await asyncio.sleep(0.1)


def values_of(answer: Any) -> dict[str, str]:
    return {item["describedObject"]["name"]: item["value"] for item in answer["items"]}


async def test_a_backend_without_label_endpoints(tmp_path: Path, proxy: Upstream) -> None:
    proxy.mood = upstream.refusing(404, ["/api/v1/label"])
    (tmp_path / "rules.yaml").write_text(process.RULES)
    flags = [
        "--standalone",
        f"--config={tmp_path / 'rules.yaml'}",
        f"--prometheus-url={proxy.url}",
        f"--write-kubeconfig={tmp_path / 'kubeconfig'}",
        "--shutdown-drain=0s",
    ]
    async with ServerProcess(tmp_path, flags) as server:
        await server.until(lambda: "series are requested instead" in server.log)
        answer = await raw(tmp_path, f"{GROUP}/namespaces/ns-07/pods/*/secret")
        assert values_of(answer) == {"pod-0": "8k", "pod-1": "8001"}


async def test_kubectl_reads_metrics(server: ServerProcess, tmp_path: Path) -> None:
    answer = await raw(tmp_path, f"{GROUP}/namespaces/default/pods/*/load")
    assert values_of(answer) == {"web-0": "36", "web-1": "72500m"}
    single = await raw(tmp_path, f"{GROUP}/namespaces/ns-07/pods/pod-1/secret")
    assert values_of(single) == {"pod-1": "8001"}
    listed = await raw(tmp_path, GROUP)
    assert "pods/load" in {resource["name"] for resource in listed["resources"]}
    # Labels of objects are not known here: better no answer than one about other objects.
    code, output = await kubectl(
        tmp_path, "get", "--raw", f"{GROUP}/namespaces/default/pods/*/load?labelSelector=app%3Dweb"
    )
    assert code == 1
    assert b"standalone mode knows no object labels" in output
    code, output = await kubectl(tmp_path, "api-versions")
    assert (code, b"custom.metrics.k8s.io/v1beta2" in output.split()) == (0, True), output
    code, output = await kubectl(tmp_path, "version")
    assert (code, b"Server Version: v0." in output) == (0, True), output


async def test_nobody_else_is_let_in(server: ServerProcess, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    document = yaml.safe_load(kubeconfig.read_text())
    cluster = document["clusters"][0]["cluster"]
    assert cluster["server"] == f"https://127.0.0.1:{server.port}"
    context = servers.client_context()
    context.load_verify_locations(
        cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    client = servers.Client(reader, writer)
    try:
        assert (await client.get("/livez")).status == 200
        assert (await client.get(GROUP)).status == 403
        headers = process.as_user("admin", "system:masters")
        assert (await client.get(GROUP, *headers)).status == 403
        assert (await client.get(GROUP, "Authorization: Bearer x")).status == 401
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("flag", "fault"),
    [
        ("--bind-address=0.0.0.0", "serves on loopback only"),
        ("--write-kubeconfig=/proc/nowhere/kubeconfig", "--write-kubeconfig: cannot be written"),
        ("--config=nowhere.yaml", "cannot read the rule file"),
    ],
)
async def test_what_cannot_be_is_refused(tmp_path: Path, flag: str, fault: str) -> None:
    async with ServerProcess(tmp_path, ["--standalone", flag]) as server:
        assert await server.exit_code() == 2
        assert fault in server.log
        assert "Traceback" not in server.log
