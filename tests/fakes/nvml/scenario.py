"""Writes the scenario of the fake NVML, as a whole and atomically.

Keys of a device (its index as text), every one a number unless said otherwise:
`uuid` `name` `bus_id` (texts) `minor` `util` `mem_util` `mem_total` `mem_used` `mem_reserved`
`power` `energy` `temperature` `fan` `clock_sm` `clock_mem` `enc` `dec` `replay` `throttle`
`license` `field.<id>` `gpm_supported` `gpm.<id>` `gpm.gi<n>.<id>` `event_types` `lost`
`no_permission` `init_ms` `stride535` `mig` `mig_pending` `mig.<n>` (a MIG UUID or -)
`profile.<n>` (text) `profile_of.<gi>` `xid` and `mig_event` (happen once, at their time).
A number may be followed by ` rate=<per second>`; `err=<code>` is a failure.

`proc.<pid>` is `mem= sm= memu= enc= dec= kind=C|G|M gi= ci= listed=0 listed_pid=` or `off`.
Keys of a MIG UUID: `name` `gi` `ci` `mem_total` `mem_used` `mem_reserved` `slices`.
Keys of `*`: `devices` `driver` `nvml` `cuda` `init_ms` `live_count`; and of any device or `*`:
`fail.<symbol>` is `<code> [after=n] [times=n]`, `hang.<symbol>` milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20
XID_EVENT = 0x8
DOUBLE_BIT_ERROR_EVENT = 0x2
MIG_EVENT = 0x100

_PROFILES = ("1g.10gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb", "1g.20gb")
_BOARD: dict[str, str | float] = {
    "name": "NVIDIA H100 80GB HBM3",
    "util": 0,
    "mem_util": 0,
    "mem_total": 81559 * MIB,
    "mem_used": 0,
    "mem_reserved": 551 * MIB,
    "power": 70_500,
    "energy": 1_000_000,
    "temperature": 34,
    "clock_sm": 345,
    "clock_mem": 2619,
    "enc": 0,
    "dec": 0,
    "replay": 0,
    "throttle": 1,
    "event_types": XID_EVENT | DOUBLE_BIT_ERROR_EVENT,
}


def gpu_uuid(index: int) -> str:
    """The UUID that `Scenario.add_gpus` gives."""
    return f"GPU-{index:08x}-1111-2222-3333-444444444444"


def mig_uuid(index: int, instance: int) -> str:
    """The UUID that `Scenario.add_instance` gives."""
    return f"MIG-{index:08x}-aaaa-bbbb-cccc-{instance:012x}"


@dataclass
class Scenario:
    """Key by key; `write` is what the library sees.

    Attributes:
        path: the file, FAKE_NVML_SCENARIO of the process under test.
    """

    path: Path
    _lines: dict[tuple[str, str, int], str] = field(default_factory=dict)

    def set(self, device: int | str, key: str, value: str | float, at_ms: int = 0) -> Scenario:
        """Gives a key its value from a time after the next (re)load on."""
        self._lines[str(device), key, at_ms] = str(value)
        return self

    def unset(self, device: int | str, key: str) -> Scenario:
        """Takes a key away at all its times."""
        self._lines = {at: v for at, v in self._lines.items() if at[:2] != (str(device), key)}
        return self

    def add_gpus(self, count: int, **overrides: str | float) -> Scenario:
        """GPUs like an H100 with nothing running, numbered from 0."""
        self.set("*", "devices", count)
        self.set("*", "driver", "550.54.15").set("*", "nvml", "12.550.54.15")
        for index in range(count):
            for key, value in (_BOARD | overrides).items():
                self.set(index, key, value)
            self.set(index, "uuid", gpu_uuid(index)).set(index, "minor", index)
            self.set(index, "bus_id", f"00000000:{index + 1:02X}:00.0")
        return self

    def add_instance(self, index: int, instance: int, gi: int, profile: str = "1g.10gb") -> str:
        """A MIG instance on a GPU, which is put into MIG mode; gives its UUID."""
        uuid = mig_uuid(index, instance)
        number = _PROFILES.index(profile)
        self.set(index, "mig", 1).set(index, f"mig.{instance}", uuid)
        self.set(index, f"profile.{number}", f"MIG {profile}")
        self.set(index, f"profile_of.{gi}", number)
        values = {"gi": gi, "ci": 0, "mem_total": 9856 * MIB, "mem_used": 12 * MIB, "slices": 1}
        for key, value in values.items():
            self.set(uuid, key, value)
        self.set(uuid, "name", f"NVIDIA H100 80GB HBM3 MIG {profile}")
        return uuid

    def process(self, device: int, pid: int, **values: str | float) -> Scenario:
        """A process on a GPU: `mem` in bytes, `sm`, `memu`, `enc`, `dec` in percent, and so on."""
        text = " ".join(f"{key}={value}" for key, value in values.items())
        return self.set(device, f"proc.{pid}", text or "mem=0")

    def write(self) -> None:
        """Replaces the file in one step."""
        lines = (f"{at} {device} {key} {v}" for (device, key, at), v in self._lines.items())
        temporary = self.path.with_suffix(".new")
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        temporary.replace(self.path)
