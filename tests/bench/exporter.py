"""How long a scrape of the exporter takes: 16 GPUs shared by 128 pods, a tick each second.

`python -m tests.bench.exporter` starts the real exporter on the fake NVML, with every family, every
group and the processes told apart, and scrapes it as Prometheus does: one connection that is kept,
compressed text. A second line is for plain text. The budget is a 99th percentile under 5 ms, over
scrapes that are spread over the ticks; the exit code says whether it was kept.
"""

from __future__ import annotations

import argparse
import http.client
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.fakes.hostproc import Host
from tests.fakes.kubelet import Granted, Kubelet
from tests.fakes.nvml.launch import Exporter
from tests.fakes.nvml.scenario import MIB, Scenario, gpu_uuid

GPUS, PODS = 16, 128
BUDGET_MS = 5.0
# Not a divisor of the tick, so that scrapes fall on all its parts.
PAUSE_SECONDS = 0.0171


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def build(directory: Path) -> tuple[Kubelet, Exporter]:
    """A full node: eight slots on each GPU, one pod and one process for each slot."""
    host = Host(directory / "host")
    sockets = directory / "pod-resources"
    sockets.mkdir()
    kubelet = Kubelet(sockets)
    scenario = Scenario(directory / "scenario").add_gpus(GPUS, util=80, gpm_supported=1)
    ids = [f"{gpu_uuid(gpu)}::{slot}" for gpu in range(GPUS) for slot in range(PODS // GPUS)]
    kubelet.allocatable = {"nvidia.com/gpu": ids}
    kubelet.grant(*(Granted(f"pod-{n}", (one,)) for n, one in enumerate(ids)))
    for number in range(PODS):
        pid = 1000 + number
        scenario.process(number * GPUS // PODS, pid, mem=300 * MIB, sm=5 + number % 6)
        host.run(pid, f"pod-{number}")
    for gpu in range(GPUS):
        for metric in (1, 2, 3, 5, 10, 11, 12, 13, 20, 21, 60, 61):
            scenario.set(gpu, f"gpm.{metric}", metric)
    scenario.write()
    flags = [
        f"--kubelet-root={directory}",
        f"--host-proc={host.proc}",
        f"--pod-logs={host.pods}",
        f"--container-logs={host.containers}",
        "--processes",
        "--settle=0s",
        "--collect=clocks,ecc,exp,memory,nvlink,power,profiling,retired,violations",
    ]
    environment = {"FAKE_NVML_SCENARIO": str(scenario.path), "NODE_NAME": "node-1"}
    return kubelet, Exporter(directory, environment, flags)


def scrape(port: int, seconds: float, encoding: str) -> tuple[list[float], int]:
    """Milliseconds of each scrape, and the size of the last."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    taken, size = [], 0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        connection.request("GET", "/metrics", headers={"Accept-Encoding": encoding})
        size = len(connection.getresponse().read())
        taken.append((time.perf_counter() - started) * 1000)
        time.sleep(PAUSE_SECONDS)
    connection.close()
    return taken, size


def main() -> int:
    """Prints one line for each kind of text; 1 if a budget was missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=20.0, help="for each kind of text")
    seconds = arguments.parse_args().seconds
    worst = 0.0
    with tempfile.TemporaryDirectory() as directory:
        kubelet, exporter = build(Path(directory))
        with kubelet:
            exporter.start()
            try:
                exporter.wait_ready()
                assert exporter.process is not None
                process = psutil.Process(exporter.process.pid)
                scrape(exporter.port, 5.0, "gzip")
                for encoding in ("gzip", "identity"):
                    used = sum(process.cpu_times()[:2])
                    started = time.perf_counter()
                    taken, size = scrape(exporter.port, seconds, encoding)
                    cpu = (sum(process.cpu_times()[:2]) - used) / (time.perf_counter() - started)
                    p99 = percentile(taken, 0.99)
                    worst = max(worst, p99)
                    print(
                        f"{encoding:9} {len(taken)} scrapes of {size / 1024:.0f} KiB: "
                        f"p50 {percentile(taken, 0.5):.2f} ms, p99 {p99:.2f} ms, "
                        f"max {max(taken):.2f} ms; cpu {cpu:.2f} cores, "
                        f"rss {process.memory_info().rss / MIB:.0f} MiB"
                    )
                text = exporter.get()[2].decode()
                print("\n".join(line for line in text.splitlines() if line.startswith(_SHOWN)))
            finally:
                exporter.stop()
    print(f"worst p99 {worst:.2f} ms of {BUDGET_MS:.0f}")
    return 0 if worst < BUDGET_MS else 1


_SHOWN = (
    "gpu_exporter_series ",
    "gpu_exporter_sample_duration_seconds_sum",
    "gpu_exporter_sample_duration_seconds_count",
)

if __name__ == "__main__":
    sys.exit(main())
