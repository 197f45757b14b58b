"""Several servers behind one port, as a Service with several endpoints.

The port that the APIServices lead to is a plain TCP forwarder, which sends connection after
connection to the next replica and passes over one that does not listen.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import os
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests import builds
from tests.e2e.harness import polling
from tests.e2e.harness.apiclient import ApiClient
from tests.e2e.harness.background import Background
from tests.e2e.harness.controlplane import ControlPlane
from tests.e2e.harness.server import subject_command
from tests.fakes.subprocesses import Process, Supervisor, free_port


class Forwarder:
    """Listens on one port and leads to others; `serve` runs until it is cancelled."""

    def __init__(self, port: int, targets: Sequence[int]) -> None:
        self._port = port
        self._targets = itertools.cycle(targets)
        self._number = len(targets)
        self.connections = 0

    async def serve(self) -> None:
        server = await asyncio.start_server(self._forward, "127.0.0.1", self._port)
        async with server:
            await server.serve_forever()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            for _ in range(self._number):
                with contextlib.suppress(OSError):
                    there = await asyncio.open_connection("127.0.0.1", next(self._targets))
                    await _join((reader, writer), there)
                    return
        finally:
            writer.transport.abort()


_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _join(here: _Stream, there: _Stream) -> None:
    """Carries bytes both ways until either side closes."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(here[0], there[1]))
            group.create_task(_pump(there[0], here[1]))
    finally:
        there[1].transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class Replica:
    """One server process on a port of its own.

    Args:
        name: of the process and its log.
        processes: of the environment.
        flags: all but the port.
    """

    def __init__(self, name: str, processes: Supervisor, flags: Sequence[str]) -> None:
        self.port = free_port()
        command = [
            *subject_command(),
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            *flags,
        ]
        environment = {**os.environ, "PYTHONPATH": str(builds.ROOT)}
        self.process: Process = processes.add(name, command, environment)

    def start(self) -> None:
        self.process.start()

    def wait_ready(self) -> None:
        """Waits until the process says that it is ready, whatever certificate it shows."""

        def ready() -> bool:
            if (code := self.process.exit_code()) is not None:
                raise AssertionError(f"the server ended with {code}:\n{self.process.tail()}")
            return self.health("/readyz") == 200

        polling.until(f"{self.process.name} is ready", ready, seen=self.process.tail)

    def health(self, path: str) -> int:
        """Status of a health path."""
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status

    def client(self, control_plane: ControlPlane) -> ApiClient:
        """A client of this replica alone, as the front proxy in the name of an administrator."""
        context = ssl._create_unverified_context()
        pair = control_plane.front_proxy
        context.load_cert_chain(pair.certificate, pair.key)
        headers = [("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")]
        return ApiClient(f"https://127.0.0.1:{self.port}", context, headers)

    def certificate(self) -> str:
        """PEM of the leaf that a new connection is shown."""
        return ssl.get_server_certificate(("127.0.0.1", self.port), timeout=5)


@contextlib.contextmanager
def behind_one_port(
    port: int, processes: Supervisor, flags: Sequence[str]
) -> Iterator[tuple[list[Replica], Forwarder]]:
    """Two replicas with these flags, and connections to the port shared out between them."""
    both = [Replica(f"replica-{number}", processes, flags) for number in (1, 2)]
    forwarder = Forwarder(port, [one.port for one in both])
    background = Background(forwarder.serve)
    background.start()
    try:
        for replica in both:
            replica.start()
        for replica in both:
            replica.wait_ready()
        yield both, forwarder
    finally:
        for replica in both:
            replica.process.end()
        background.stop()


def flags_of(kubeconfig: Path, rules: Path, prometheus_url: str) -> list[str]:
    """The flags that all replicas share."""
    return [
        f"--prometheus-url={prometheus_url}",
        "--metrics-relist-interval=2s",
        f"--config={rules}",
        f"--lister-kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
    ]
