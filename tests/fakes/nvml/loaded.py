"""The fake NVML inside the test process, on a clock that the test advances.

pynvml is given the library instead of searching for it, and forgets it at the end.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pynvml

from tests.fakes.nvml import build
from tests.fakes.nvml.scenario import Scenario

EPOCH_SECONDS = 1_700_000_000


@dataclass
class FakeNvml:
    """A loaded library.

    Attributes:
        now: monotonic seconds for the code under test; the library's clock runs beside it.
        skew: seconds by which the library's clock was set on, or back.
    """

    library: ctypes.CDLL
    scenario: Scenario
    clock: Path
    now: float = 1000.0
    skew: float = 0.0

    def advance(self, seconds: float) -> float:
        """Moves both clocks on; the new `now`."""
        self.now += seconds
        self._write_clock()
        return self.now

    def _write_clock(self) -> None:
        stamp = int((EPOCH_SECONDS + self.now + self.skew) * 1_000_000)
        # In place: the library has the file mapped.
        with self.clock.open("r+b" if self.clock.exists() else "wb") as file:
            file.write(stamp.to_bytes(8, "little"))

    def write(self) -> None:
        """The scenario from now on: its times count from here."""
        self.scenario.write()
        self.library.fake_nvml_poll()

    @property
    def stale_uses(self) -> int:
        """How often a handle of an earlier initialisation was used."""
        return ctypes.c_int.in_dll(self.library, "fake_nvml_stale_uses").value

    @property
    def attached(self) -> int:
        """How many GPUs were opened, over all initialisations."""
        return ctypes.c_int.in_dll(self.library, "fake_nvml_attached").value


@contextmanager
def loaded(directory: Path, *, old_driver: bool = False) -> Iterator[FakeNvml]:
    """The library, with an empty scenario in the directory."""
    library = ctypes.CDLL(str(build.library(old_driver=old_driver)))
    fake = FakeNvml(library, Scenario(directory / "scenario"), directory / "clock")
    before = {name: os.environ.get(name) for name in ("FAKE_NVML_SCENARIO", "FAKE_NVML_CLOCK")}
    os.environ["FAKE_NVML_SCENARIO"] = str(fake.scenario.path)
    os.environ["FAKE_NVML_CLOCK"] = str(fake.clock)
    fake.advance(0)
    fake.write()
    _hand_over(library)
    try:
        yield fake
    finally:
        while library.nvmlShutdown() == 0:
            continue
        _hand_over(None)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _hand_over(library: ctypes.CDLL | None) -> None:
    pynvml.nvmlLib = library
    pynvml._nvmlGetFunctionPointer_cache.clear()
