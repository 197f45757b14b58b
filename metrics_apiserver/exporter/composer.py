"""From a tick's readings to its snapshot: attribution, pods' numbers, families, text.

It runs in the sampling thread, so that a scrape finds everything done.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from prometheus_client import generate_latest

from metrics_apiserver.exporter import rows, snapshot
from metrics_apiserver.exporter.attribution.source import Source
from metrics_apiserver.exporter.families import custom, dcgm, nvidia_gpu, pods, state
from metrics_apiserver.exporter.families.text import Family
from metrics_apiserver.exporter.model import Allocation, Pod, Reading
from metrics_apiserver.exporter.sampler import Pass
from metrics_apiserver.exporter.settings import Exposition
from metrics_apiserver.exporter.snapshot import Snapshot
from metrics_apiserver.exporter.telemetry import Telemetry
from metrics_apiserver.exporter.usage import Meter, Usage

# Means, and what is read seldom: they are of the time before a unit changed hands.
_OLD = ("duty_cycle", "sm_util", "enc_util", "dec_util")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the composer works with.

    Attributes:
        restart_windows: told a unit that changed hands.
        wake: asks for a new look at the holders.
        wants_gzip: whether somebody asked for compressed text lately.
    """

    source: Source
    meter: Meter
    telemetry: Telemetry
    restart_windows: Callable[[str], None]
    wake: Callable[[], None]
    wants_gzip: Callable[[], bool]
    wall: Callable[[], float]


class Composer:
    """Keeps what must outlast a tick: who held what, and which processes were seen.

    Args:
        window_seconds: told in the JSON document.
    """

    def __init__(self, settings: Exposition, parts: Parts, window_seconds: float) -> None:
        self._settings = settings
        self._parts = parts
        self._window_seconds = window_seconds
        self._dcgm = dcgm.Builder(settings)
        self._custom = custom.Builder(settings)
        self._pods = pods.Calculator(settings.fall_back_to_device, settings.warmup_seconds)
        self._holders: dict[str, frozenset[Pod]] = {}
        self._working: frozenset[tuple[str, Pod]] = frozenset()
        self._seen: frozenset[object] = frozenset()

    def compose(self, tick: Pass, now: float) -> Snapshot:
        """One tick's snapshot.

        Args:
            tick: what the sampler found.
            now: monotonic seconds.
        """
        allocation = self._parts.source.allocation(tick.readings, self._working, now)
        tick = replace(tick, readings=self._begin_anew(tick, allocation))
        self._wake_for_news(tick.readings)
        usage = self._parts.meter.update(tick.readings, allocation, now)
        self._working = frozenset((part.unit, part.pod) for part in usage.processes)
        self._parts.telemetry.unattributed.set(usage.unattributed)
        numbers = self._pods.calculate(tick.readings, allocation, usage, now)
        wall = self._parts.wall()
        text, series = snapshot.render(
            self._families(tick, allocation, usage, numbers),
            self._settings.max_series,
            self._drop,
        )
        state_, _ = snapshot.render(
            state.build(tick.states, tick.absent) if tick.is_up else (),
            self._settings.max_series,
            self._drop,
        )
        whole = text + state_ + self._show(tick, series, wall)
        packed = snapshot.compress(whole) if self._parts.wants_gzip() else None
        return Snapshot(
            now,
            wall,
            tick.is_up,
            text,
            state_,
            whole,
            packed,
            snapshot.document(numbers, self._settings.node, wall, self._window_seconds),
            series,
        )

    def _show(self, tick: Pass, series: int, wall: float) -> bytes:
        """The process's own metrics, beside what this tick found."""
        telemetry, versions = self._parts.telemetry, tick.versions
        telemetry.up.set(tick.is_up)
        telemetry.series.set(series)
        telemetry.last_sample.set(wall)
        if tick.is_up:
            telemetry.show_versions(versions.nvml, versions.driver, versions.cuda)
        return generate_latest(telemetry.registry)

    def _begin_anew(self, tick: Pass, allocation: Allocation) -> tuple[Reading, ...]:
        """The readings, of units that changed hands without their past; their windows restart."""
        if not allocation.is_known:
            return tick.readings
        holders: dict[str, frozenset[Pod]] = defaultdict(frozenset)
        for holding in allocation.holdings:
            holders[holding.unit] |= {holding.pod}
        changed = {
            unit
            for unit in holders.keys() | self._holders.keys()
            if holders.get(unit) != self._holders.get(unit)
        }
        self._holders = dict(holders)
        for unit in changed:
            self._parts.restart_windows(unit)
        return tuple(
            self._without_past(one) if one.unit.uuid in changed else one for one in tick.readings
        )

    def _without_past(self, reading: Reading) -> Reading:
        values = {key: value for key, value in reading.values.items() if key not in _OLD}
        if self._parts.meter.tells_pids:
            return replace(reading, values=values)
        # Processes of the holder before would be counted for the new one.
        return replace(reading, values=values, uses=None, memory=None)

    def _wake_for_news(self, readings: Iterable[Reading]) -> None:
        """A unit or process not seen before may mean a pod not known yet."""
        seen = frozenset(
            one
            for reading in readings
            for one in (reading.unit.uuid, *(reading.memory or ()), *(reading.uses or ()))
        )
        if seen - self._seen:
            self._parts.wake()
        self._seen = seen

    def _families(
        self,
        tick: Pass,
        allocation: Allocation,
        usage: Usage,
        numbers: dict[Pod, pods.PodNumbers],
    ) -> list[Family]:
        """The most needed first: what an HPA reads survives a limit."""
        settings, chosen = self._settings, self._settings.families
        if not tick.is_up:
            return []
        built = rows.build(tick.readings, allocation, usage, settings.fall_back_to_device)
        found: list[Family] = []
        if "pods" in chosen:
            found += pods.build(numbers, settings.node)
        if "nvidia_gpu" in chosen:
            found += nvidia_gpu.build(built, tick.count, settings.node)
        if "custom" in chosen:
            found += self._custom.build(built, usage, tick.versions.driver)
        if "dcgm" in chosen:
            found += self._dcgm.build(built, tick.states, tick.versions.driver, tick.count)
        return found

    def _drop(self, metric: str, count: int) -> None:
        self._parts.telemetry.dropped_series.labels(metric).inc(count)
