"""The server under test: any command that takes the predecessor's flags.

SUBJECT names the command (split as a shell would); this project's own by default. It runs as the
shipped ServiceAccount, by a token, and always on the port that the APIServices lead to.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests import builds
from tests.e2e.harness import pki, polling
from tests.e2e.harness.apiclient import ApiClient, Headers
from tests.fakes.subprocesses import Process, Supervisor, free_port


def subject_command() -> list[str]:
    """The command under test, without its flags."""
    if command := os.environ.get("SUBJECT"):
        return shlex.split(command)
    return [sys.executable, "-m", "metrics_apiserver"]


class Server:
    """One server process at a time, over one rule file and one Prometheus.

    Args:
        directory: for the rule file.
        processes: takes the process.
        kubeconfig: of the identity that it runs as.
        serving: its certificate.
        authority: who issued that.
        name: of the process.
        command: what is run; by default the command under test, chosen at each `configure`.
    """

    def __init__(
        self,
        directory: Path,
        processes: Supervisor,
        kubeconfig: Path,
        serving: pki.Pair,
        authority: Path,
        *,
        name: str = "server",
        command: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        self.authority = authority
        self.name = name
        self._command = command
        self._directory = directory
        self._processes = processes
        self._kubeconfig = kubeconfig
        self._serving = serving
        self._anonymous = self.client()

    @property
    def process(self) -> Process:
        return self._processes[self.name]

    def client(self, pair: pki.Pair | None = None, headers: Headers = ()) -> ApiClient:
        """A client that speaks to the server itself, past kube-apiserver."""
        context = pki.client_context(self.authority, pair)
        return ApiClient(f"https://localhost:{self.port}", context, headers)

    def configure(self, rules: str, prometheus_url: str, flags: Sequence[str] = ()) -> None:
        """Says what the next start runs with; one that runs is ended."""
        config = self._directory / "rules.yaml"
        config.write_text(rules)
        kubeconfig = self._kubeconfig
        command = [
            *(self._command or subject_command()),
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            f"--tls-cert-file={self._serving.certificate}",
            f"--tls-private-key-file={self._serving.key}",
            f"--prometheus-url={prometheus_url}",
            "--metrics-relist-interval=2s",
            f"--config={config}",
            f"--lister-kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            *flags,
        ]
        environment = {**os.environ, "PYTHONPATH": str(builds.ROOT)}
        self._processes.add(self.name, command, environment)

    def start(self, ready: str = "/readyz") -> None:
        """Starts the process and waits until a health path answers 200."""
        self.process.start()
        self.wait_ready(ready)

    def wait_ready(self, path: str = "/readyz") -> None:
        def answered() -> bool:
            if (code := self.process.exit_code()) is not None:
                raise AssertionError(f"the server ended with {code}:\n{self.process.tail()}")
            return self._anonymous.get(path, timeout=5.0).status == 200

        polling.until(f"server answers {path}", answered, seen=self.process.tail)

    def kill(self) -> None:
        """SIGKILL: a drain would only cost the tests time."""
        self.process.end(signal.SIGKILL)
