"""A real Prometheus that holds a past and a future from the start: nothing has to be scraped first.

The fixture's series (format of `exposition`) are written as blocks by promtool, from ten minutes
ago until half an hour from now, so that each query finds the values of its own moment.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes import prometheus
from tests.fakes.exposition import render_fixture
from tests.fakes.prometheus import Backend

PAST_SECONDS = 600
FUTURE_SECONDS = 1800
STEP_SECONDS = 10


def render(fixture: str, now: int) -> str:
    """OpenMetrics text with every series at every step."""
    samples: dict[str, list[str]] = {}
    for at in range(now - PAST_SECONDS, now + FUTURE_SECONDS, STEP_SECONDS):
        for line in render_fixture(fixture, at - now + PAST_SECONDS).splitlines():
            series, _, value = line.rpartition(" ")
            samples.setdefault(series, []).append(f"{series} {value} {at}")
    lines: list[str] = []
    for series in sorted(samples, key=lambda series: series.partition("{")[0]):
        lines += samples[series]
    return "\n".join([*lines, "# EOF", ""])


def write(directory: Path, fixture: str) -> None:
    """Writes the blocks where `prometheus.prometheus` has its data."""
    text = directory / "backfill.om"
    now = int(time.time())  # noqa: TID251 - Prometheus reads this clock too
    text.write_text(render(fixture, now))
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics"]
    subprocess.run([*command, str(text), str(directory / "tsdb")], check=True, capture_output=True)


@contextmanager
def running(directory: Path, fixture: str) -> Iterator[Backend]:
    """A Prometheus over the fixture; the directory is empty."""
    write(directory, fixture)
    with prometheus.prometheus(directory, []) as backend:
        yield backend
