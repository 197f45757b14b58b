"""Self-metrics of devices."""

from __future__ import annotations

from metrics_apiserver.exporter.families import state
from metrics_apiserver.exporter.model import DeviceState


def test_states() -> None:
    states = [
        DeviceState("a", capabilities={"FanSpeed": False}, xids={31: 2, 79: 1}, last_xid_at=5.0),
        DeviceState("b", is_lost=True, is_mig=True),
    ]
    found = {one.name.removeprefix(state.PREFIX): one for one in state.build(states, ["paused"])}
    assert found["devices"].samples == [
        ('{state="ok"}', 1),
        ('{state="lost"}', 1),
        ('{state="no_permission"}', 0),
        ('{state="paused"}', 1),
    ]
    assert found["device_lost"].samples == [('{uuid="a"}', 0), ('{uuid="b"}', 1)]
    assert found["mig_enabled"].samples == [('{uuid="a"}', 0), ('{uuid="b"}', 1)]
    assert found["capability"].samples == [('{uuid="a",feature="FanSpeed"}', 0)]
    assert found["last_xid_timestamp_seconds"].samples == [('{uuid="a"}', 5.0)]
    assert found["xid_errors_total"].samples == [
        ('{uuid="a",xid="any"}', 3),
        ('{uuid="a",xid="31"}', 2),
        ('{uuid="a",xid="79"}', 1),
    ]
