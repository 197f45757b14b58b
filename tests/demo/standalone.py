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
from tests.demo import show
from tests.demo.questions import Asker, Unanswered
from tests.demo.workload import NAMESPACE, NODES, PODS, Waves
from tests.e2e.harness import polling
from tests.e2e.harness.processes import Supervisor, free_port
from tests.e2e.harness.prometheus import Prometheus
from tests.fakes.cluster_exporter import Exporter
from tests.fakes.nvml.launch import Feed, Node

DIRECTORY = builds.ROOT / ".cache/demo"
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta1"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
METRICS = (
    "duty_cycle_current",
    "duty_cycle_over_time",
    "memory_used_bytes_current",
    "temperature_celsius_current",
    "power_usage_milliwatts_current",
)
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
        self.exporter = Exporter(self.waves.render)
        self.nodes = [
            Node(directory / f"node-{n}", f"node-{n}", gpus=2, namespace=NAMESPACE)
            for n in range(NODES)
        ]
        self.feeds = [Feed(node, partial(self.waves.uses, n)) for n, node in enumerate(self.nodes)]
        self.kubeconfig = directory / "kubeconfig"

    def start(self) -> None:
        """Starts Prometheus and the server, and waits until the metrics are known."""
        show.heading("Starting")
        for node, feed in zip(self.nodes, self.feeds, strict=True):
            feed.turn()
            node.start()
            feed.start()
            show.note(
                f"  {node.name}: nvml-exporter on a fake driver, http://{node.target}/metrics"
            )
        show.note(f"  a queue outside the cluster: http://{self.exporter.target}")
        prometheus = Prometheus(self.directory, self.processes, "prometheus")
        prometheus.start([self.exporter.target, *(node.target for node in self.nodes)])
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
        polling.until("the metrics are listed", self._listed, timeout=60.0, seen=server.tail)

    def _listed(self) -> bool:
        if self.processes["server"].exit_code() is not None:
            raise AssertionError(f"the server ended:\n{self.processes['server'].tail()}")
        if not self.kubeconfig.exists():
            return False
        try:
            customs = self.asker.read(CUSTOM)["resources"]
            externals = self.asker.read(EXTERNAL)["resources"]
        except (OSError, Unanswered):
            return False
        return any(one["name"] == f"pods/{METRICS[0]}" for one in customs) and bool(externals)

    def show_questions(self) -> None:
        """The questions of the GPU documents, with their answers."""
        pods = f"{CUSTOM}/namespaces/{NAMESPACE}/pods/*"
        show.heading("Which metrics are there?")
        listed = self._ask(CUSTOM)
        resources: dict[str, list[str]] = {}
        for one in listed["resources"]:
            resource, _, metric = one["name"].partition("/")
            resources.setdefault(metric, []).append(resource)
        rows = [(metric, ", ".join(found)) for metric, found in sorted(resources.items())]
        show.table(("metric", "of"), rows)
        show.heading("The temperature of every pod's GPU")
        found = self._ask(f"{pods}/temperature_celsius_current")
        show.answer(found)
        self._require(found, len(PODS))
        show.heading("How busy the GPUs are: what an HPA with a Pods metric reads")
        found = self._ask(f"{pods}/duty_cycle_current")
        show.table(
            ("pod", "duty cycle %", "as a quantity"),
            [(_name(item), f"{_number(item):.1f}", item["value"]) for item in found["items"]],
        )
        self._require(found, len(PODS))
        show.heading("An external metric: requests a second at an ingress")
        path = f"{EXTERNAL}/namespaces/{NAMESPACE}/sls_ingress_qps"
        found = self._ask(f"{path}?labelSelector=sls.project%3Dk8s-log")
        show.answer(found)
        self._require(found, 1)

    def _ask(self, path: str) -> Any:
        show.command(self.asker.spelled(path))
        return self.asker.read(path)

    def _require(self, found: Any, number: int) -> None:
        if len(found["items"]) != number:
            raise Unanswered(f"{number} items wanted, {len(found['items'])} came")

    def show_values(self) -> None:
        """All pods and metrics, as they are now."""
        columns = {}
        for metric in METRICS:
            found = self.asker.read(f"{CUSTOM}/namespaces/{NAMESPACE}/pods/*/{metric}")
            columns[metric] = {_name(item): item["value"] for item in found["items"]}
        rows = [[pod, *(columns[metric].get(pod, "-") for metric in METRICS)] for pod in PODS]
        show.table(("pod", *(metric.removesuffix("_current") for metric in METRICS)), rows)

    def follow(self, ended: Callable[[], bool]) -> None:
        """Shows the values again and again until told to end."""
        show.heading("Values as they move (Ctrl-C ends)")
        while not ended():
            self.show_values()
            show.note(f"  {time.strftime('%H:%M:%S')}")
            polling.hold(FOLLOW_SECONDS)

    def close(self) -> None:
        self.processes.close()
        for feed in self.feeds:
            feed.close()
        for node in self.nodes:
            node.stop()
        self.exporter.close()


def _name(item: Any) -> str:
    name: str = item["describedObject"]["name"]
    return name


def _number(item: Any) -> float:
    text: str = item["value"]
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


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
            show.note(f"\n  try it yourself: {demo.asker.spelled(CUSTOM)}")
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
