"""A GPU node for tests: the real exporter as a process, with a fake NVML and a fake kubelet.

`Node.run` says which pods there are and how busy each one's GPU is, at any time and as often as
one likes; the exporter sees it as it would see a driver and a kubelet. So a whole chain can be
shown without a GPU: NVML -> exporter -> Prometheus -> server -> HPA -> replicas -> load.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Self

from tests.fakes.kubelet import ContainerAllocation, Kubelet
from tests.fakes.nvml import build
from tests.fakes.nvml.scenario import MIB, Scenario, gpu_uuid
from tests.fakes.subprocesses import free_port

ROOT = Path(__file__).parents[3]


class Exporter:
    """`nvml-exporter` on a free loopback port.

    Args:
        directory: for its log.
        environment: added to that of the test, such as FAKE_NVML_SCENARIO.
        flags: in addition to the address.
        with_library: False runs it without NVML.
    """

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        flags: Sequence[str] = (),
        *,
        with_library: bool = True,
    ) -> None:
        self.port = free_port()
        self.log = directory / "exporter.log"
        self._command = [sys.executable, "-m", "metrics_apiserver.exporter.cli"]
        self._command += [f"--web.listen-address=127.0.0.1:{self.port}", *flags]
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        if with_library:
            self._environment["LD_LIBRARY_PATH"] = str(build.library().parent)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def target(self) -> str:
        """`host:port` for a scrape configuration."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it; see `wait_ready`."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, cwd=ROOT
            )

    def stop(self) -> int:
        """SIGTERM, and SIGKILL when that does not help; the exit code."""
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def get(
        self,
        path: str = "/metrics",
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> tuple[int, HTTPResponse, bytes]:
        """Status, answer and body."""
        scheme = "https" if tls else "http"
        request = urllib.request.Request(
            f"{scheme}://localhost:{self.port}{path}", headers=dict(headers or {})
        )
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if tls:
            handlers.append(urllib.request.HTTPSHandler(context=tls))
        try:
            answer = urllib.request.build_opener(*handlers).open(request, timeout=10)
        except urllib.error.HTTPError as error:
            return error.code, error, error.read()  # type: ignore[return-value] # reads as one
        with answer:
            return answer.status, answer, answer.read()

    def wait_ready(self, tls: ssl.SSLContext | None = None, seconds: float = 20) -> None:
        """Until /readyz says so."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self.get("/readyz", tls=tls)[0] == 200:
                    return
            except OSError:
                if self.process is None or self.process.poll() is not None:
                    raise RuntimeError(f"the exporter ended:\n{self.log_text()}") from None
            if time.monotonic() > deadline:
                raise TimeoutError(f"the exporter is not ready:\n{self.log_text()}")
            time.sleep(0.05)

    def log_text(self) -> str:
        """The end of what it logged."""
        return self.log.read_text(errors="replace")[-3000:]


@dataclass(frozen=True)
class Use:
    """How a pod uses its GPU."""

    percent: float
    memory_bytes: int = 4000 * MIB


class Node:
    """A node with GPUs, a kubelet and the exporter; give it a directory of its own.

    Args:
        directory: empty.
        name: of the node.
        gpus: how many there are; a pod more than that gets none.
        namespace: of the pods.
        flags: of the exporter, beside those that make it quick.
    """

    def __init__(
        self,
        directory: Path,
        name: str = "node-1",
        gpus: int = 8,
        namespace: str = "default",
        flags: Sequence[str] = ("--window=3s",),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        sockets = directory / "pod-resources"
        sockets.mkdir()
        self.name = name
        self.scenario = Scenario(directory / "scenario").add_gpus(gpus)
        self.scenario.write()
        self.kubelet = Kubelet(sockets)
        self._gpus = gpus
        self._namespace = namespace
        self._held: dict[str, int] = {}
        quick = [f"--kubelet-root={directory}", "--poll-interval=1s", "--settle=0s"]
        environment = {"FAKE_NVML_SCENARIO": str(self.scenario.path), "NODE_NAME": name}
        self.exporter = Exporter(directory, environment, [*quick, *flags])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def target(self) -> str:
        """`host:port` for a scrape configuration."""
        return self.exporter.target

    def start(self) -> None:
        """Starts kubelet and exporter, and waits for the first sampling round."""
        self.kubelet.start()
        self.exporter.start()
        self.exporter.wait_ready()

    def stop(self) -> None:
        """Ends both."""
        self.exporter.stop()
        self.kubelet.stop()

    def run(self, pods: Mapping[str, float | Use]) -> None:
        """From now on these pods run here, each on a GPU that is as busy as is said (percent)."""
        self._held = {pod: gpu for pod, gpu in self._held.items() if pod in pods}
        free = [gpu for gpu in range(self._gpus) if gpu not in self._held.values()]
        for pod in pods:
            if pod not in self._held and free:
                self._held[pod] = free.pop(0)
        for gpu in free:
            self._show(gpu, Use(0, 0))
        for pod, gpu in self._held.items():
            use = pods[pod]
            self._show(gpu, use if isinstance(use, Use) else Use(use))
        self.scenario.write()
        self.kubelet.allocate(
            *(
                ContainerAllocation(pod, (gpu_uuid(gpu),), self._namespace)
                for pod, gpu in self._held.items()
            )
        )

    def _show(self, gpu: int, use: Use) -> None:
        percent = max(0, min(100, round(use.percent)))
        self.scenario.set(gpu, "util", percent).set(gpu, "mem_used", use.memory_bytes)
        self.scenario.set(gpu, "power", 70_000 + 6_300 * percent)
        self.scenario.set(gpu, "temperature", 35 + round(percent * 0.4))
        pid = 10_000 + gpu
        if use.memory_bytes:
            self.scenario.process(gpu, pid, mem=use.memory_bytes, sm=percent)
        else:
            self.scenario.unset(gpu, f"proc.{pid}")


class Feed(threading.Thread):
    """Keeps a node at what a function says, until it is closed.

    Args:
        uses: the pods and how busy each one's GPU is now; asked every half second.
    """

    def __init__(
        self, node: Node, uses: Callable[[], Mapping[str, float | Use]], seconds: float = 0.5
    ) -> None:
        # A daemon, so that it holds nothing up.
        super().__init__(name=f"driver-{node.name}", daemon=True)
        self._node = node
        self._uses = uses
        self._seconds = seconds
        self._stopped = threading.Event()
        self._last: dict[str, float | Use] | None = None

    def run(self) -> None:
        """The thread."""
        while True:
            self.turn()
            if self._stopped.wait(self._seconds):
                return

    def turn(self) -> None:
        """Writes what changed."""
        uses = dict(self._uses())
        if uses != self._last:
            self._last = uses
            self._node.run(uses)

    def close(self) -> None:
        """Ends it."""
        self._stopped.set()
        if self.is_alive():
            self.join()
