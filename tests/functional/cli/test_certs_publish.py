"""`certs publish` against a kube-apiserver."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from metrics_apiserver.certs import ca_bundle
from tests.fakes import certificates, commands
from tests.fakes.certificates import API_SERVICE_PATH, NAMES, SECRET_PATH
from tests.fakes.commands import Ran, Terminal
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubewire import status

FAST = ("--overlap=400ms", "--interval=50ms")


class Publisher:
    """Runs the command beside the fake."""

    def __init__(self, kubeapi: FakeKubeAPI, directory: Path) -> None:
        self.directory = directory
        path = commands.write_kubeconfig(kubeapi, directory)
        self._terminal = Terminal(
            [
                f"--kubeconfig={path}",
                "--secret=monitoring/serving-cert",
                "--service=s.monitoring",
                f"--apiservices={','.join(NAMES)}",
            ]
        )

    async def run(self, *words: str) -> Ran:
        return await asyncio.to_thread(self._terminal.run, "publish", *words)

    async def issue(self, *words: str) -> Ran:
        directory = f"--directory={self.directory}/certs"
        return await asyncio.to_thread(
            Terminal().run, "issue", "--service=s.monitoring", directory, *words
        )


@pytest.fixture
def publisher(kubeapi: FakeKubeAPI, tmp_path: Path) -> Publisher:
    return Publisher(kubeapi, tmp_path)


async def test_a_new_installation(kubeapi: FakeKubeAPI, publisher: Publisher) -> None:
    ran = await publisher.run()
    assert (ran.code, ran.out) == (0, "issue\npublish\neverything is as it should be\n")
    material = certificates.material(kubeapi)
    assert material.serving is not None
    assert certificates.is_served(kubeapi, material.serving)
    assert material.authority_key
    verbs = {(seen.verb, seen.path) for seen in kubeapi.requests if seen.verb != "get"}
    assert verbs == {("update", SECRET_PATH), *(("update", API_SERVICE_PATH + n) for n in NAMES)}
    assert (await publisher.run()).out == "everything is as it should be\n"


@pytest.mark.parametrize("kind", ["pair", "authority"])
async def test_a_rotation_that_is_asked_for(
    kubeapi: FakeKubeAPI, publisher: Publisher, kind: str
) -> None:
    await publisher.run()
    before, authorities = certificates.serving(kubeapi), certificates.authorities(kubeapi)
    ran = await publisher.run(f"--rotate={kind}", *FAST)
    assert ran.code == 0
    assert certificates.serving(kubeapi) != before
    assert (certificates.authorities(kubeapi) == authorities) is (kind == "pair")
    if kind == "authority":
        assert ran.out.split("\n")[:5] == ["stage", "publish", "promote", "retire", "publish"]
        assert "safe to stop" in ran.err


async def test_without_waiting_the_servers_go_on(
    kubeapi: FakeKubeAPI, publisher: Publisher
) -> None:
    await publisher.run()
    ran = await publisher.run("--rotate=authority", "--wait=false")
    assert ran.code == 0
    assert "not finished" in ran.out
    assert certificates.material(kubeapi).upcoming is not None


async def test_a_dry_run_writes_nothing(kubeapi: FakeKubeAPI, publisher: Publisher) -> None:
    ran = await publisher.run("--dry-run")
    assert {seen.verb for seen in kubeapi.requests} == {"get"}
    assert "would do: issue, publish" in ran.err
    secret, *services = ran.documents
    assert secret["data"]["tls.key"] == "<redacted>"
    assert [item["metadata"]["name"] for item in services] == list(NAMES)
    assert all(item["spec"]["caBundle"] == secret["data"]["ca.crt"] for item in services)
    shown = await publisher.run("--dry-run", "-o", "yaml")
    assert "<redacted>" not in shown.out


async def test_a_dry_run_of_a_rotation(kubeapi: FakeKubeAPI, publisher: Publisher) -> None:
    await publisher.run()
    assert "would do: nothing" in (await publisher.run("--dry-run")).err
    ran = await publisher.run("--dry-run", "--rotate=authority")
    assert "would do: stage, publish" in ran.err
    assert "next.crt" in ran.documents[0]["data"]


async def test_a_pair_of_a_directory(kubeapi: FakeKubeAPI, publisher: Publisher) -> None:
    await publisher.issue()
    directory = publisher.directory / "certs"
    ran = await publisher.run(f"--directory={directory}", *FAST)
    assert ran.code == 0
    assert certificates.serving(kubeapi) == (directory / "tls.crt").read_bytes()
    assert certificates.material(kubeapi).authority_key == b""
    await publisher.issue("--new-ca")
    ran = await publisher.run(f"--directory={directory}", *FAST)
    assert ran.out.split("\n")[:5] == ["stage", "publish", "promote", "retire", "publish"]
    assert certificates.serving(kubeapi) == (directory / "tls.crt").read_bytes()
    assert certificates.authorities(kubeapi) == ca_bundle.fingerprints(
        (directory / "ca.crt").read_bytes()
    )


@pytest.mark.parametrize(
    ("file", "text", "match"),
    [
        ("tls.key", "x", "cannot be published"),
        ("ca.crt", "x", "cannot be published"),
        ("tls.crt", "x", "cannot be published"),
    ],
)
async def test_a_directory_that_cannot_be_published(
    kubeapi: FakeKubeAPI, publisher: Publisher, file: str, text: str, match: str
) -> None:
    await publisher.issue()
    (publisher.directory / "certs" / file).write_text(text)
    ran = await publisher.run(f"--directory={publisher.directory}/certs")
    assert ran.code == 2
    assert match in ran.err
    assert kubeapi.requests == []


async def test_a_pair_for_another_service(publisher: Publisher) -> None:
    directory = f"{publisher.directory}/certs"
    await asyncio.to_thread(Terminal().run, "issue", "--service=t.n", f"--directory={directory}")
    ran = await publisher.run(f"--directory={directory}")
    assert "does not name s.monitoring.svc" in ran.err


async def test_a_refusal_ends_it(kubeapi: FakeKubeAPI, publisher: Publisher) -> None:
    kubeapi.fail(SECRET_PATH, status(403), verb="update")
    ran = await publisher.run()
    assert (ran.code, ran.out) == (1, "")
    assert "grant get and update" in ran.err


async def test_what_is_left_alone_is_told(kubeapi: FakeKubeAPI, publisher: Publisher) -> None:
    elsewhere = {"service": {"namespace": "keda", "name": "keda"}}
    kubeapi.put(certificates.API_SERVICES, "", NAMES[1], spec=elsewhere)
    for words in ((), ("--dry-run",)):
        ran = await publisher.run(*words)
        assert ran.code == 0
        assert "does not lead to Service monitoring/s" in ran.err
    assert certificates.published(kubeapi, NAMES[1]).bundle == b""
