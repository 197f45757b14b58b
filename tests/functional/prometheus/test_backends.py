"""The fakes keep their promises: what a test exposes is what a backend answers, faults included."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.fakes import prometheus as backends
from tests.fakes.exposition import Exposition, render_fixture
from tests.fakes.prometheus import Backend


def test_fixture_format() -> None:
    text = '# a comment\n\na{b="c d"} 7\nc{x="rate=1 base=2"} rate=2.5 base=10\n'
    assert render_fixture(text, 4) == 'a{b="c d"} 7\nc{x="rate=1 base=2"} 20.000000\n'


def test_the_text_may_change_at_any_time() -> None:
    with Exposition("a 1\n", fixture="b rate=1 base=0\n", clock=lambda: 5.0) as target:
        url = f"http://{target.target}/metrics"
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == b"b 0.000000\na 1\n"
        target.text = "a 2\n"
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == b"b 0.000000\na 2\n"
        assert target.scrapes == 2


def test_a_backend_follows_its_target(prometheus: Backend, exposition: Exposition) -> None:
    before = exposition.text
    exposition.text = before + 'backends_follow{a="b"} 1\n'
    (sample,) = prometheus.wait_for("backends_follow")
    assert sample["metric"] == {"__name__": "backends_follow", "a": "b"}
    exposition.text = before + 'backends_follow{a="b"} 2\n'
    prometheus.wait_for("backends_follow == 2")
    exposition.text = before
    prometheus.wait_for("backends_follow", lambda result: not result)


def test_a_backend_may_be_killed_and_comes_back_on_its_port(tmp_path: Path) -> None:
    if not backends.is_installed("prometheus"):
        pytest.skip("prometheus is not on PATH")
    with Exposition("a 1\n") as target, backends.prometheus(tmp_path, [target.target]) as backend:
        assert backend.query("vector(1)")
        backend.kill()
        with pytest.raises(urllib.error.URLError):
            backend.query("vector(1)")
        backend.start()
        backend.wait_for("a")
        backend.stop()
        backend.stop()
        with pytest.raises(RuntimeError, match="process ended"):
            backend.wait_for("a", seconds=1)
