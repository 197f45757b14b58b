"""The history of each GPU across initialisations."""

from __future__ import annotations

from metrics_apiserver.exporter.device_history import DeviceHistory
from metrics_apiserver.exporter.model import Device, Reading
from metrics_apiserver.exporter.nvml import events
from metrics_apiserver.exporter.nvml.events import NVMLEvent

READING = Reading(Device("a", 0, "H100", "0:1"), {"temperature": 50})


def test_xids_are_counted_over_initialisations() -> None:
    history = DeviceHistory()
    history.begin(["a", "b"], frozenset({"a"}))
    assert history.state("a", 0).xids == {}
    assert history.state("b", 0).xids is None, "it cannot report"
    history.add(NVMLEvent("a", events.XID, 31), 1.0, 1000.0)
    history.begin(["a"], frozenset({"a"}))
    history.add(NVMLEvent("a", events.XID, 31), 2.0, 1001.0)
    history.add(NVMLEvent("a", events.XID, 79), 3.0, 1002.0)
    state = history.state("a", 4.0)
    assert state.xids == {31: 2, 79: 1}
    assert state.last_xid_at == 1002.0
    assert history.complete(READING).values == {"temperature": 50, "xid": 79}


def test_recent_counts_expire() -> None:
    history = DeviceHistory()
    history.begin(["a"], frozenset({"a"}))
    history.add(NVMLEvent("a", events.XID, 31), 0.0, 1000.0)
    history.observe("a", {"clocks_event_reasons": 0x24}, 0.0)
    history.observe("a", {"clocks_event_reasons": 0x4}, 1.0)
    history.observe("a", {}, 2.0)
    state = history.state("a", 10.0)
    assert state.recent_xids == {31: 1}
    assert state.recent_reasons == {"power_cap": 2, "sw_thermal": 1}
    state = history.state("a", 300.5)
    assert state.recent_xids == {}
    assert state.recent_reasons == {"power_cap": 1}
    assert state.xids == {31: 1}


def test_unknown_devices_and_other_events_are_ignored() -> None:
    history = DeviceHistory()
    history.begin(["a"], frozenset({"a"}))
    history.add(NVMLEvent("", events.XID, 31), 0.0, 0.0)
    history.add(NVMLEvent("a", events.DOUBLE_BIT_ERROR, 0), 0.0, 0.0)
    history.observe("unknown", {"clocks_event_reasons": 1}, 0.0)
    assert history.state("a", 0.0).xids == {}
    assert history.complete(READING).values["xid"] == 0
    assert history.state("unknown", 0.0).xids is None


def test_distinct_xids_are_bounded() -> None:
    history = DeviceHistory()
    history.begin(["a"], frozenset({"a"}))
    for xid in range(200):
        history.add(NVMLEvent("a", events.XID, xid), 0.0, 0.0)
    assert len(history.state("a", 0.0).xids or ()) == 64
    assert history.complete(READING).values["xid"] == 199, "the last one is shown all the same"
