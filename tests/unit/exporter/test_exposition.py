"""What a sampling round renders, and for how long the exporter serves it."""

from __future__ import annotations

import gzip
import json

from metrics_apiserver.exporter import exposition
from metrics_apiserver.exporter.exposition import ExpositionStore, RenderedExposition
from metrics_apiserver.exporter.families.pods import PodGPUMetrics
from metrics_apiserver.exporter.families.text import MetricFamily
from metrics_apiserver.exporter.model import Pod
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.watchdog import Heartbeat
from tests.fakes.clock import Clock


def family(name: str, count: int) -> MetricFamily:
    return MetricFamily(name, "gauge", "Help.", [(f'{{n="{n}"}}', n) for n in range(count)])


def test_whole_metrics_are_left_out() -> None:
    dropped: list[tuple[str, int]] = []
    families = [family("first", 3), family("second", 5), family("third", 2)]
    text, series = exposition.render(families, 6, lambda name, size: dropped.append((name, size)))
    assert series == 5
    assert dropped == [("second", 5)]
    assert text.count(b"# TYPE") == 2
    assert b'third{n="1"} 1\n' in text


def test_the_document() -> None:
    numbers = {Pod("ai", "bert"): PodGPUMetrics({"gpu_pod_devices": 2.0}, "device")}
    assert json.loads(exposition.document(numbers, "node-1", 12.3456, 15.0)) == {
        "version": 1,
        "node": "node-1",
        "timestamp_ms": 12345,
        "window_s": 15.0,
        "items": [
            {
                "namespace": "ai",
                "pod": "bert",
                "source": "device",
                "metrics": {"gpu_pod_devices": 2},
            }
        ],
    }


def test_compression() -> None:
    assert gzip.decompress(exposition.compress(b"one\n" * 9)) == b"one\n" * 9
    assert exposition.compress(b"x") == exposition.compress(b"x"), "the output has no timestamp"


def test_freshness() -> None:
    clock = Clock(100.0)
    store = ExpositionStore(Sampling(), Heartbeat(clock), clock)
    assert not store.is_fresh
    assert not store.is_up
    store.publish(RenderedExposition(clock.now, 0.0, is_up=True))
    seen = []
    for passed in (0, 21, 10):
        clock.now += passed
        seen.append((store.is_fresh, store.is_up))
    assert seen == [(True, True), (True, False), (False, False)], "first stale, then too old"


def test_the_age_limit_grows_with_slow_rounds() -> None:
    clock = Clock(100.0)
    store = ExpositionStore(Sampling(interval_seconds=20), Heartbeat(clock), clock)
    store.publish(RenderedExposition(clock.now, 0.0, is_up=False))
    clock.now += 99
    assert store.is_fresh
    assert not store.is_up


def test_gzip_is_rendered_while_clients_accept_it() -> None:
    clock = Clock(100.0)
    store = ExpositionStore(Sampling(), Heartbeat(clock), clock)
    assert not store.wants_gzip()
    store.ask_for_gzip()
    assert store.wants_gzip()
    clock.now += 301
    assert not store.wants_gzip()


def test_the_age_limit_follows_the_interval() -> None:
    clock = Clock(100.0)
    store = ExpositionStore(Sampling(), Heartbeat(clock), clock)
    store.publish(RenderedExposition(clock.now, 0.0, is_up=True))
    store.expect(10)
    clock.now += 45
    assert store.is_fresh
    store.expect(1)
    assert not store.is_fresh
