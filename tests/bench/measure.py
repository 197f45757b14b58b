"""What a benchmark reads off: processor time and memory of processes, and Prometheus' counts."""

from __future__ import annotations

import json
import platform
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests import builds

_HANDLERS = ("/api/v1/query", "/api/v1/series", "/api/v1/label/:name/values", "/api/v1/labels")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children."""
    process = psutil.Process(pid)
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        times = one.cpu_times()
        total += times.user + times.system
    return total


def machine_cpu_seconds() -> float:
    """Time that all cores together were busy, whatever with."""
    times = psutil.cpu_times()
    waiting: float = times.idle + times.iowait
    return sum(times[:8]) - waiting


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its children, in MB of 10^6 bytes."""
    process = psutil.Process(pid)
    everyone = (process, *process.children(recursive=True))
    return sum(one.memory_info().rss for one in everyone) / 1e6


def requests_answered(prometheus_url: str) -> dict[str, float]:
    """Requests that a Prometheus has answered, by API path."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{prometheus_url}/metrics", timeout=10.0) as answer:
        text = answer.read().decode()
    totals = dict.fromkeys(_HANDLERS, 0.0)
    for line in text.splitlines():
        if line.startswith("prometheus_http_requests_total"):
            for path in _HANDLERS:
                if f'handler="{path}"' in line:
                    totals[path] += float(line.rsplit(" ", 1)[1])
    return totals


def machine() -> str:
    """The machine in a line, to stand beside figures."""
    memory = psutil.virtual_memory().total / 2**30
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"{model}, {psutil.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def build_load_generator() -> Path:
    """The program of tests/bench/loadgen, built into .cache."""
    target = builds.ROOT / ".cache/bench/loadgen"
    target.parent.mkdir(parents=True, exist_ok=True)
    builds.go_build(builds.ROOT / "tests/bench/loadgen", output=target)
    return target


@dataclass(frozen=True)
class Load:
    """One run of the load generator.

    Attributes:
        workers: requests in flight.
        rate: requests a second at fixed times; 0 is a closed loop.
    """

    workers: int
    seconds: int
    rate: float = 0.0

    @property
    def title(self) -> str:
        return f"{self.rate:g}/s" if self.rate else f"{self.workers} workers"


def run_load(program: Path, load: Load, flags: Mapping[str, str]) -> dict[str, float]:
    """What the generator reports; an error in it fails the benchmark."""
    command = [str(program), "-workers", str(load.workers), "-duration", f"{load.seconds}s"]
    if load.rate:
        command += ["-rate", str(load.rate)]
    for name, value in flags.items():
        command += [f"-{name}", value]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report: dict[str, float] = json.loads(done.stdout)
    return report


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])
