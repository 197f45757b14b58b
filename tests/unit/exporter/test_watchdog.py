"""When a thread without heartbeat is stale, and when it is dead."""

from __future__ import annotations

from metrics_apiserver.exporter.watchdog import Heartbeat


def test_the_state_follows_the_age() -> None:
    now = [0.0]
    heartbeat = Heartbeat(lambda: now[0])
    heartbeat.beat("nvmlDeviceGetName")
    verdicts = []
    for at in (0.0, 20.0, 20.1, 120.0, 120.1):
        now[0] = at
        verdicts.append(heartbeat.state)
    assert verdicts == ["alive", "alive", "stale", "stale", "dead"]
    assert heartbeat.doing == "nvmlDeviceGetName"
    heartbeat.beat("sleep")
    assert heartbeat.state == "alive"
    assert heartbeat.age == 0
