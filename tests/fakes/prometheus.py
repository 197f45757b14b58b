"""Real backends for tests: Prometheus and VictoriaMetrics from PATH, on free loopback ports.

They scrape one target each second and drop the labels `job` and `instance`, so that a series is
what the target exposes. Everything here blocks: the processes need no event loop of ours.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

# Never through a proxy, whatever the environment says.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def scrape_configuration(targets: Sequence[str], interval: str = "1s") -> str:
    """A Prometheus configuration; YAML is a superset of the JSON written here."""
    job = {
        "job_name": "fixture",
        "honor_labels": True,
        "honor_timestamps": False,
        "static_configs": [{"targets": list(targets)}],
        "metric_relabel_configs": [{"action": "labeldrop", "regex": "instance|job"}],
    }
    global_ = {"scrape_interval": interval, "scrape_timeout": interval}
    return json.dumps({"global": global_, "scrape_configs": [job]})


class Backend:
    """A process that answers the Prometheus API; stopped and started again at will.

    Attributes:
        url: without a slash at the end.
        port: stays the same over restarts.
    """

    def __init__(
        self, directory: Path, command: Callable[[Path, int], list[str]], health: str
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._command = command(directory, self.port)
        self._health = health
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Backend:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it and waits until it is ready."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        self._poll(self._is_ready, f"{self._command[0]} to be ready", 30)

    def stop(self) -> None:
        """Ends it; a second call does nothing."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Ends it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def query(self, text: str) -> list[dict[str, Any]]:
        """The result of an instant query, as JSON."""
        query = urllib.parse.urlencode({"query": text})
        with _opener.open(f"{self.url}/api/v1/query?{query}", timeout=10) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result

    def wait_for(
        self,
        query: str,
        accept: Callable[[list[dict[str, Any]]], object] = bool,
        *,
        seconds: float = 20,
    ) -> list[dict[str, Any]]:
        """Asks until the result is accepted, by default until it is not empty."""
        seen: list[dict[str, Any]] = []

        def accepted() -> object:
            try:
                seen[:] = self.query(query)
            except OSError:
                return False
            return accept(seen)

        self._poll(accepted, f"the result of {query}", seconds)
        return seen

    def _is_ready(self) -> bool:
        try:
            with _opener.open(f"{self.url}{self._health}", timeout=5):
                return True
        except OSError:
            return False

    def _poll(self, done: Callable[[], object], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"waited for {what}: the process ended\n{self._log()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds} s for {what}\n{self._log()}")
            time.sleep(0.05)

    def _log(self) -> str:
        return (self._directory / "log").read_text(errors="replace")[-2000:]


def prometheus(
    directory: Path, targets: Sequence[str], *extra: str, program: str = "prometheus"
) -> Backend:
    """Prometheus over `targets`.

    Args:
        directory: empty; holds its data.
        targets: `host:port` each.
        extra: further flags.
        program: its name on PATH; `prometheus3` where a second, newer one is installed.
    """
    (directory / "prometheus.yml").write_text(scrape_configuration(targets))

    def command(directory: Path, port: int) -> list[str]:
        return [
            program,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
            *extra,
        ]

    return Backend(directory, command, "/-/ready")


def victoria_metrics(directory: Path, targets: Sequence[str]) -> Backend:
    """VictoriaMetrics over `targets`; samples are visible at once and nothing is cached."""
    (directory / "scrape.yml").write_text(scrape_configuration(targets))

    def command(directory: Path, port: int) -> list[str]:
        return [
            "victoria-metrics",
            f"-promscrape.config={directory / 'scrape.yml'}",
            f"-storageDataPath={directory / 'data'}",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-search.latencyOffset=0s",
            "-search.disableCache",
            "-memory.allowedBytes=128MB",
        ]

    return Backend(directory, command, "/health")


def is_installed(program: str) -> bool:
    return shutil.which(program) is not None
