"""A simulated GPU workload: four pods whose load moves in waves, and an ingress elsewhere.

The pods run on two nodes with two GPUs each. The real exporter reports them from a fake driver, so
that the rules of config/alibaba-gpu.yaml apply to its series unchanged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes.exposition import series
from tests.fakes.nvml.launch import Use

NAMESPACE = "default"
PODS = tuple(f"bert-{i}" for i in range(4))
NODES = 2
PERIOD_SECONDS = 60.0


@dataclass(frozen=True)
class Gpu:
    """What one GPU does at one moment: a share of its time, and what follows from it."""

    duty_percent: float

    @property
    def use(self) -> Use:
        return Use(self.duty_percent, int(4e9 + self.duty_percent * 1e8))


class Waves:
    """The workload; each pod's wave is a quarter of a period behind the one before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()

    def gpu(self, number: int) -> Gpu:
        turn = (self._clock() - self._start) / PERIOD_SECONDS + number / len(PODS)
        return Gpu(round(50 + 45 * math.sin(2 * math.pi * turn), 1))

    def requests(self) -> int:
        """Requests per second that an ingress outside the cluster reports."""
        turn = (self._clock() - self._start) / PERIOD_SECONDS
        return round(30 + 20 * math.sin(2 * math.pi * turn))

    def uses(self, node: int) -> dict[str, Use]:
        """The pods of a node and what their GPUs do now."""
        here = range(node, len(PODS), NODES)
        return {PODS[number]: self.gpu(number).use for number in here}

    def render(self) -> str:
        """The request rate in the text exposition format."""
        return series(
            "sls_ingress_qps",
            self.requests(),
            sls_project="k8s-log",
            sls_logstore="nginx-ingress",
            sls_ingress_route="default-bert-80",
        )
