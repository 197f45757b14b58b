"""A made-up GPU workload: four pods whose load moves in waves, and a queue outside the cluster.

The series are those of Alibaba's GPU exporter, one GPU for each pod, so that the rules of
config/alibaba-gpu.yaml find them as they stand.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes.cluster_exporter import series

NAMESPACE = "default"
PODS = tuple(f"bert-{i}" for i in range(4))
PERIOD_SECONDS = 60.0


@dataclass(frozen=True)
class Gpu:
    """What one GPU does at one moment: a share of its time, and what follows from it."""

    duty_percent: float

    @property
    def memory_bytes(self) -> float:
        return 4e9 + self.duty_percent * 1e8

    @property
    def celsius(self) -> float:
        return round(35 + self.duty_percent * 0.4)

    @property
    def milliwatts(self) -> float:
        return round(27_000 + self.duty_percent * 430)


class Waves:
    """The workload; each pod's wave is a quarter of a period behind the one before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()

    def gpu(self, number: int) -> Gpu:
        turn = (self._clock() - self._start) / PERIOD_SECONDS + number / len(PODS)
        return Gpu(round(50 + 45 * math.sin(2 * math.pi * turn), 1))

    def queue(self) -> int:
        """Requests a second that an ingress outside the cluster reports."""
        turn = (self._clock() - self._start) / PERIOD_SECONDS
        return round(30 + 20 * math.sin(2 * math.pi * turn))

    def render(self) -> str:
        """Everything in the text exposition format."""
        lines = [
            series(
                "sls_ingress_qps",
                self.queue(),
                sls_project="k8s-log",
                sls_logstore="nginx-ingress",
                sls_ingress_route="default-bert-80",
            )
        ]
        for number, pod in enumerate(PODS):
            gpu = self.gpu(number)
            labels = {
                "minor_number": "0",
                "uuid": f"GPU-{number}",
                "name": "Tesla T4",
                "node_name": f"node-{number % 2}",
                "pod_name": pod,
                "namespace_name": NAMESPACE,
            }
            lines += [
                series("nvidia_gpu_duty_cycle", gpu.duty_percent, **labels),
                series("nvidia_gpu_memory_used_bytes", gpu.memory_bytes, **labels),
                series("nvidia_gpu_temperature_celsius", gpu.celsius, **labels),
                series("nvidia_gpu_power_usage_milliwatts", gpu.milliwatts, **labels),
            ]
        return "".join(lines)
