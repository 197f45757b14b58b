"""Tokens from files, plugins and the kubeconfig; none of them in a message."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from metrics_apiserver.base import errors
from metrics_apiserver.kube import credentials
from metrics_apiserver.kube.connection import CredentialPlugin, FileOrData, KubeConfig
from metrics_apiserver.kube.credentials import KubeCredentials

# The official client's loader calls what newer Pythons deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes")


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _config(**fields: Any) -> KubeConfig:
    return KubeConfig("test", "https://127.0.0.1", **fields)


def _from_file(path: Path, clock: _Clock) -> KubeCredentials:
    return KubeCredentials(_config(token=FileOrData("token", path=path)), clock=clock)


def test_the_official_client_is_not_loaded_for_nothing() -> None:
    """It costs half a second and 20 MB at the start."""
    code = (
        "import sys\n"
        "from metrics_apiserver.kube import client, config, discovery, objects, requestheader\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'kubernetes'])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_without_any() -> None:
    none = KubeCredentials(_config())
    assert await none.header() == ""
    assert await none.renew("") is None


async def test_inline_token() -> None:
    fixed = KubeCredentials(_config(token=FileOrData("token", b"SECRET\n")))
    assert await fixed.header() == "Bearer SECRET"
    assert await fixed.renew("Bearer SECRET") is None


async def test_password() -> None:
    basic = KubeCredentials(_config(username="me", password="pass"))
    assert await basic.header() == "Basic bWU6cGFzcw=="


async def test_a_token_file_is_looked_at_once_a_second(tmp_path: Path) -> None:
    clock, path = _Clock(), tmp_path / "token"
    path.write_text("one")
    fresh = _from_file(path, clock)
    assert await fresh.header() == "Bearer one"
    path.write_text("second")
    assert await fresh.header() == "Bearer one"
    clock.now += credentials.STAT_INTERVAL_SECONDS
    assert await fresh.header() == "Bearer second"


async def test_a_token_file_is_read_each_minute_anyway(tmp_path: Path) -> None:
    """A file system may not say that a file changed."""
    clock, path = _Clock(), tmp_path / "token"
    path.write_text("one")
    os.utime(path, (1e9, 1e9))
    fresh = _from_file(path, clock)
    await fresh.header()
    path.write_text("two")
    os.utime(path, (1e9, 1e9))
    clock.now += credentials.READ_INTERVAL_SECONDS - 1
    assert await fresh.header() == "Bearer one"
    clock.now += 1
    assert await fresh.header() == "Bearer two"


@pytest.mark.parametrize("content", [b"", b" \n", b"a b", b"a\nb", b"a\x00", "Zürich".encode()])
async def test_what_is_no_token_keeps_the_old_one(tmp_path: Path, content: bytes) -> None:
    clock, path = _Clock(), tmp_path / "token"
    path.write_text("good")
    fresh = _from_file(path, clock)
    await fresh.header()
    path.write_bytes(content)
    clock.now += 2
    assert await fresh.header() == "Bearer good"


async def test_a_token_file_that_goes_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, path = _Clock(), tmp_path / "token"
    path.write_text("SECRET")
    fresh = _from_file(path, clock)
    await fresh.header()
    path.unlink()
    clock.now += 2
    assert await fresh.header() == "Bearer SECRET"
    assert "keeping the last good token" in caplog.text
    assert "SECRET" not in caplog.text


async def test_after_a_refusal(tmp_path: Path) -> None:
    clock, path = _Clock(), tmp_path / "token"
    path.write_text("one")
    fresh = _from_file(path, clock)
    assert await fresh.header() == "Bearer one"
    assert await fresh.renew("Bearer one") is None
    fresh.accepted("Bearer one")
    path.write_text("two")
    assert await fresh.renew("Bearer one") == "Bearer two"
    assert await fresh.renew("Bearer two") == "Bearer one"


def _plugin(folder: Path, script: str) -> CredentialPlugin:
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\necho run >> {folder}/runs\n{script}\n")
    path.chmod(stat.S_IRWXU)
    return CredentialPlugin("exec", {"command": "./plugin", "apiVersion": "v"}, folder)


def _says(status: dict[str, str]) -> str:
    document = {"apiVersion": "v", "kind": "ExecCredential", "status": status}
    return f"cat <<'END'\n{json.dumps(document)}\nEND"


def _runs(folder: Path) -> int:
    return (folder / "runs").read_text().count("run")


async def test_exec_is_run_once_for_many(tmp_path: Path) -> None:
    clock = _Clock()
    config = _config(plugin=_plugin(tmp_path, _says({"token": "SECRET"})))
    fresh = KubeCredentials(config, clock=clock)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(fresh.header()) for _ in range(10)]
    assert {task.result() for task in tasks} == {"Bearer SECRET"}
    assert _runs(tmp_path) == 1
    assert await fresh.renew("Bearer SECRET") is None
    assert _runs(tmp_path) == 1
    clock.now += credentials.PLUGIN_INTERVAL_SECONDS
    assert await fresh.renew("Bearer SECRET") is None
    assert _runs(tmp_path) == 2


async def test_exec_may_give_a_certificate(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("client")
    certificate = leaf.cert_chain_pems[0].bytes().decode()
    key = leaf.private_key_pem.bytes().decode()
    says = _says({"clientCertificateData": certificate, "clientKeyData": key})
    fresh = KubeCredentials(_config(plugin=_plugin(tmp_path, says)))
    assert await fresh.header() == ""
    assert fresh.client_pair == (certificate.encode(), key.encode())
    await fresh.header()
    assert _runs(tmp_path) == 1


@pytest.mark.parametrize(
    "script",
    ["echo SECRET >&2; exit 3", "echo SECRET", _says({}), _says({"token": "SECRET SECRET"})],
    ids=["fails", "prints", "nothing", "nonsense"],
)
async def test_exec_that_fails(
    tmp_path: Path, script: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = _Clock()
    fresh = KubeCredentials(_config(plugin=_plugin(tmp_path, script)), clock=clock)
    for _ in range(3):
        with pytest.raises(errors.KubeError, match="cannot be obtained") as caught:
            await fresh.header()
        assert caught.value.kind == "credentials"
        assert "SECRET" not in caught.value.detail
    assert _runs(tmp_path) == 1
    clock.now += credentials.PLUGIN_INTERVAL_SECONDS
    with pytest.raises(errors.KubeError):
        await fresh.header()
    assert _runs(tmp_path) == 2
    assert "SECRET" not in caplog.text


async def test_auth_provider() -> None:
    future = "eyJleHAiOiA5OTk5OTk5OTk5fQ"
    settings = {"name": "oidc", "config": {"id-token": f"a.{future}.c"}}
    plugin = CredentialPlugin("auth-provider", settings, Path())
    assert await KubeCredentials(_config(plugin=plugin)).header() == f"Bearer a.{future}.c"


async def test_auth_provider_without_a_token() -> None:
    plugin = CredentialPlugin("auth-provider", {"name": "other"}, Path())
    with pytest.raises(errors.KubeError):
        await KubeCredentials(_config(plugin=plugin)).header()
