"""Turns the readings of a round into its exposition: attribution, pod metrics, families, text.

It runs in the sampling thread, so that a scrape has nothing left to compute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from prometheus_client import generate_latest

from metrics_apiserver.exporter import exposition, rows
from metrics_apiserver.exporter.attribution.source import AllocationSource
from metrics_apiserver.exporter.exposition import RenderedExposition
from metrics_apiserver.exporter.families import custom, dcgm, nvidia_gpu, pods, state
from metrics_apiserver.exporter.families.text import MetricFamily
from metrics_apiserver.exporter.model import NodeAllocations, NodeUsage, Pod, Reading
from metrics_apiserver.exporter.sampler import SamplingRound
from metrics_apiserver.exporter.settings import Exposition
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from metrics_apiserver.exporter.usage import UsageMeter

# Averages, and values that are read rarely: they predate the reallocation of a device.
_STALE_KEYS = ("duty_cycle", "sm_util", "enc_util", "dec_util")


@dataclass(frozen=True, slots=True)
class ComposerInputs:
    """What the composer depends on.

    Attributes:
        restart_windows: called with each device that was reallocated.
        wake: asks for an early refresh of the allocations.
        wants_gzip: whether a client accepted gzip recently.
    """

    source: AllocationSource
    meter: UsageMeter
    telemetry: ExporterTelemetry
    restart_windows: Callable[[str], None]
    wake: Callable[[], None]
    wants_gzip: Callable[[], bool]
    wall: Callable[[], float]


class Composer:
    """Keeps what outlasts a round: the allocations and the known processes.

    Args:
        window_seconds: shown in the JSON document.
    """

    def __init__(self, settings: Exposition, inputs: ComposerInputs, window_seconds: float) -> None:
        self._settings = settings
        self._inputs = inputs
        self._window_seconds = window_seconds
        self._dcgm = dcgm.DcgmBuilder(settings)
        self._custom = custom.CustomBuilder(settings)
        self._pods = pods.PodMetricsCalculator(
            settings.fall_back_to_device, settings.warmup_seconds
        )
        self._assigned: dict[str, frozenset[Pod]] = {}
        self._active: frozenset[tuple[str, Pod]] = frozenset()
        self._seen: frozenset[object] = frozenset()

    def compose(self, sampled: SamplingRound, now: float) -> RenderedExposition:
        """The exposition of one round.

        Args:
            sampled: result of the sampler.
            now: monotonic seconds.
        """
        allocations = self._inputs.source.allocations(sampled.readings, self._active, now)
        sampled = replace(sampled, readings=self._reset_reallocated(sampled, allocations))
        self._wake_for_new_processes(sampled.readings)
        usage = self._inputs.meter.update(sampled.readings, allocations, now)
        self._active = frozenset((record.device, record.pod) for record in usage.processes)
        self._inputs.telemetry.unattributed.set(usage.unattributed)
        pod_metrics = self._pods.calculate(sampled.readings, allocations, usage, now)
        wall = self._inputs.wall()
        text, series = exposition.render(
            self._families(sampled, allocations, usage, pod_metrics),
            self._settings.max_series,
            self._drop,
        )
        state_, _ = exposition.render(
            state.build(sampled.states, sampled.absent) if sampled.is_up else (),
            self._settings.max_series,
            self._drop,
        )
        whole = text + state_ + self._show(sampled, series, wall)
        packed = exposition.compress(whole) if self._inputs.wants_gzip() else None
        return RenderedExposition(
            now,
            wall,
            sampled.is_up,
            text,
            state_,
            whole,
            packed,
            exposition.document(pod_metrics, self._settings.node, wall, self._window_seconds),
            series,
        )

    def _show(self, sampled: SamplingRound, series: int, wall: float) -> bytes:
        """Renders the metrics of the process, updated for this round."""
        telemetry, versions = self._inputs.telemetry, sampled.versions
        telemetry.up.set(sampled.is_up)
        telemetry.series.set(series)
        telemetry.last_sample.set(wall)
        if sampled.is_up:
            telemetry.show_versions(versions.nvml, versions.driver, versions.cuda)
        return generate_latest(telemetry.registry)

    def _reset_reallocated(
        self, sampled: SamplingRound, allocations: NodeAllocations
    ) -> tuple[Reading, ...]:
        """The readings, without past values for reallocated devices; their windows restart."""
        if not allocations.is_known:
            return sampled.readings
        assigned: dict[str, frozenset[Pod]] = defaultdict(frozenset)
        for allocation in allocations.devices:
            assigned[allocation.device] |= {allocation.pod}
        changed = {
            device
            for device in assigned.keys() | self._assigned.keys()
            if assigned.get(device) != self._assigned.get(device)
        }
        self._assigned = dict(assigned)
        for device in changed:
            self._inputs.restart_windows(device)
        return tuple(
            self._without_past_values(one) if one.device.uuid in changed else one
            for one in sampled.readings
        )

    def _without_past_values(self, reading: Reading) -> Reading:
        values = {key: value for key, value in reading.values.items() if key not in _STALE_KEYS}
        if self._inputs.meter.attributes_pids:
            return replace(reading, values=values)
        # Processes of the previous pod would be counted for the new one.
        return replace(reading, values=values, uses=None, memory=None)

    def _wake_for_new_processes(self, readings: Iterable[Reading]) -> None:
        """Asks for a refresh if there is a new device or process: its pod may be new."""
        seen = frozenset(
            one
            for reading in readings
            for one in (reading.device.uuid, *(reading.memory or ()), *(reading.uses or ()))
        )
        if seen - self._seen:
            self._inputs.wake()
        self._seen = seen

    def _families(
        self,
        sampled: SamplingRound,
        allocations: NodeAllocations,
        usage: NodeUsage,
        pod_metrics: dict[Pod, pods.PodGPUMetrics],
    ) -> list[MetricFamily]:
        """The most important first, so that what an HPA reads survives the series limit."""
        settings, chosen = self._settings, self._settings.families
        if not sampled.is_up:
            return []
        built = rows.build(sampled.readings, allocations, usage, settings.fall_back_to_device)
        found: list[MetricFamily] = []
        if "pods" in chosen:
            found += pods.build(pod_metrics, settings.node)
        if "nvidia_gpu" in chosen:
            found += nvidia_gpu.build(built, sampled.count, settings.node)
        if "custom" in chosen:
            found += self._custom.build(built, usage, sampled.versions.driver)
        if "dcgm" in chosen:
            found += self._dcgm.build(built, sampled.states, sampled.versions.driver, sampled.count)
        return found

    def _drop(self, metric: str, count: int) -> None:
        self._inputs.telemetry.dropped_series.labels(metric).inc(count)
