"""A real Prometheus over a generated past that ends at `MOMENT`, and queries at that moment.

Written as blocks by promtool, so that nothing has to be scraped first and any two queries see the
same samples.
"""

from __future__ import annotations

import http.client
import random
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from metrics_apiserver.core.model import QueryResult
from metrics_apiserver.prometheus import decode, failures
from tests.fakes import prometheus
from tests.fakes.prometheus import Backend

MOMENT = 1_700_000_000
_STEP_SECONDS = 15
_STEPS = 40

NAMESPACES = ("a", "b", "a.c")
PODS = ("p1", "p2", "p.1", "px1", "p3")
NODES = ("n1", "n2")
_QUEUES = ("x", "y")
_CONTAINERS = ("main", "side")
_BUCKETS = ("0.1", "1", "+Inf")


def render(seed: int) -> str:
    """OpenMetrics text: gauges, counters with resets and histograms of pods, some without labels.

    Pods of the same name live in several namespaces, several series belong to one pod, and `total`,
    `limits` and `owner` are about other things.
    """
    chance = random.Random(seed)
    families = {
        "gauge": _pod_series(chance, ("queue", "container"), 0.8, gauge=True),
        "other": _pod_series(chance, ("queue",), 0.7, gauge=True),
        "count_total": _pod_series(chance, ("queue",), 0.8, gauge=False),
        "owner": _pod_series(chance, (), 1.0, gauge=True),
        "lat_bucket": _pod_series(chance, ("le",), 0.9, gauge=False),
        "total": {"": _gauge(chance)},
        "limits": {f'region="{region}"': _gauge(chance) for region in ("r1", "r2")},
        "quota": {f'namespace="{space}"': _gauge(chance) for space in NAMESPACES},
    }
    lines: list[str] = []
    for name, series in families.items():
        lines.append(f"# TYPE {name} unknown")
        for labels, value in series.items():
            for step in range(_STEPS):
                at = MOMENT - (_STEPS - 1 - step) * _STEP_SECONDS
                lines.append(f"{name}{{{labels}}} {value(step)} {at}")
    return "\n".join([*lines, "# EOF", ""])


_Value = Callable[[int], float]


def _pod_series(
    chance: random.Random, extra: tuple[str, ...], likely: float, *, gauge: bool
) -> dict[str, _Value]:
    """Values by labels, in the order of OpenMetrics' families."""
    choices = {"queue": _QUEUES, "container": _CONTAINERS, "le": _BUCKETS}
    sets: list[dict[str, str]] = [
        {"namespace": space, "pod": pod, "node": chance.choice(NODES)}
        for space in NAMESPACES
        for pod in PODS
    ]
    sets += [{"namespace": "a"}, {"pod": "p1"}, {"node": "n1"}, {}]
    for name in extra:
        sets = [{**labels, name: choice} for labels in sets for choice in choices[name]]
    make = _gauge if gauge else _counter
    return {
        ",".join(f'{name}="{text}"' for name, text in labels.items()): make(chance)
        for labels in sets
        if chance.random() < likely
    }


def _gauge(chance: random.Random) -> _Value:
    values = [chance.choice([0.0, 1.0, 2.5, chance.uniform(-5, 100)]) for _ in range(_STEPS)]
    if chance.random() < 0.05:
        values[-1] = chance.choice([float("nan"), float("inf")])
    return values.__getitem__


def _counter(chance: random.Random) -> _Value:
    values, count = [], 0.0
    for _ in range(_STEPS):
        count = 0.0 if chance.random() < 0.03 else count + chance.choice([0.0, 1.0, 7.0])
        values.append(count)
    return values.__getitem__


@contextmanager
def running(directory: Path, text: str) -> Iterator[Backend]:
    """A Prometheus that knows what the OpenMetrics text says; the directory is empty."""
    file = directory / "recorded.om"
    file.write_text(text)
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics"]
    subprocess.run([*command, str(file), str(directory / "tsdb")], check=True, capture_output=True)
    with prometheus.prometheus(directory, []) as backend:
        yield backend


def is_installed() -> bool:
    return prometheus.is_installed("prometheus") and prometheus.is_installed("promtool")


class RecordedBackend:
    """Instant queries at `MOMENT`, over one connection that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    async def query(self, text: str, *, timeout: float) -> QueryResult:
        """What the server's own client gives, for a fixed moment."""
        fields = {"query": text, "time": str(MOMENT), "timeout": f"{timeout:.3f}"}
        self._connection.request(
            "POST",
            "/api/v1/query",
            urllib.parse.urlencode(fields),
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise failures.from_response(answer.status, body)
        reader = decode.QueryReader()
        reader.feed(body)
        return reader.finish()

    def __enter__(self) -> RecordedBackend:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
