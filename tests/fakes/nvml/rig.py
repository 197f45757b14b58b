"""The exporter without threads and HTTP: a test moves the clock, samples, and reads the text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter.attribution.source import AllocationSource
from metrics_apiserver.exporter.composer import Composer, ComposerInputs
from metrics_apiserver.exporter.exposition import RenderedExposition
from metrics_apiserver.exporter.model import (
    DeviceAllocation,
    NodeAllocations,
    Pod,
    ProcessOwner,
    Reading,
)
from metrics_apiserver.exporter.sampler import Sampler, SamplingRound
from metrics_apiserver.exporter.settings import Exposition, Sampling
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from metrics_apiserver.exporter.usage import UsageMeter
from metrics_apiserver.exporter.watchdog import Heartbeat
from tests.fakes.nvml.loaded import EPOCH_SECONDS, FakeNvml

_LINE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Labels = dict[str, str]


@dataclass(frozen=True)
class Text:
    """Parsed exposition text.

    Attributes:
        types: metric -> type, in order.
        samples: metric -> labels and value of each series.
    """

    types: dict[str, str]
    samples: dict[str, list[tuple[Labels, float]]]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the one series with these labels among others; None without one."""
        found = self.values(name, **labels)
        assert len(found) < 2, f"{len(found)} series of {name} with {labels}"
        return found[0] if found else None

    def values(self, name: str, **labels: str) -> list[float]:
        """The values of all series with these labels among others."""
        return [value for one, value in self.samples.get(name, []) if labels.items() <= one.items()]


def parse(text: str | bytes) -> Text:
    """Parses what the exporter wrote; fails on a line that is none."""
    whole = text.decode() if isinstance(text, bytes) else text
    types: dict[str, str] = {}
    samples: dict[str, list[tuple[Labels, float]]] = {}
    for line in whole.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"{name} has two types"
            types[name] = kind
        elif not line.startswith("# HELP "):
            match = _LINE.fullmatch(line)
            assert match is not None, line
            labels = dict(_LABEL.findall(match[2] or ""))
            samples.setdefault(match[1], []).append((labels, float(match[3])))
    return Text(types, samples)


class FakeAllocationSource:
    """A source of allocations that the test sets."""

    def __init__(self) -> None:
        self.known: NodeAllocations = NodeAllocations()

    def refresh(self) -> None:
        return

    def set(self, *allocations: DeviceAllocation) -> None:
        """From now on these are the allocations."""
        self.known = NodeAllocations(allocations, True)

    def allocations(
        self, readings: object, working: frozenset[tuple[str, Pod]], now: float
    ) -> NodeAllocations:
        return self.known


@dataclass
class Rig:
    """Everything between NVML and the text."""

    nvml: FakeNvml
    sampler: Sampler
    composer: Composer
    telemetry: ExporterTelemetry
    heartbeat: Heartbeat
    source: FakeAllocationSource
    wakes: list[float] = field(default_factory=list)
    last: SamplingRound | None = None
    exposition: RenderedExposition | None = None

    def sample(self, times: int = 1, seconds: float = 1.0) -> Text:
        """Runs sampling rounds; the text after the last one."""
        for _ in range(times):
            now = self.nvml.advance(seconds)
            self.last = self.sampler.sample(now)
            self.exposition = self.composer.compose(self.last, now)
        assert self.exposition is not None
        return parse(self.exposition.text + self.exposition.state)

    def reading(self, uuid: str) -> Reading:
        """A device's reading in the last round."""
        assert self.last is not None
        return next(one for one in self.last.readings if one.device.uuid == uuid)

    def count(self, name: str, **labels: str) -> float:
        """A value of the self-metrics."""
        return self.telemetry.registry.get_sample_value(f"gpu_exporter_{name}", labels) or 0.0


def build_rig(
    nvml: FakeNvml,
    *,
    sampling: Sampling | None = None,
    exposition: Exposition | None = None,
    owner_of: Callable[[int], ProcessOwner | None] | None = None,
    alive: Callable[[int], bool] | None = None,
    source: AllocationSource | None = None,
) -> Rig:
    """A rig; utilisation is settled at once unless the settings say otherwise."""
    sampling = sampling or Sampling(settle_seconds=0)
    sampling = replace(sampling, driver_proc=nvml.clock.parent / "gpus")
    telemetry = ExporterTelemetry(CollectorRegistry())
    heartbeat = Heartbeat()

    def wall() -> float:
        return EPOCH_SECONDS + nvml.now

    sampler = Sampler(sampling, telemetry, heartbeat, alive=alive, wall=wall, now=nvml.now)
    fake, wakes = FakeAllocationSource(), list[float]()

    def count_error(reason: str) -> None:
        telemetry.attribution_errors.labels(reason).inc()

    inputs = ComposerInputs(
        source=source or fake,
        meter=UsageMeter(sampling.window_seconds, owner_of, count_error),
        telemetry=telemetry,
        restart_windows=sampler.restart_windows,
        wake=lambda: wakes.append(nvml.now),
        wants_gzip=lambda: False,
        wall=wall,
    )
    composer = Composer(exposition or Exposition(node="node-1"), inputs, sampling.window_seconds)
    return Rig(nvml, sampler, composer, telemetry, heartbeat, fake, wakes)
