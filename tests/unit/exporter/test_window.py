"""The mean over the last seconds."""

from __future__ import annotations

from metrics_apiserver.exporter.window import Window


def test_a_mean_of_what_is_within_the_window() -> None:
    window = Window(3)
    assert window.mean(0) is None
    for at, value in ((1.0, 10.0), (2.0, 20.0), (3.0, 60.0)):
        window.add(at, value, now=100 + at)
    assert window.mean(103) == 30
    window.add(4.0, 40.0, now=104)
    assert window.mean(104) == 40, "the oldest left"


def test_the_mean_is_kept_for_two_windows() -> None:
    window = Window(10)
    window.add(5_000_000.0, 7.0, now=50)
    assert window.mean(70) == 7
    assert window.mean(70.1) is None


def test_a_clock_that_was_set_back_starts_again() -> None:
    window = Window(10)
    window.add(100.0, 90.0, now=1)
    window.add(50.0, 10.0, now=2)
    assert window.mean(2) == 10


def test_it_is_bounded_and_can_be_cleared() -> None:
    window = Window(1e9)
    for at in range(10_000):
        window.add(float(at), float(at), now=0)
    assert window.mean(0) == sum(range(5904, 10_000)) / 4096
    window.clear()
    assert window.mean(0) is None
