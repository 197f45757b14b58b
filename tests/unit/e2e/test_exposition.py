"""A scrape target exposes its fixture: constants as written, counters by the clock it is given."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from tests.fakes.exposition import Fixture, ScrapeTarget, series


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "series.prom"
    path.write_text('# words\n\nup{a="b c"} NaN\nseen_total{x="1"} rate=10 base=5\n')
    return path


def test_constants_keep_their_text_and_counters_rise(file: Path) -> None:
    clock = Clock()
    fixture = Fixture(file, clock)
    assert fixture.render() == 'up{a="b c"} NaN\nseen_total{x="1"} 5.000000\n'
    clock.now += 2.5
    assert fixture.age == 2.5
    assert fixture.render() == 'up{a="b c"} NaN\nseen_total{x="1"} 30.000000\n'


def test_label_values_are_escaped() -> None:
    assert series("m", 1, a='q"\\\n') == 'm{a="q\\"\\\\\\n"} 1.000000\n'


def test_a_label_may_be_called_as_a_parameter() -> None:
    assert series("m", 1, name="T4", value="x") == 'm{name="T4",value="x"} 1.000000\n'


def test_every_scrape_renders_anew() -> None:
    counts = iter(range(1, 10))
    with ScrapeTarget(lambda: series("scrapes", next(counts))) as target:
        for number in (1, 2):
            with urllib.request.urlopen(f"http://{target.target}/metrics") as answer:
                assert answer.read().decode() == f"scrapes{{}} {number}.000000\n"
