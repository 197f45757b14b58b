"""Family (c); all of its metrics are in the functional test of the tables."""

from __future__ import annotations

from metrics_apiserver.exporter.families.custom import CustomBuilder
from metrics_apiserver.exporter.families.text import MetricFamily
from metrics_apiserver.exporter.model import (
    Device,
    DeviceAllocation,
    NodeUsage,
    Pod,
    ProcessUtilization,
    UsageRecord,
)
from metrics_apiserver.exporter.rows import Row
from metrics_apiserver.exporter.settings import Exposition

GPU = Device("GPU-1", 0, "H100", "0:1")
POD = Pod("ai", "bert")
WHOLE = Row(GPU, {"memory_total": 100 << 20}, DeviceAllocation("GPU-1", POD, "c"), "exclusive")


def by_name(
    settings: Exposition, *rows: Row, usage: NodeUsage | None = None
) -> dict[str, MetricFamily]:
    found = CustomBuilder(settings).build(rows, usage or NodeUsage(), "550")
    return {one.name: one for one in found}


def test_unknown_parts_are_absent() -> None:
    key = ("GPU-1", POD, "c")
    usage = NodeUsage({key: UsageRecord("GPU-1", POD, "c", None, 5 << 20)})
    found = by_name(Exposition(), WHOLE, usage=usage)
    assert found["DCGM_CUSTOM_PROCESS_SM_UTIL"].samples == []
    assert [value for _, value in found["DCGM_CUSTOM_PROCESS_MEM_USED"].samples] == [5]


def test_single_processes_have_their_labels() -> None:
    use = ProcessUtilization(1, 2, 3, 4)
    record = UsageRecord("GPU-1", POD, "c", use, None, pid=7, kinds="C", name="python3")
    settings = Exposition(node="n", per_process=True)
    found = by_name(settings, WHOLE, usage=NodeUsage({}, (record,)))
    ((text, value),) = found["DCGM_CUSTOM_PROCESS_DECODE_UTIL"].samples
    assert value == 4
    assert 'ProcessId="7",ProcessName="python3",ProcessType="C"' in text


def test_the_nodes_mode() -> None:
    def mode(*modes: str | None) -> list[float]:
        rows = [Row(GPU, {"memory_total": 1}, None, one) for one in modes]  # type: ignore[arg-type] # words of Mode
        samples = by_name(Exposition(), *rows)["DCGM_CUSTOM_ALLOCATE_MODE"].samples
        return [value for _, value in samples]

    assert mode("none", "none") == [0]
    assert mode("none", "exclusive") == [1]
    assert mode("exclusive", "share") == [2]
    assert mode(None) == []
    assert mode() == []


def test_a_gpu_is_shown_once_for_all_its_rows() -> None:
    rows = [WHOLE, Row(GPU, {"duty_cycle": 1.0}, None, "share")]
    found = by_name(Exposition(), *rows)
    assert [value for _, value in found["DCGM_CUSTOM_DEV_FB_TOTAL"].samples] == [100]
