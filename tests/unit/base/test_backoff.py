from __future__ import annotations

from metrics_apiserver.base.backoff import Backoff, no_jitter


def test_doubles_up_to_the_cap_and_starts_again() -> None:
    backoff = Backoff(first=0.2, last=5.0, jitter=lambda: 1.0)
    assert [round(backoff.next(), 2) for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    backoff.reset()
    assert backoff.next() == 0.2


def test_delays_without_jitter_are_exact() -> None:
    backoff = Backoff(first=30.0, last=100.0, jitter=no_jitter)
    assert [backoff.next() for _ in range(3)] == [30.0, 60.0, 100.0]


def test_jitter_shortens_by_at_most_a_half() -> None:
    backoff = Backoff(first=0.2, last=5.0, jitter=lambda: 0.0)
    assert [round(backoff.next(), 2) for _ in range(3)] == [0.1, 0.2, 0.4]
    assert all(0.1 <= Backoff().next() <= 0.2 for _ in range(100))
