"""A real Prometheus that scrapes every second and drops the labels of the scrape itself."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests import programs
from tests.e2e.harness import polling
from tests.e2e.harness.processes import Process, Supervisor, free_port


class Prometheus:
    """One Prometheus process over fixed targets; its data outlives a restart."""

    def __init__(self, directory: Path, processes: Supervisor, name: str) -> None:
        self.name = name
        self._directory = directory
        self._processes = processes
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._command = [
            str(programs.find("prometheus")),
            f"--config.file={directory / name}.yml",
            f"--storage.tsdb.path={directory / name}-data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]

    @property
    def process(self) -> Process:
        return self._processes[self.name]

    def start(self, targets: Sequence[str], interval: str = "1s") -> None:
        """Writes the configuration, starts it and waits until it is ready."""
        config = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval},
            "scrape_configs": [
                {
                    "job_name": "environment",
                    "honor_labels": True,
                    "honor_timestamps": False,
                    "static_configs": [{"targets": list(targets)}],
                    "metric_relabel_configs": [{"action": "labeldrop", "regex": "instance|job"}],
                }
            ],
        }
        (self._directory / f"{self.name}.yml").write_text(json.dumps(config))
        self._processes.add(self.name, self._command).start()
        self.wait_ready()

    def wait_ready(self) -> None:
        def ready() -> bool:
            if (code := self.process.exit_code()) is not None:
                raise AssertionError(f"prometheus ended with {code}:\n{self.process.tail()}")
            return _get(f"{self.url}/-/ready") is not None

        polling.until(f"{self.name} ready", ready, seen=self.process.tail)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query, as Prometheus writes it."""
        query = urllib.parse.urlencode({"query": expression})
        answer = _get(f"{self.url}/api/v1/query?{query}")
        result: list[dict[str, Any]] = json.loads(answer)["data"]["result"]
        return result


def _get(url: str) -> bytes:
    """A GET on loopback, past any proxy; raises OSError (HTTPError is one) unless answered 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5.0) as answer:
        body: bytes = answer.read()
        return body
