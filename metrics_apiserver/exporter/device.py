"""Reads one GPU: the probes that are due, the averaged duty cycle, its processes and instances.

Each value fails on its own. Only errors that concern the whole device or library are raised: a lost
GPU, a stale handle, or a library that must be initialised again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from metrics_apiserver.exporter import activity, probes
from metrics_apiserver.exporter.activity import ActivityReader
from metrics_apiserver.exporter.device_caller import RAISED, DeviceCaller, NVMLContext
from metrics_apiserver.exporter.duty_cycle import DutyCycle
from metrics_apiserver.exporter.model import Device, ProcessMemory, Reading
from metrics_apiserver.exporter.nvml import gpm, instances
from metrics_apiserver.exporter.nvml.library import Code, Handle, NVMLError
from metrics_apiserver.exporter.probes import ReadInterval
from metrics_apiserver.exporter.process_tracker import ProcessTracker
from metrics_apiserver.exporter.rates import Rates
from metrics_apiserver.exporter.values import Values
from metrics_apiserver.exporter.window import Window

_MEMORY = "nvmlDeviceGetMemoryInfo"
_FIELDS = "nvmlDeviceGetFieldValues"


class _Instance:
    """A MIG instance: its memory and, on Hopper and later, its activity.

    Args:
        is_exclusive: no other compute instance is on its GPU instance. Memory and activity are
            those of the GPU instance, so for an instance that shares it only the processes are
            known.
    """

    def __init__(
        self, device: Device, handle: Handle, window_seconds: float, is_exclusive: bool
    ) -> None:
        self.device = device
        self.handle = handle
        self.is_exclusive = is_exclusive
        self.sm = Window(window_seconds)
        self.duty = Window(window_seconds)


class Gpu:
    """A GPU during one initialisation of NVML.

    Args:
        found: its MIG instances; None if MIG is disabled.
        now: monotonic seconds.
    """

    def __init__(
        self,
        context: NVMLContext,
        device: Device,
        handle: Handle,
        found: Sequence[instances.MigDevice] | None,
        now: float,
    ) -> None:
        window = context.settings.window_seconds
        self.device = device
        self.handle = handle
        self.is_mig = found is not None
        self.is_mig_pending = False  # its mode changes at the next reset; see inventory
        self.layout = instances.layout(found or ())
        self._caller = DeviceCaller(context, device.uuid, now)
        self._groups = context.settings.groups
        on = Counter(one.gi for one in found or ())
        self._instances = [
            _Instance(_instance_device(device, one), one.handle, window, on[one.gi] == 1)
            for one in found or ()
        ]
        self._due: dict[ReadInterval, float] = dict.fromkeys(ReadInterval, float("-inf"))
        self._values = Values(self._caller.count_dropped)
        self._duty_cycle = DutyCycle(self._caller, handle, window)
        self._processes = ProcessTracker(self._caller, handle)
        self._rates = Rates()
        self._activity = ActivityReader(self._caller, handle)

    @property
    def is_broken(self) -> bool:
        """The last round had unknown errors and no successful call."""
        return self._caller.is_broken

    def read(self, now: float) -> list[Reading]:
        """One sampling round: the readings of the GPU and of its instances.

        Raises:
            NVMLError: a code of `device_caller.RAISED`, or INVALID_ARGUMENT for a stale MIG handle.
        """
        caller = self._caller
        caller.begin_round(now)
        due = [interval for interval in ReadInterval if now >= self._due[interval]]
        for interval in due:
            self._due[interval] = now + interval - 0.01  # rounds are not exactly a second apart
        self._read_memory()
        for probe in probes.PROBES:
            if probe.interval in due and self._is_collected(probe.group):
                self._read_probe(probe)
        for interval in due:
            self._read_fields(interval)
        self._read_duty()
        if not self.is_mig:
            self._read_activity()
        self._processes.read_uses(self._is_busy())
        if ReadInterval.MEDIUM in due:
            self._processes.read_memory(self._values.get("memory_used"))
        return self._readings()

    def restart(self, uuid: str) -> None:
        """Clears what was measured for the previous pods, because the device was reallocated."""
        own = [one for one in self._instances if one.device.uuid == uuid]
        if uuid == self.device.uuid:
            self._duty_cycle.clear()
        elif not own:
            return
        for one in own:
            one.sm.clear()
            one.duty.clear()
        self._processes.forget_memory()
        self._due[ReadInterval.MEDIUM] = float("-inf")

    def close(self) -> None:
        """Frees what was allocated in NVML."""
        self._activity.close()

    def _is_busy(self) -> bool:
        """True also if utilisation is unknown: an empty process list then proves nothing."""
        for key in ("gpu_util", "duty_cycle"):
            if (value := self._values.get(key)) is not None:
                return value > 0
        return True

    def _is_collected(self, group: str) -> bool:
        return not group or group in self._groups

    def _read_memory(self) -> None:
        caller = self._caller
        self._values.keep_memory(
            caller.attempt(_MEMORY, partial(caller.library.memory, self.handle)),
            caller.attempt(_MEMORY, partial(caller.library.memory_v1, self.handle)),
        )

    def _read_probe(self, probe: probes.Probe) -> None:
        caller = self._caller
        calls = [(probe.call, probe.arguments)]
        if probe.otherwise is not None:
            calls.append(probe.otherwise)
        found: tuple[float | None, ...] = (None,) * len(probe.keys)
        for call, arguments in calls:
            name = ".".join((call, *map(str, arguments)))
            answer = caller.attempt(
                name, partial(caller.library.call, call, self.handle, *arguments)
            )
            if answer is not None:
                found = probe.pick(answer)
                break
        for key, value in zip(probe.keys, found, strict=True):
            self._values.keep(key, value)

    def _read_fields(self, interval: ReadInterval) -> None:
        caller = self._caller
        wanted = [
            field
            for field in probes.FIELDS
            if field.interval == interval
            and self._is_collected(field.group)
            and caller.allows(f"{_FIELDS}.{field.number}")
        ]
        if not wanted:
            return
        numbers = [field.number for field in wanted]
        found = caller.attempt(_FIELDS, partial(caller.library.field_values, self.handle, numbers))
        for field in wanted:
            value = (found or {}).get(field.number)
            if isinstance(value, NVMLError):
                caller.record_error(value.call, value)
                value = None
            elif value is not None:
                caller.record_success(f"{_FIELDS}.{field.number}")
            self._values.keep(field.key, value)
        if interval is ReadInterval.FAST:
            for key, rate in self._rates.update(self._values, caller.now).items():
                self._values.keep(key, rate)

    def _read_duty(self) -> None:
        caller, values = self._caller, self._values
        if not caller.is_settled:
            values.keep("gpu_util", None)
            values.keep("mem_copy_util", None)
        values.keep("duty_cycle", self._duty_cycle.update(values.get("gpu_util")))

    def _read_activity(self) -> None:
        activity.keep(self._values, self._activity.measure(None))
        for key in ("tx", "rx"):
            if f"prof_pcie_{key}" not in self._values:
                self._values.keep(f"prof_pcie_{key}", self._values.get(f"pcie_{key}_rate"))

    def _readings(self) -> list[Reading]:
        state = self._processes
        if self.is_mig:
            whole = Reading(self.device, dict(self._values), is_split=True)
            return [whole, *(self._read_instance(one) for one in self._instances)]
        memory = None if state.memory is None else {p: m for p, (_, m) in state.memory.items()}
        uses = state.uses if self._caller.is_settled else None
        return [Reading(self.device, dict(self._values), uses, memory)]

    def _read_instance(self, one: _Instance) -> Reading:
        values = Values(self._caller.count_dropped)
        if one.is_exclusive:
            self._read_exclusive(one, values)
        return Reading(one.device, values, None, self._memory_of(one))

    def _memory_of(self, one: _Instance) -> dict[int, ProcessMemory] | None:
        """By pid; None if the driver does not report which of several instances a process is on."""
        gi, ci = one.device.gi, one.device.ci
        state = self._processes.memory
        if state is None or (
            not one.is_exclusive and any(on == (gi, None) for on, _ in state.values())
        ):
            return None
        return {pid: held for pid, (on, held) in state.items() if on in ((gi, ci), (gi, None))}

    def _read_exclusive(self, one: _Instance, values: Values) -> None:
        caller, library = self._caller, self._caller.library
        try:
            values.keep_memory(library.memory(one.handle), library.memory_v1(one.handle))
        except NVMLError as error:
            if error.code in (*RAISED, Code.INVALID_ARGUMENT):
                raise
            caller.record_error(f"{_MEMORY}.mig", error)
        measured = self._activity.measure(one.device.gi)
        activity.keep(values, measured)
        for window, key, number in (
            (one.sm, "sm_util", gpm.SM),
            (one.duty, "duty_cycle", gpm.GRAPHICS),
        ):
            value = measured.get(number)
            if value is not None and 0 <= value <= 100 and caller.is_settled:
                window.add(caller.now, value, caller.now)
            values.keep(key, window.mean(caller.now))


def _instance_device(gpu: Device, found: instances.MigDevice) -> Device:
    return replace(
        gpu, uuid=found.uuid, parent=gpu.uuid, gi=found.gi, ci=found.ci, profile=found.profile
    )
