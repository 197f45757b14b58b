"""`python -m tests.gpu.report`: what the driver of this machine supplies, and the cost of reading.

For notes on a new GPU or driver: versions, capabilities by GPU, the slowest calls, the cost
of a round, and every metric that is there with its first series.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

from metrics_apiserver.exporter import runtime
from metrics_apiserver.exporter.attribution.settings import AttributionSettings
from metrics_apiserver.exporter.capability import Capabilities
from metrics_apiserver.exporter.nvml.library import Library
from metrics_apiserver.exporter.settings import GROUPS, ExporterSettings, Exposition, Sampling

TICKS = 40


def timed(library: Library) -> dict[str, list[float]]:
    """Wraps the library's entry points; milliseconds by function."""
    taken: dict[str, list[float]] = defaultdict(list)
    for name in ("call", "raw"):
        inner = getattr(library, name)

        def outer(symbol: str, *arguments: object, _inner: object = inner) -> object:
            started = time.perf_counter()
            try:
                return _inner(symbol, *arguments)  # type: ignore[operator] # a bound method
            finally:
                taken[symbol].append((time.perf_counter() - started) * 1000)

        setattr(library, name, outer)
    return taken


def rights() -> str:
    """The Linux capabilities of this process, which GPM may need."""
    status = Path("/proc/self/status").read_text()
    return next(line for line in status.splitlines() if line.startswith("CapEff"))


def main() -> int:
    """Prints; 1 without a driver."""
    groups = frozenset(GROUPS)
    settings = ExporterSettings(
        sampling=Sampling(groups=groups),
        exposition=Exposition(node="machine", groups=groups),
        holders=AttributionSettings(attribution="none"),
    )
    exporter = runtime.build(settings, lambda: None)
    sampler = exporter.sampling._sampler
    taken = timed(sampler._library)
    rounds = []
    for _ in range(TICKS):
        started = time.perf_counter()
        exporter.sampling.run_once()
        rounds.append((time.perf_counter() - started) * 1000)
        time.sleep(0.25)
    current = exporter.store.current
    if current is None or not current.is_up:
        print("no NVIDIA GPU can be read on this machine: nothing was tested")
        return 1
    versions = sampler.session.versions
    print(f"driver {versions.driver}, NVML {versions.nvml}, CUDA {versions.cuda}")
    print(f"as uid {os.geteuid()}, {rights()}")
    for gpu in sampler.session.inventory.gpus.values() if sampler.session.inventory else ():
        mode = f"MIG with {len(gpu.layout)} instances" if gpu.is_mig else "no MIG"
        print(f"GPU {gpu.device.index}: {gpu.device.name}, {gpu.device.bus_id}, {mode}")
    print(f"round: median {statistics.median(rounds):.2f} ms, longest {max(rounds):.2f} ms")
    print("\nslowest calls (milliseconds: median, longest, number)")
    slow = sorted(taken.items(), key=lambda one: -statistics.median(one[1]))
    for name, values in slow[:15]:
        print(f"  {name:48} {statistics.median(values):8.3f} {max(values):8.3f} {len(values)}")
    print("\ncapabilities")
    capabilities: Capabilities = sampler._context.capabilities
    for uuid in sampler.session.inventory.gpus if sampler.session.inventory else ():
        found = capabilities.of(uuid)
        lacking = sorted(name for name, there in found.items() if not there)
        print(f"  {uuid}: {len(found) - len(lacking)} there, lacking: {', '.join(lacking) or '-'}")
    print("\nmetrics, first series of each")
    shown: set[str] = set()
    for line in current.text.decode().splitlines():
        name = line.partition("{")[0]
        if not line.startswith("#") and name not in shown:
            shown.add(name)
            print(f"  {name:45} {line.rpartition(' ')[2]}")
    sampler.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
