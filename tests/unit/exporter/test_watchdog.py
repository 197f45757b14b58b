"""When a silent thread counts as stale, and when as dead."""

from __future__ import annotations

from metrics_apiserver.exporter.watchdog import Pulse


def test_the_verdict_follows_the_age() -> None:
    now = [0.0]
    pulse = Pulse(lambda: now[0])
    pulse.beat("nvmlDeviceGetName")
    verdicts = []
    for at in (0.0, 20.0, 20.1, 120.0, 120.1):
        now[0] = at
        verdicts.append(pulse.verdict)
    assert verdicts == ["alive", "alive", "stale", "stale", "dead"]
    assert pulse.doing == "nvmlDeviceGetName"
    pulse.beat("sleep")
    assert pulse.verdict == "alive"
    assert pulse.age == 0
