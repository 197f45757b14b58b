"""Family (b); all of its metrics are in the functional test of the tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metrics_apiserver.exporter.families.dcgm import DcgmBuilder
from metrics_apiserver.exporter.families.dcgmtable import COUNT
from metrics_apiserver.exporter.model import Device, DeviceAllocation, DeviceState, Pod
from metrics_apiserver.exporter.rows import Row
from metrics_apiserver.exporter.settings import Exposition

GPU = Device("GPU-1", 2, "H100", "0:1")
PART = replace(GPU, uuid="MIG-1", parent="GPU-1", gi=3, ci=0, profile="1g.10gb")
HELD = DeviceAllocation("MIG-1", Pod("ai", "bert"), "server")
SETTINGS = Exposition(node="node-1", extra_labels={"zone": "z"})


def text_of(settings: Exposition, row: Row) -> str:
    families = DcgmBuilder(settings).build([row], [], "550", None)
    return next(one for one in families if one.samples).samples[0][0]


def test_order_of_labels() -> None:
    row = Row(PART, {"memory_free": 1 << 20}, HELD, "exclusive")
    assert text_of(SETTINGS, row) == (
        '{gpu="2",UUID="GPU-1",pci_bus_id="0:1",device="nvidia2",modelName="H100",'
        'GPU_I_PROFILE="1g.10gb",GPU_I_ID="3",Hostname="node-1",'
        'DCGM_FI_DRIVER_VERSION="550",zone="z",'
        'container="server",namespace="ai",pod="bert"}'
    )


@pytest.mark.parametrize("style", ["dcgm", "dcgm-old", "alibaba"])
def test_a_free_gpu_names_no_pod(style: str) -> None:
    settings = replace(SETTINGS, label_style=style, hostname_label="none")  # type: ignore[arg-type] # of the parameters above
    text = text_of(settings, Row(GPU, {"temperature": 1}, None, "none"))
    assert "pod" not in text.lower()
    assert "hostname" not in text.lower()
    assert ('NodeName="node-1"' in text) == (style == "alibaba")


def test_the_count_has_one_series_for_each_gpu() -> None:
    other = replace(GPU, uuid="GPU-2", index=3)
    allocation = DeviceAllocation("GPU-1", Pod("ai", "bert"), "server", 0.5, is_shared=True)
    rows = [Row(GPU, {}, allocation, "share"), Row(GPU, {}, None, "share"), Row(PART, {}, HELD)]
    families = DcgmBuilder(SETTINGS).build([*rows, Row(other, {})], [], "550", 5)
    (count,) = [one for one in families if one.samples]
    assert count.name == COUNT
    assert [value for _, value in count.samples] == [5, 5]
    assert [labels.partition(",")[0] for labels, _ in count.samples] == ['{gpu="2"', '{gpu="3"']
    assert not any("pod=" in labels for labels, _ in count.samples)


def test_groups_are_shown_when_they_are_collected() -> None:
    row = Row(GPU, {"ecc_sbe_volatile": 1, "temperature": 1})
    shown = {one.name for one in DcgmBuilder(SETTINGS).build([row], [], "550", None) if one.samples}
    assert shown == {"DCGM_FI_DEV_GPU_TEMP"}
    builder = DcgmBuilder(replace(SETTINGS, groups=frozenset({"ecc"})))
    shown = {one.name for one in builder.build([row], [], "550", None) if one.samples}
    assert shown == {"DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL"}


def test_recent_events_are_of_gpus_that_are_shown() -> None:
    builder = DcgmBuilder(replace(SETTINGS, groups=frozenset({"exp"})))
    states = [
        DeviceState("GPU-1", recent_xids={31: 2}, recent_reasons={"gpu_idle": 9}),
        DeviceState("GPU-gone", recent_xids={79: 1}),
    ]
    *_, xids, reasons = builder.build([Row(GPU, {})], states, "550", 1)
    assert [value for _, value in xids.samples] == [2]
    assert xids.samples[0][0].endswith('window_size_in_ms="300000",xid="31"}')
    assert reasons.samples[0][0].endswith('clock_event="gpu_idle",window_size_in_ms="300000"}')
