"""`make demo`: a fake driver, the real exporter and Prometheus, the standalone server, its answers.

Runs until Ctrl-C, or with ONCE=1 until everything was shown once. Exit code 1 when an answer is
missing. Everything listens on 127.0.0.1, on ports that are free.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from tests import builds
from tests.demo import show, units
from tests.demo.questions import Asker, Unanswered
from tests.demo.workload import NAMESPACE, NODES, PODS, Waves
from tests.e2e.harness import polling
from tests.fakes import prometheus as backends
from tests.fakes.exposition import ScrapeTarget
from tests.fakes.nvml.launch import Feed, Node
from tests.fakes.subprocesses import Supervisor, free_port

DIRECTORY = builds.ROOT / ".cache/demo"
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta1"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
PATHS = {
    "CUSTOM": f"{CUSTOM}/namespaces/{NAMESPACE}",
    "EXTERNAL": f"{EXTERNAL}/namespaces/{NAMESPACE}",
}
# What the table of all values shows, and what it calls it.
METRICS = {
    "duty_cycle_current": "GPU BUSY",
    "duty_cycle_over_time": "30 S MEAN",
    "memory_used_bytes_current": "MEMORY USED",
    "temperature_celsius_current": "TEMPERATURE",
    "power_usage_milliwatts_current": "POWER",
}
FOLLOW_SECONDS = 5.0


def rules() -> str:
    """The shipped GPU rules, with the external one behind them."""
    gpu = (builds.ROOT / "config/alibaba-gpu.yaml").read_text()
    external = (builds.ROOT / "config/external-sls.yaml").read_text()
    return gpu.replace("[3m]", "[30s]") + "\n" + external


class Demo:
    """The processes of the demo and what is asked of them."""

    def __init__(self, directory: Path) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self.directory = directory
        self.processes = Supervisor(directory)
        self.waves = Waves()
        self.ingress = ScrapeTarget(self.waves.render)
        self.nodes = [
            Node(directory / f"node-{n}", f"node-{n}", gpus=2, namespace=NAMESPACE)
            for n in range(NODES)
        ]
        self.feeds = [Feed(node, partial(self.waves.uses, n)) for n, node in enumerate(self.nodes)]
        self.kubeconfig = directory / "kubeconfig"

    def start(self) -> None:
        """Starts Prometheus and the server, and waits until every pod has its values."""
        show.heading("Starting")
        for node, feed in zip(self.nodes, self.feeds, strict=True):
            feed.turn()
            node.start()
            feed.start()
            show.note(
                f"  {node.name}: nvml-exporter on a fake driver, http://{node.target}/metrics"
            )
        show.note(f"  an ingress outside the cluster: http://{self.ingress.target}")
        targets = [self.ingress.target, *(node.target for node in self.nodes)]
        prometheus = backends.prometheus(self.directory, targets, processes=self.processes)
        prometheus.start()
        show.note(f"  Prometheus on {prometheus.url}")
        config = self.directory / "rules.yaml"
        config.write_text(rules())
        port = free_port()
        command = [sys.executable, "-m", "metrics_apiserver", "serve", "--standalone"]
        flags = [
            f"--config={config}",
            f"--prometheus-url={prometheus.url}",
            f"--secure-port={port}",
            "--metrics-relist-interval=2s",
            "--metrics-max-age=1m",
            "--query-freshness=1s",
            f"--write-kubeconfig={self.kubeconfig}",
        ]
        environment = {**os.environ, "PYTHONPATH": str(builds.ROOT)}
        server = self.processes.add("server", [*command, *flags], environment)
        server.start()
        show.note(f"  metrics-apiserver on https://localhost:{port}")
        self.asker = Asker(self.kubeconfig, port)
        polling.until("every pod has its values", self._ready, timeout=60.0, seen=server.tail)

    def _ready(self) -> bool:
        if self.processes["server"].exit_code() is not None:
            raise AssertionError(f"the server ended:\n{self.processes['server'].tail()}")
        if not self.kubeconfig.exists():
            return False
        try:
            externals = self.asker.read(EXTERNAL)["resources"]
            numbers = [
                len(self.asker.read(f"{PATHS['CUSTOM']}/pods/*/{metric}")["items"])
                for metric in METRICS
            ]
        except (OSError, Unanswered):
            return False
        return bool(externals) and min(numbers) == len(PODS)

    def show_questions(self) -> None:
        """The questions of the GPU documents, with their answers."""
        if setup := self.asker.setup(PATHS):
            show.heading("To ask the same in another terminal, type this first")
            for line in setup:
                show.plain(f"  $ {line}")
        show.heading("1. Which custom metrics are there?")
        self._show_list(self._ask(CUSTOM))
        show.heading("2. How warm is the GPU of each pod?")
        self._show_pods("temperature_celsius_current", "TEMPERATURE")
        show.heading("3. How busy are the GPUs? An HPA with a Pods metric asks this.")
        found = self._show_pods("duty_cycle_current", "GPU BUSY")
        show.note("\n  The first item of the answer, as the HPA gets it:\n")
        show.answer(found["items"][0])
        show.heading("4. An external metric: how many requests a second reach the ingress?")
        found = self._ask(
            f"{PATHS['EXTERNAL']}/sls_ingress_qps?labelSelector=sls.project%3Dk8s-log"
        )
        self._require(found, 1)
        (item,) = found["items"]
        row = item["metricName"], units.describe(item["metricName"], item["value"]), item["value"]
        show.table(("METRIC", "REQUESTS", "QUANTITY"), [row])

    def _ask(self, path: str) -> Any:
        show.command(self.asker.spelled(path, PATHS))
        return self.asker.read(path)

    def _show_list(self, listed: Any) -> None:
        resources: dict[str, list[str]] = {}
        for one in listed["resources"]:
            resource, _, metric = one["name"].partition("/")
            resources.setdefault(metric, []).append(resource)
        rows = [(metric, ", ".join(found)) for metric, found in sorted(resources.items())]
        show.table(("METRIC", "OF"), rows)

    def _show_pods(self, metric: str, title: str) -> Any:
        found = self._ask(f"{PATHS['CUSTOM']}/pods/*/{metric}")
        self._require(found, len(PODS))
        rows = [
            (_name(item), units.describe(metric, item["value"]), item["value"])
            for item in found["items"]
        ]
        show.table(("POD", title, "QUANTITY"), rows)
        return found

    def _require(self, found: Any, number: int) -> None:
        if len(found["items"]) != number:
            raise Unanswered(f"expected {number} items, got {len(found['items'])}")

    def show_values(self) -> None:
        """All pods and metrics, as they are now."""
        columns = {}
        for metric in METRICS:
            found = self.asker.read(f"{PATHS['CUSTOM']}/pods/*/{metric}")
            columns[metric] = {
                _name(item): units.describe(metric, item["value"]) for item in found["items"]
            }
        rows = [[pod, *(columns[metric].get(pod, "-") for metric in METRICS)] for pod in PODS]
        show.table(("POD", *METRICS.values()), rows)

    def follow(self, ended: Callable[[], bool]) -> None:
        """Shows the values again and again until it is interrupted."""
        show.heading("The values as the load moves (Ctrl-C ends)")
        while not ended():
            show.note(f"  {time.strftime('%H:%M:%S')}")
            self.show_values()
            show.plain("\n")
            polling.hold(FOLLOW_SECONDS)

    def close(self) -> None:
        self.processes.close()
        for feed in self.feeds:
            feed.close()
        for node in self.nodes:
            node.stop()
        self.ingress.close()


def _name(item: Any) -> str:
    name: str = item["describedObject"]["name"]
    return name


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """A signal handler that ends a demo as Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, interrupt)
    once = os.environ.get("ONCE", "") not in ("", "0")
    demo = Demo(DIRECTORY)
    try:
        demo.start()
        demo.show_questions()
        show.heading("All values now")
        demo.show_values()
        if not once:
            demo.follow(lambda: False)
    except KeyboardInterrupt:
        show.note("\nstopped")
    except (AssertionError, Unanswered) as error:
        print(f"\nthe demo failed: {error}", file=sys.stderr)
        print(f"logs are in {demo.directory}", file=sys.stderr)
        return 1
    finally:
        demo.close()
    show.heading("Done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
