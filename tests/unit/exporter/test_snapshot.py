"""The finished texts of a tick."""

from __future__ import annotations

import gzip
import json

from metrics_apiserver.exporter import snapshot
from metrics_apiserver.exporter.families.pods import PodNumbers
from metrics_apiserver.exporter.families.text import Family
from metrics_apiserver.exporter.model import Pod


def family(name: str, count: int) -> Family:
    return Family(name, "gauge", "Help.", [(f'{{n="{n}"}}', n) for n in range(count)])


def test_whole_metrics_are_left_out() -> None:
    dropped: list[tuple[str, int]] = []
    families = [family("first", 3), family("second", 5), family("third", 2)]
    text, series = snapshot.render(families, 6, lambda name, size: dropped.append((name, size)))
    assert series == 5
    assert dropped == [("second", 5)]
    assert text.count(b"# TYPE") == 2
    assert b'third{n="1"} 1\n' in text


def test_the_document() -> None:
    numbers = {Pod("ai", "bert"): PodNumbers({"gpu_pod_devices": 2.0}, "device")}
    assert json.loads(snapshot.document(numbers, "node-1", 12.3456, 15.0)) == {
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
    assert gzip.decompress(snapshot.compress(b"one\n" * 9)) == b"one\n" * 9
    assert snapshot.compress(b"x") == snapshot.compress(b"x"), "no time is in it"
