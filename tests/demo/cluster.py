"""`make demo-cluster`: a Deployment and a stock HPA on a real control plane, scaling on GPU use.

The load, in per cent of one GPU, rises and falls, and the ready pods share it evenly. A fake driver
and kubelet report it to the real exporter, Prometheus scrapes that, and the HPA keeps it near its
target of 40. With ONCE=1 one rise and fall is shown; the exit code is 1 if the HPA did not follow.
Everything listens on 127.0.0.1.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from metrics_apiserver.core import quantity
from tests import builds
from tests.demo import show
from tests.demo.standalone import interrupt
from tests.e2e.harness import polling, workload
from tests.e2e.harness.environment import Environment, namespace
from tests.fakes.cluster_kubelet import Kubelet
from tests.fakes.nvml.launch import Feed, Node

RULES = (builds.ROOT / "tests/e2e/rules.yaml").read_text()
CUSTOM = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{workload.NAMESPACE}"
METRIC = f"{CUSTOM}/pods/*/duty_cycle_current"
SEEN = 'nvidia_gpu_duty_cycle{pod_name!=""}'
TURN_SECONDS = 1.0


@dataclass(frozen=True)
class Step:
    """A load, and the replicas that keep each pod near the target."""

    load: float
    replicas: range
    turns: int


STEPS = (
    Step(30.0, range(1, 2), 12),
    Step(300.0, range(7, 10), 30),
    Step(120.0, range(3, 5), 25),
    Step(30.0, range(1, 2), 25),
)


class Demo:
    """The environment, its workload and the table."""

    def __init__(self) -> None:
        self.environment = Environment(builds.ROOT / ".cache/demo-cluster")
        self.kubelet = Kubelet(self.environment.cluster, workload.NAMESPACE, workload.NODE)
        self.load = STEPS[0].load
        self.node = Node(
            self.environment.directory / workload.NODE,
            workload.NODE,
            gpus=workload.MAX_REPLICAS,
            namespace=workload.NAMESPACE,
            # The HPA turns fifteen times as fast as in a cluster, and so must averages.
            flags=("--window=1s", "--interval=250ms"),
        )
        self.feed = Feed(self.node, self.uses)

    def uses(self) -> dict[str, float]:
        """Per cent of a GPU that each ready pod uses: the load is shared evenly."""
        pods = self.kubelet.ready("gpu")
        return {pod: min(100.0, self.load / len(pods)) for pod in pods}

    def start(self) -> None:
        """Starts everything and applies the Deployment and its HPA."""
        show.heading("Starting")
        self.environment.start()
        show.note(
            f"  kube-apiserver and kube-controller-manager on {self.environment.control_plane.url}"
        )
        self.environment.apply(
            [namespace(workload.NAMESPACE), workload.node(), workload.deployment("gpu")]
        )
        self.kubelet.start()
        self.node.start()
        self.feed.start()
        show.note(f"  nvml-exporter on a fake driver, http://{self.node.target}/metrics")
        prometheus = self.environment.prometheus([self.node.target])
        show.note(f"  Prometheus on {prometheus.url}")
        polling.until("the pod's GPU is seen", lambda: prometheus.query(SEEN))
        self.environment.serve(RULES, prometheus, flags=["--query-freshness=1s"])
        show.note(
            f"  metrics-apiserver on https://localhost:{self.environment.server.port}, Available"
        )
        self.environment.apply([workload.autoscaler("gpu", workload.pods_metric())])
        kubeconfig = self.environment.control_plane.admin_kubeconfig.relative_to(builds.ROOT)
        show.heading("To use the cluster from another terminal, type this first")
        show.plain(f"  $ export KUBECONFIG={kubeconfig}\n  $ CUSTOM={CUSTOM}")
        show.heading("What does the HPA read?")
        show.command(f'kubectl get --raw "$CUSTOM{METRIC.removeprefix(CUSTOM)}"')
        show.answer(self.environment.cluster.read(METRIC))

    def follow(self, steps: Iterator[Step], *, once: bool) -> bool:
        """Shows load, metric and replicas; False when the HPA did not reach a step's replicas."""
        show.heading("Does it scale? The HPA keeps the GPUs 40 % busy on average.")
        show.note("  TIME         LOAD   GPU BUSY   READY   REPLICAS WANTED BY THE HPA")
        for step in steps:
            self.load = step.load
            if not self._turns(step, once=once):
                return False
        return True

    def _turns(self, step: Step, *, once: bool) -> bool:
        reached = False
        for _ in range(step.turns):
            began = time.monotonic()
            replicas = self.environment.replicas("gpu")
            reached = replicas in step.replicas
            self._row(step.load, replicas)
            if once and reached:
                return True
            polling.hold(max(0.0, TURN_SECONDS - (time.monotonic() - began)))
        return reached or not once

    def _row(self, load: float, replicas: int) -> None:
        ready = len(self.kubelet.ready("gpu"))
        answer = self.environment.cluster.get(METRIC)
        values = [float(quantity.parse(value)) for value in answer.values().values()]
        mean = f"{sum(values) / len(values):5.1f} %" if values else "      -"
        bar = "#" * replicas
        now = time.strftime("%H:%M:%S")
        show.plain(f"  {now}   {load:4.0f} %    {mean}   {ready:5d}   {replicas:2d} {bar}")

    def close(self) -> None:
        if self.kubelet.is_alive():
            self.kubelet.close()
        self.environment.close()
        self.feed.close()
        self.node.stop()


def _for_ever() -> Iterator[Step]:
    while True:
        yield from STEPS


def main() -> int:
    signal.signal(signal.SIGTERM, interrupt)
    once = os.environ.get("ONCE", "") not in ("", "0")
    demo = Demo()
    code = 0
    try:
        demo.start()
        if not demo.follow(iter(STEPS) if once else _for_ever(), once=once):
            show.plain("\nthe HPA did not follow the load")
            code = 1
        show.heading("What happened?")
        show.command(f"kubectl -n {workload.NAMESPACE} describe hpa gpu")
        show.plain(demo.environment.kubectl("-n", workload.NAMESPACE, "describe", "hpa", "gpu"))
    except KeyboardInterrupt:
        show.note("\nstopped")
    except AssertionError as error:
        print(f"\nthe demo failed: {error}", file=sys.stderr)
        print(f"logs are in {demo.environment.directory}", file=sys.stderr)
        code = 1
    finally:
        demo.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
