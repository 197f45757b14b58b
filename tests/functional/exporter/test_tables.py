"""Every metric of the four families, by name, type, labels and value, against numbers set here.

Each source of a value gets a number of its own, so that two sources cannot be mistaken for each
other, and every metric of the page docs/gpu-exporter.md has its line here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter import flags, flagtypes, probes, settings
from metrics_apiserver.exporter.families import custom, dcgmtable, nvidia_gpu, pods, state
from metrics_apiserver.exporter.model import DeviceAllocation, Pod, ProcessOwner
from metrics_apiserver.exporter.rows import USE_KEYS
from metrics_apiserver.exporter.settings import Exposition, Sampling
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from tests.fakes.nvml.loaded import FakeNvml
from tests.fakes.nvml.rig import Rig, Text, build_rig
from tests.fakes.nvml.scenario import MIB, gpu_uuid

PAGE = Path(__file__).parents[3] / "docs" / "gpu-exporter.md"
NODE = "node-1"
BERT = Pod("default", "bert-0")
HOLDING = DeviceAllocation(gpu_uuid(0), BERT, "server")

DEVICE = {
    "util": 42,
    "mem_util": 7,
    "mem_total": 80_000 * MIB,
    "mem_used": 30_000 * MIB,
    "mem_reserved": 500 * MIB,
    "power": 312_345,
    "energy": 987_654_321,
    "temperature": 61,
    "fan": 33,
    "clock_sm": 1755,
    "clock_mem": 2619,
    "enc": 11,
    "dec": 12,
    "replay": 13,
    "throttle": 0x24,
    "license": 1,
    "gpm_supported": 1,
    "event_types": 0x8,
}
FIELDS = {
    3: "103",
    4: "104",
    5: "105",
    6: "106",
    29: "129",
    30: "130",
    31: "1",
    38: "138",
    52: "152",
    59: "159",
    74: "174",
    75: "175",
    76: "176",
    77: "177",
    78: "178",
    79: "179",
    82: "58 type=3",
    138: "1000 rate=2000000",
    139: "500 rate=3000000",
    142: "242",
    143: "243",
    145: "1",
    186: "298765",
}
ACTIVITY = {
    1: 71,
    2: 72,
    3: 73,
    5: 75,
    10: 78,
    11: 21,
    12: 22,
    13: 23,
    20: 4,
    21: 8,
    60: 16,
    61: 32,
}

DCGM = {
    "DCGM_FI_DEV_SM_CLOCK": ("gauge", 1755),
    "DCGM_FI_DEV_MEM_CLOCK": ("gauge", 2619),
    "DCGM_FI_DEV_MEMORY_TEMP": ("gauge", 58),
    "DCGM_FI_DEV_GPU_TEMP": ("gauge", 61),
    "DCGM_FI_DEV_POWER_USAGE": ("gauge", 312.345),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": ("counter", 987_654_321),
    "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": ("counter", 13),
    "DCGM_FI_DEV_GPU_UTIL": ("gauge", 42),
    "DCGM_FI_DEV_MEM_COPY_UTIL": ("gauge", 7),
    "DCGM_FI_DEV_ENC_UTIL": ("gauge", 11),
    "DCGM_FI_DEV_DEC_UTIL": ("gauge", 12),
    "DCGM_FI_DEV_XID_ERRORS": ("gauge", 43),
    "DCGM_FI_DEV_FB_FREE": ("gauge", 49_500),
    "DCGM_FI_DEV_FB_USED": ("gauge", 30_000),
    "DCGM_FI_DEV_FB_RESERVED": ("gauge", 500),
    "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL": ("gauge", 5000),
    "DCGM_FI_DEV_VGPU_LICENSE_STATUS": ("gauge", 1),
    "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS": ("counter", 242),
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": ("counter", 243),
    "DCGM_FI_DEV_ROW_REMAP_FAILURE": ("gauge", 1),
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": ("gauge", 0.71),
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": ("gauge", 0.75),
    "DCGM_FI_PROF_DRAM_ACTIVE": ("gauge", 0.78),
    "DCGM_FI_PROF_PCIE_TX_BYTES": ("gauge", 4 * MIB),
    "DCGM_FI_PROF_PCIE_RX_BYTES": ("gauge", 8 * MIB),
    "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": ("counter", 103),
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": ("counter", 104),
    "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL": ("counter", 105),
    "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL": ("counter", 106),
    "DCGM_FI_DEV_RETIRED_SBE": ("counter", 129),
    "DCGM_FI_DEV_RETIRED_DBE": ("counter", 130),
    "DCGM_FI_DEV_RETIRED_PENDING": ("gauge", 1),
    "DCGM_FI_DEV_POWER_VIOLATION": ("counter", 174),
    "DCGM_FI_DEV_THERMAL_VIOLATION": ("counter", 175),
    "DCGM_FI_DEV_SYNC_BOOST_VIOLATION": ("counter", 176),
    "DCGM_FI_DEV_BOARD_LIMIT_VIOLATION": ("counter", 177),
    "DCGM_FI_DEV_LOW_UTIL_VIOLATION": ("counter", 178),
    "DCGM_FI_DEV_RELIABILITY_VIOLATION": ("counter", 179),
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": ("gauge", 0x24),
    "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL": ("counter", 138),
    "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL": ("counter", 152),
    "DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL": ("counter", 159),
    "DCGM_FI_PROF_SM_ACTIVE": ("gauge", 0.72),
    "DCGM_FI_PROF_SM_OCCUPANCY": ("gauge", 0.73),
    "DCGM_FI_PROF_PIPE_FP64_ACTIVE": ("gauge", 0.21),
    "DCGM_FI_PROF_PIPE_FP32_ACTIVE": ("gauge", 0.22),
    "DCGM_FI_PROF_PIPE_FP16_ACTIVE": ("gauge", 0.23),
    "DCGM_FI_PROF_NVLINK_RX_BYTES": ("gauge", 16 * MIB),
    "DCGM_FI_PROF_NVLINK_TX_BYTES": ("gauge", 32 * MIB),
    "DCGM_FI_DEV_FB_TOTAL": ("gauge", 80_000),
    "DCGM_FI_DEV_FB_USED_PERCENT": ("gauge", 0.377358),
    "DCGM_FI_DEV_POWER_USAGE_INSTANT": ("gauge", 298.765),
    "DCGM_EXP_XID_ERRORS_COUNT": ("gauge", 1),
}
NVIDIA_GPU = {
    "nvidia_gpu_duty_cycle": 42,
    "nvidia_gpu_memory_used_bytes": 30_500 * MIB,
    "nvidia_gpu_memory_total_bytes": 80_000 * MIB,
    "nvidia_gpu_power_usage_milliwatts": 312_345,
    "nvidia_gpu_temperature_celsius": 61,
    "nvidia_gpu_fanspeed_percent": 33,
    "nvidia_gpu_memory_allocated_bytes": 80_000 * MIB,
}
CUSTOM = {
    "DCGM_CUSTOM_PROCESS_SM_UTIL": 55,
    "DCGM_CUSTOM_PROCESS_MEM_COPY_UTIL": 9,
    "DCGM_CUSTOM_PROCESS_ENCODE_UTIL": 3,
    "DCGM_CUSTOM_PROCESS_DECODE_UTIL": 4,
    "DCGM_CUSTOM_PROCESS_MEM_USED": 29_000,
    "DCGM_CUSTOM_CONTAINER_MEM_ALLOCATED": 80_000,
    "DCGM_CUSTOM_CONTAINER_CP_ALLOCATED": 0,
}
ILLEGAL = {
    "DCGM_CUSTOM_ILLEGAL_PROCESS_SM_UTIL": 5,
    "DCGM_CUSTOM_ILLEGAL_PROCESS_MEM_COPY_UTIL": 1,
    "DCGM_CUSTOM_ILLEGAL_PROCESS_ENCODE_UTIL": 0,
    "DCGM_CUSTOM_ILLEGAL_PROCESS_DECODE_UTIL": 0,
    "DCGM_CUSTOM_ILLEGAL_PROCESS_MEM_USED": 100,
}
CUSTOM_DEVICE = {"DCGM_CUSTOM_DEV_FB_TOTAL": 80_000, "DCGM_CUSTOM_DEV_FB_ALLOCATED": 1}
PODS = {
    "gpu_pod_utilization_percent": 42,
    "gpu_pod_sm_utilization_percent": 55,
    "gpu_pod_memory_used_bytes": 30_000 * MIB,
    "gpu_pod_memory_limit_bytes": 80_000 * MIB,
    "gpu_pod_memory_utilization_percent": 37.5,
    "gpu_pod_devices": 1,
}
OWNERS = {
    100: ProcessOwner(BERT, "server", "python3"),
    101: ProcessOwner(BERT, "server", "worker"),
    200: ProcessOwner(Pod("default", "thief"), "main", "miner"),
    300: ProcessOwner(None, "", "nv-hostengine"),
}


def rich(rig: Rig, nvml: FakeNvml) -> Text:
    """One GPU of one pod, with two processes of its own and one of another pod."""
    nvml.scenario.add_gpus(1, **DEVICE)
    for number, text in FIELDS.items():
        nvml.scenario.set(0, f"field.{number}", text)
    for number, percent in ACTIVITY.items():
        nvml.scenario.set(0, f"gpm.{number}", percent)
    nvml.scenario.process(0, 100, mem=20_000 * MIB, sm=40, memu=6, enc=3, kind="C")
    nvml.scenario.process(0, 101, mem=9_000 * MIB, sm=15, memu=3, dec=4, kind="CG")
    nvml.scenario.process(0, 200, mem=100 * MIB, sm=5, memu=1)
    nvml.scenario.set(0, "xid", 43, at_ms=2500)
    nvml.write()
    rig.source.set(HOLDING)
    rig.sample(4)
    deadline = 200
    while rig.sample(seconds=0.2).value("DCGM_FI_DEV_XID_ERRORS") != 43 and deadline:
        deadline -= 1  # the wait for events has a thread of its own
    return rig.sample()


@pytest.fixture
def text(make_rig: Callable[..., Rig], nvml: FakeNvml) -> Text:
    groups = frozenset(settings.GROUPS)
    rig = make_rig(
        sampling=Sampling(settle_seconds=0, groups=groups),
        exposition=Exposition(node=NODE, groups=groups),
        owner_of=OWNERS.get,
    )
    return rich(rig, nvml)


A_LABELS = {
    "minor_number": "0",
    "uuid": gpu_uuid(0),
    "name": "NVIDIA H100 80GB HBM3",
    "allocate_mode": "exclusive",
    "container_name": "server",
    "namespace_name": "default",
    "node_name": NODE,
    "pod_name": "bert-0",
}
B_LABELS = {
    "gpu": "0",
    "UUID": gpu_uuid(0),
    "pci_bus_id": "00000000:01:00.0",
    "device": "nvidia0",
    "modelName": "NVIDIA H100 80GB HBM3",
    "Hostname": NODE,
    "DCGM_FI_DRIVER_VERSION": "550.54.15",
    "container": "server",
    "namespace": "default",
    "pod": "bert-0",
}
DEVICE_LABELS = {
    "NodeName": NODE,
    "UUID": gpu_uuid(0),
    "device": "nvidia0",
    "gpu": "0",
    "modelName": "NVIDIA H100 80GB HBM3",
}
C_LABELS = {
    "AllocateMode": "exclusive",
    "ContainerName": "server",
    "NamespaceName": "default",
    "PodName": "bert-0",
    **DEVICE_LABELS,
}
D_LABELS = {"namespace_name": "default", "pod_name": "bert-0", "node_name": NODE}


def only(text: Text, name: str) -> tuple[dict[str, str], float]:
    """The one series of a metric."""
    assert name in text.samples, f"{name} is not there"
    assert len(text.samples[name]) == 1
    return text.samples[name][0]


def check(text: Text, name: str, labels: dict[str, str], value: float) -> None:
    """The metric has this one series and no other."""
    found_labels, found = only(text, name)
    assert found_labels == labels, name
    assert found == pytest.approx(value, abs=1e-6), name


def test_family_a(text: Text) -> None:
    for name, value in NVIDIA_GPU.items():
        assert text.types[name] == "gauge"
        check(text, name, A_LABELS, value)
    check(text, "nvidia_gpu_num_devices", {"node_name": NODE}, 1)
    check(text, "nvidia_gpu_allocated_num_devices", {"node_name": NODE}, 1)
    assert "nvidia_gpu_sharing_memory" not in text.types


def test_family_b(text: Text) -> None:
    for name, (kind, value) in DCGM.items():
        assert text.types[name] == kind, name
        labels, found = only(text, name)
        if name == "DCGM_EXP_XID_ERRORS_COUNT":
            assert labels.pop("window_size_in_ms") == "300000"
            assert labels.pop("xid") == "43"
            labels |= {"container": "server", "namespace": "default", "pod": "bert-0"}
        assert labels == B_LABELS, name
        assert found == pytest.approx(value, abs=1e-6), name
    free = {k: v for k, v in B_LABELS.items() if k not in ("container", "namespace", "pod")}
    check(text, dcgmtable.COUNT, free, 1)
    assert list(B_LABELS) == list(only(text, "DCGM_FI_DEV_GPU_UTIL")[0])
    reasons = {
        labels["clock_event"]: value
        for labels, value in text.samples["DCGM_EXP_CLOCK_EVENTS_COUNT"]
    }
    assert reasons.keys() == {"power_cap", "sw_thermal"}
    assert all(value >= 5 for value in reasons.values())


def test_family_c(text: Text) -> None:
    for name, value in CUSTOM.items():
        assert text.types[name] == "gauge"
        check(text, name, C_LABELS, value)
    thief = {**C_LABELS, "PodName": "thief", "ContainerName": "main"}
    for name, value in ILLEGAL.items():
        check(text, name, thief, value)
    for name, value in CUSTOM_DEVICE.items():
        labels = {"DriverVersion": "550.54.15", **DEVICE_LABELS}
        check(text, name, labels, value)
    check(text, "DCGM_CUSTOM_ALLOCATE_MODE", {"NodeName": NODE}, 1)


@pytest.mark.parametrize("style", ["dcgm", "dcgm-old", "alibaba"])
def test_an_extra_label_cannot_be_there_twice(
    make_rig: Callable[..., Rig], nvml: FakeNvml, style: str
) -> None:
    groups = frozenset(settings.GROUPS)
    exposition = Exposition(node=NODE, groups=groups, per_process=True, label_style=style)  # type: ignore[arg-type] # of the parameters above
    rig = make_rig(
        sampling=Sampling(settle_seconds=0, groups=groups),
        exposition=exposition,
        owner_of=OWNERS.get,
    )
    found = rich(rig, nvml)
    names = {
        label
        for metric, samples in found.samples.items()
        if metric.startswith("DCGM_")
        for labels, _ in samples
        for label in labels
    }
    assert names <= flagtypes.OWN_LABELS


def test_family_d(text: Text) -> None:
    for name, value in PODS.items():
        assert text.types[name] == "gauge"
        check(text, name, D_LABELS, value)
    check(text, "gpu_pod_source", {**D_LABELS, "source": "device"}, 1)


def test_single_processes(make_rig: Callable[..., Rig], nvml: FakeNvml) -> None:
    exposition = Exposition(node=NODE, per_process=True, extra_labels={"NodePoolId": "np1"})
    found = rich(make_rig(exposition=exposition, owner_of=OWNERS.get), nvml)
    labels = {**C_LABELS, "NodePoolId": "np1", "ProcessId": "101", "ProcessName": "worker"}
    labels["ProcessType"] = "CG"
    assert found.value("DCGM_CUSTOM_PROCESS_SM_UTIL", **labels) == 15
    assert found.value("DCGM_CUSTOM_PROCESS_MEM_USED", ProcessId="100") == 20_000
    assert found.value("DCGM_CUSTOM_ILLEGAL_PROCESS_SM_UTIL", ProcessId="200") == 5


CONTAINER = {"container_name"}


@pytest.mark.parametrize(
    ("style", "hostname", "expected"),
    [
        (
            "dcgm-old",
            "hostname",
            {"uuid", "hostname", "pod_name", "pod_namespace", "container_name"},
        ),
        ("alibaba", "none", {"UUID", "NodeName", "PodName", "NamespaceName", "ContainerName"}),
    ],
)
def test_label_styles(
    make_rig: Callable[..., Rig], nvml: FakeNvml, style: str, hostname: str, expected: set[str]
) -> None:
    settings = Exposition(node=NODE, label_style=style, hostname_label=hostname)  # type: ignore[arg-type] # of the parameters above
    found = rich(make_rig(exposition=settings), nvml)
    common = {"gpu", "pci_bus_id", "device", "modelName", "DCGM_FI_DRIVER_VERSION"}
    assert only(found, "DCGM_FI_DEV_GPU_UTIL")[0].keys() == common | expected


def test_strict_types(make_rig: Callable[..., Rig], nvml: FakeNvml) -> None:
    found = rich(make_rig(exposition=Exposition(strict_dcgm_types=True)), nvml)
    assert found.types["DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"] == "counter"


@pytest.mark.parametrize("family", ["nvidia_gpu", "dcgm", "custom", "pods"])
def test_families_can_be_switched_off(
    make_rig: Callable[..., Rig], nvml: FakeNvml, family: str
) -> None:
    prefixes = {
        "nvidia_gpu": "nvidia_gpu_",
        "dcgm": "DCGM_FI_",
        "custom": "DCGM_CUSTOM_",
        "pods": "gpu_pod_",
    }
    found = rich(make_rig(exposition=Exposition(families=frozenset({family}))), nvml)
    shown = {name for name in found.types if not name.startswith("gpu_exporter_")}
    assert shown
    assert all(name.startswith(prefixes[family]) for name in shown)


# --- nothing is left out -----------------------------------------------------------------------


def test_every_metric_has_its_line_here() -> None:
    assert {one.name for one in dcgmtable.TABLE} | {dcgmtable.XID_COUNT} == DCGM.keys()
    lines = {one.name for one in nvidia_gpu.TABLE} | {nvidia_gpu.ALLOCATED_BYTES}
    assert lines == NVIDIA_GPU.keys()
    assert {custom.LEGAL + name for name, _ in custom.PROCESS} <= CUSTOM.keys()
    assert {custom.ILLEGAL + name for name, _ in custom.PROCESS} == ILLEGAL.keys()
    assert pods.HELP.keys() - {pods.SOURCE} == PODS.keys()


def test_every_key_has_a_source() -> None:
    sources = {key for probe in probes.PROBES for key in probe.keys} | set(probes.DERIVED)
    sources |= {one.key for one in probes.FIELDS} | {one.key for one in probes.GPM_METRICS}
    used = {one.key for one in (*nvidia_gpu.TABLE, *dcgmtable.TABLE)}
    assert used <= sources
    assert sources >= USE_KEYS
    groups = {one.group for one in (*probes.FIELDS, *probes.GPM_METRICS, *probes.PROBES)}
    assert groups - {""} | {"memory", "exp"} == set(settings.GROUPS)


def documented() -> dict[str, str]:
    """Metric -> type, of every table of the page."""
    found = {}
    for line in PAGE.read_text().splitlines():
        match = re.match(r"\| `(\w+)` \| (gauge|counter|histogram) \|", line)
        if match:
            found[match[1]] = match[2]
    return found


def test_the_page_has_every_metric_with_its_type() -> None:
    families = {**dict.fromkeys([*NVIDIA_GPU, *CUSTOM, *ILLEGAL, *CUSTOM_DEVICE, *PODS], "gauge")}
    families |= {name: kind for name, (kind, _) in DCGM.items()}
    families |= dict.fromkeys(
        [
            dcgmtable.CLOCK_EVENTS,
            dcgmtable.COUNT,
            nvidia_gpu.NUM_DEVICES,
            nvidia_gpu.SHARING_MEMORY,
            nvidia_gpu.ALLOCATED_DEVICES,
            custom.ALLOCATE_MODE,
            pods.SOURCE,
        ],
        "gauge",
    )
    families |= {state.PREFIX + name: "gauge" for name in state.HELP}
    families[state.PREFIX + state.XIDS] = "counter"
    families |= self_metrics()
    assert documented() == families


def test_the_page_has_every_flag() -> None:
    known = {f"--{flag.name}" for flag in flags.TABLE}
    assert set(re.findall(r"^\| `(--[\w.-]+)` \|", PAGE.read_text(), re.MULTILINE)) == known


def self_metrics() -> dict[str, str]:
    """Metric -> type, of the metrics of the process."""
    registry = CollectorRegistry()
    ExporterTelemetry(registry)
    return {
        one.name + ("_total" if one.type == "counter" else ""): one.type
        for one in registry.collect()
    }


def test_the_rig_is_the_exporter(nvml: FakeNvml) -> None:
    """Without a GPU there is nothing to show, and no metric without a series."""
    rig = build_rig(nvml)
    found = rig.sample()
    assert found.samples["gpu_exporter_devices"] == [
        ({"state": "ok"}, 0),
        ({"state": "lost"}, 0),
        ({"state": "no_permission"}, 0),
        ({"state": "paused"}, 0),
    ]
    assert found.types.keys() == found.samples.keys()
    rig.sampler.close()
