"""Real backends for tests: Prometheus and VictoriaMetrics from PATH, on free loopback ports.

They scrape their targets each second and drop the labels `job` and `instance`, so that a series is
what the target exposes. Everything here blocks: the processes need no event loop of ours.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from tests.fakes.subprocesses import Process, Supervisor, free_port

# Never through a proxy, whatever the environment says.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


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

    Its port and its data stay the same over restarts.

    Attributes:
        process: of the server.
        port: on loopback.
        url: without a slash at the end.
    """

    def __init__(self, process: Process, port: int, health: str) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._health = health

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it and waits until it is ready."""
        self.process.start()
        self.wait_ready()

    def stop(self) -> None:
        """Ends it; a second call does nothing."""
        self.process.end()

    def kill(self) -> None:
        """Ends it as a crash does."""
        self.process.end(signal.SIGKILL)

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
        """Sends the query until the result is accepted, by default until it is not empty."""
        seen: list[dict[str, Any]] = []

        def accepted() -> object:
            seen[:] = self.query(query)
            return accept(seen)

        self._poll(accepted, f"the result of {query}", seconds)
        return seen

    def wait_ready(self, seconds: float = 30) -> None:
        """Waits until it answers queries."""

        def is_ready() -> bool:
            with _opener.open(f"{self.url}{self._health}", timeout=5):
                return True

        self._poll(is_ready, f"{self.process.name} to be ready", seconds)

    def _poll(self, done: Callable[[], object], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                if done():
                    return
            except OSError:  # it does not listen yet, or answers with an error
                pass
            if not self.process.is_running():
                raise RuntimeError(f"waited for {what}: the process ended\n{self.process.tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds} s for {what}\n{self.process.tail()}")
            time.sleep(0.05)


def prometheus(
    directory: Path,
    targets: Sequence[str],
    *extra: str,
    program: str = "prometheus",
    name: str = "prometheus",
    interval: str = "1s",
    processes: Supervisor | None = None,
) -> Backend:
    """Prometheus over `targets`, not started yet.

    Args:
        directory: holds its data, `tsdb`, and its log.
        targets: `host:port` each.
        extra: further flags.
        program: what is run; `prometheus3` where a second, newer one is installed.
        name: of the process; one directory may hold several.
        interval: between scrapes.
        processes: ends it with everything else; whoever starts it does by default.
    """
    own = directory if name == "prometheus" else directory / name
    own.mkdir(exist_ok=True)
    (own / "prometheus.yml").write_text(scrape_configuration(targets, interval))
    port = free_port()
    command = [
        program,
        f"--config.file={own / 'prometheus.yml'}",
        f"--storage.tsdb.path={own / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        *extra,
    ]
    return Backend(_process(directory, name, command, processes), port, "/-/ready")


def victoria_metrics(directory: Path, targets: Sequence[str]) -> Backend:
    """VictoriaMetrics over `targets`; samples are visible at once and nothing is cached."""
    (directory / "scrape.yml").write_text(scrape_configuration(targets))
    port = free_port()
    command = [
        "victoria-metrics",
        f"-promscrape.config={directory / 'scrape.yml'}",
        f"-storageDataPath={directory / 'data'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-search.latencyOffset=0s",
        "-search.disableCache",
        "-memory.allowedBytes=128MB",
    ]
    return Backend(_process(directory, "victoria-metrics", command, None), port, "/health")


def _process(
    directory: Path, name: str, command: Sequence[str], processes: Supervisor | None
) -> Process:
    if processes is not None:
        return processes.add(name, command)
    return Process(name, command, directory / f"{name}.log", directory)


def is_installed(program: str) -> bool:
    return shutil.which(program) is not None
