"""The real process: `python -m metrics_apiserver serve` with files and servers on loopback.

`files` writes everything that a command line names: rules, serving pair, kubeconfig. `trust` puts
the authentication ConfigMap into a fake kube-apiserver. Callers are the front proxy in the name of
somebody, an administrator with a certificate, or whoever the headers say.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from metrics_apiserver.core import quantity
from metrics_apiserver.kube import requestheader
from tests.fakes import pki, servers
from tests.fakes.kubeapi import CONFIGMAPS, FakeKubeAPI
from tests.fakes.servers import Client, Reply
from tests.fakes.subprocesses import Process, free_port

PROXY_CA = pki.authority("front-proxy-ca")
CLIENT_CA = pki.authority("client-ca")
PROXY = pki.client(PROXY_CA, "front-proxy-client")
ADMIN = pki.client(CLIENT_CA, "admin", ["system:masters"])
START_SECONDS = 30.0
RULES = """
rules:
- seriesQuery: '{__name__=~"^test_.*",namespace!="",pod!=""}'
  resources: {template: "<<.Resource>>"}
  name: {matches: "^test_(.*)$"}
  metricsQuery: '<<.Series>>{<<.LabelMatchers>>}'
"""


def as_user(name: str, *groups: str) -> list[str]:
    """The header lines with which the front proxy speaks for somebody."""
    return [f"X-Remote-User: {name}", *(f"X-Remote-Group: {group}" for group in groups)]


def configuration(
    *, client: pki.Certified | None = CLIENT_CA, proxy: pki.Certified | None = PROXY_CA
) -> dict[str, str]:
    """Data of the ConfigMap, as kube-apiserver writes it."""
    data = {}
    if client is not None:
        data["client-ca-file"] = client.pem.decode()
    if proxy is not None:
        data |= {
            "requestheader-client-ca-file": proxy.pem.decode(),
            "requestheader-allowed-names": json.dumps(["front-proxy-client"]),
            "requestheader-username-headers": json.dumps(["X-Remote-User"]),
            "requestheader-group-headers": json.dumps(["X-Remote-Group"]),
            "requestheader-extra-headers-prefix": json.dumps(["X-Remote-Extra-"]),
        }
    return data


def trust(api: FakeKubeAPI, data: Mapping[str, str] | None = None) -> None:
    """Writes the authentication ConfigMap."""
    given = configuration() if data is None else dict(data)
    api.put(CONFIGMAPS, requestheader.NAMESPACE, requestheader.NAME, data=given)


def write_pair(directory: Path, certified: pki.Certified) -> list[str]:
    """Writes a serving pair; the flags that name it."""
    certificate, key = directory / "serving.crt", directory / "serving.key"
    certificate.write_bytes(certified.pem)
    key.write_bytes(certified.key_pem)
    return [f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}"]


def flags(
    directory: Path, api: FakeKubeAPI, prometheus: str, rules: str = RULES, token: str = "token"
) -> list[str]:
    """Writes every file of a server in a cluster; the flags that name them."""
    (directory / "rules.yaml").write_text(rules)
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_bytes(api.kubeconfig({"token": token}))
    roles = ("lister", "authentication", "authorization")
    return [
        f"--config={directory / 'rules.yaml'}",
        *(f"--{role}-kubeconfig={kubeconfig}" for role in roles),
        f"--prometheus-url={prometheus}",
        "--metrics-relist-interval=1s",
        "--metrics-max-age=10m",
        "--shutdown-drain=1s",
        *write_pair(directory, servers.SERVER),
    ]


class ServerProcess:
    """One process; ended with the block, by force if the test has not ended it.

    Args:
        directory: for the log; the process runs in it.
        flags: of `serve`; port and address are added.
        wrap: a command that runs the one behind it, such as one that sets limits.
        environment: beside the test's own.
    """

    def __init__(
        self,
        directory: Path,
        flags: Sequence[str],
        *,
        wrap: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        command = [
            *wrap,
            *(sys.executable, "-m", "metrics_apiserver", "serve"),
            *("--bind-address=127.0.0.1", f"--secure-port={self.port}"),
            *flags,
        ]
        root = str(Path(__file__).resolve().parents[2])
        env = {**os.environ, "PYTHONPATH": root, **(environment or {})}
        self.process = Process("server", command, directory / "server.log", directory, env)

    async def __aenter__(self) -> ServerProcess:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.process.end(signal.SIGKILL)

    def start(self) -> None:
        self.process.start()

    @property
    def log(self) -> str:
        return self.process.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        self.process.send(number)

    async def exit_code(self, seconds: float = START_SECONDS) -> int:
        """Waits for the end."""
        await self.until(lambda: not self.process.is_running(), seconds)
        return self.process.end()

    async def until(self, condition: Any, seconds: float = START_SECONDS) -> None:
        """As `waiting.until`, and shows the log when it does not come true."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s; the log ends:\n{self.log[-4000:]}")
            await asyncio.sleep(0.01)

    async def answers(self, target: str, status: int, seconds: float = START_SECONDS) -> Reply:
        """Requests without credentials, as a probe, until the answer has this status."""
        return await self.agrees(target, lambda reply: reply.status == status, seconds=seconds)

    async def agrees(
        self,
        target: str,
        good: Any,
        *lines: str,
        certified: Sequence[pki.Certified] = (),
        seconds: float = START_SECONDS,
    ) -> Reply:
        """Requests until the answer is good."""
        deadline = time.monotonic() + seconds
        last: object = None
        while time.monotonic() < deadline:
            if not self.process.is_running():
                break
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                last = reply = await self.get(target, *lines, certified=certified)
                if good(reply):
                    return reply
            await asyncio.sleep(0.02)
        code = self.process.exit_code()
        raise AssertionError(
            f"{target}: last answer {last}, exit code {code}; the log ends:\n{self.log[-4000:]}"
        )

    async def ready(self) -> None:
        await self.answers("/readyz", 200)

    @contextlib.asynccontextmanager
    async def client(self, *certified: pki.Certified) -> AsyncIterator[Client]:
        """One connection."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=servers.client_context(*certified), limit=64 << 20
        )
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()

    async def get(
        self,
        target: str,
        *lines: str,
        certified: Sequence[pki.Certified] = (),
        method: str = "GET",
    ) -> Reply:
        """One request on a connection of its own."""
        async with self.client(*certified) as client:
            return await client.get(target, *lines, method=method)

    async def ask(self, target: str, user: str = "hpa", *groups: str) -> Reply:
        """One request by the front proxy in somebody's name."""
        return await self.get(target, *as_user(user, *groups), certified=[PROXY])

    async def metrics(self) -> dict[str, float]:
        """The self-metrics, by series."""
        reply = await self.get("/metrics", certified=[ADMIN])
        assert reply.status == 200
        lines = [line for line in reply.body.decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def items(reply: Reply) -> dict[str, str]:
    """Values of a MetricValueList by the name of the object."""
    assert reply.status == 200, reply
    return {
        item["describedObject"]["name"]: item["value"] for item in json.loads(reply.body)["items"]
    }


def shown(value: float) -> str:
    """A number as it is written in an answer."""
    return quantity.from_float(value)
