"""Family (a); all of its metrics are in the functional test of the tables."""

from __future__ import annotations

from metrics_apiserver.exporter.families import nvidia_gpu
from metrics_apiserver.exporter.families.text import MetricFamily
from metrics_apiserver.exporter.model import Device, DeviceAllocation, Pod
from metrics_apiserver.exporter.rows import Row

GPU = Device("GPU-1", 0, 'odd "name"', "0:1", minor=None)
PART = Device("MIG-1", 0, "H100", "0:1", minor=3, parent="GPU-1", gi=7)


def by_name(*rows: Row, count: int | None = 1) -> dict[str, MetricFamily]:
    return {one.name: one for one in nvidia_gpu.build(rows, count, "node-1")}


def test_an_unallocated_device() -> None:
    found = by_name(Row(GPU, {"duty_cycle": 1.0}, None, "none"))
    assert found["nvidia_gpu_duty_cycle"].samples == [
        (
            '{minor_number="",uuid="GPU-1",name="odd \\"name\\"",allocate_mode="none",'
            'container_name="",namespace_name="",node_name="node-1",pod_name=""}',
            1.0,
        )
    ]
    assert found["nvidia_gpu_num_devices"].samples == [('{node_name="node-1"}', 1)]
    assert found["nvidia_gpu_allocated_num_devices"].samples == [('{node_name="node-1"}', 0.0)]


def test_an_instance_has_its_id() -> None:
    allocation = DeviceAllocation("MIG-1", Pod("ai", "bert"), "server")
    found = by_name(Row(PART, {"duty_cycle": 1.0}, allocation, "exclusive"))
    text = found["nvidia_gpu_duty_cycle"].samples[0][0]
    assert text.endswith('pod_name="bert",GPU_I_ID="7"}')
    assert 'minor_number="3"' in text


def test_unknown_values_are_absent() -> None:
    found = by_name(Row(GPU, {}), count=None)
    assert found["nvidia_gpu_num_devices"].samples == []
    assert found["nvidia_gpu_allocated_num_devices"].samples == []
    half = DeviceAllocation("GPU-1", Pod("ai", "bert"), "c", None, is_shared=True)
    found = by_name(Row(GPU, {"memory_total": 100}, half, "share"))
    assert found["nvidia_gpu_allocated_num_devices"].samples == []
    assert found["nvidia_gpu_sharing_memory"].samples == []
