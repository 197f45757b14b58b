"""The real process with `--cert-secret`: ready with its own pair only, which it takes along."""

from __future__ import annotations

import asyncio
import http.client
import signal
import ssl
from pathlib import Path

from metrics_apiserver.certs import ca_bundle
from tests.fakes import certificates, process
from tests.fakes.certificates import NAMES, SECRET_PATH
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubewire import status
from tests.fakes.process import ServerProcess

KEPT = (
    "--cert-secret=monitoring/serving-cert",
    "--cert-service=s.monitoring",
    f"--cert-apiservices={','.join(NAMES)}",
    "--cert-overlap=400ms",
    "--cert-interval=100ms",
)


def leaf(pem: bytes) -> bytes:
    return ca_bundle.join(ca_bundle.authorities(pem)[:1])


async def shown(server: ServerProcess) -> bytes:
    """The leaf that the process shows now."""
    place = ("127.0.0.1", server.port)
    return leaf((await asyncio.to_thread(ssl.get_server_certificate, place)).encode())


async def probe(server: ServerProcess, wanted: int) -> str:
    """What the readiness check says, once it answers with this status."""
    context = ssl._create_unverified_context()

    def ask() -> tuple[int, str]:
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context)
        try:
            connection.request("GET", "/readyz/certificates")
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    async with asyncio.timeout(20):
        while True:
            code, said = await asyncio.to_thread(ask)
            if code == wanted:
                return said
            await asyncio.sleep(0.02)


async def shows_the_secret_s(server: ServerProcess, kubeapi: FakeKubeAPI, other: bytes) -> bytes:
    """Waits until it shows the leaf of the Secret, and that is another than before."""
    async with asyncio.timeout(20):
        while True:
            found = leaf(certificates.serving(kubeapi))
            if found not in (b"", other) and await shown(server) == found:
                return found
            await asyncio.sleep(0.05)


async def test_a_pair_comes_and_changes_and_goes(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    async with certificates.kubeapi() as kubeapi:
        process.trust(kubeapi)
        kubeapi.fail(SECRET_PATH, status(403), times=4)
        all_flags = process.flags(tmp_path, kubeapi, "http://127.0.0.1:1")
        flags = [flag for flag in all_flags if not flag.startswith("--tls-")]
        environment = {"TMPDIR": str(temporary)}
        async with ServerProcess(tmp_path, [*flags, *KEPT], environment=environment) as server:
            said = await probe(server, 500)
            assert "the pair of the Secret is not served yet" in said
            await probe(server, 200)
            first = await shows_the_secret_s(server, kubeapi, b"")
            material = certificates.material(kubeapi)
            assert material.serving is not None
            assert certificates.is_served(kubeapi, material.serving)
            certificates.set_secret(kubeapi, {})
            await shows_the_secret_s(server, kubeapi, first)
            assert "grant get and update on it by its name" in server.log
            assert "PRIVATE" not in server.log
            server.signal(signal.SIGTERM)
            assert await server.exit_code() == 0
        assert list(temporary.iterdir()) == []
