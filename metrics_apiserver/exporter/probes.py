"""The values read from each GPU: which NVML call, how often, and under which key.

Utilisation and memory are read every round, sensors and clocks every 5 s, error counters every 30
s. `nvmlDeviceGetPcieThroughput` is not used: each call blocks for 20 ms in the driver. A probe that
belongs to a group is made only when that group is collected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import pynvml

from metrics_apiserver.exporter.nvml import gpm


class ReadInterval(IntEnum):
    """Seconds between two readings; FAST means every round."""

    FAST = 0
    MEDIUM = 5
    SLOW = 30


@dataclass(frozen=True, slots=True)
class Probe:
    """One NVML call and the values it gives."""

    keys: tuple[str, ...]
    interval: ReadInterval
    call: str
    arguments: tuple[Any, ...] = ()
    pick: Callable[[Any], tuple[float, ...]] = lambda found: (found,)
    group: str = ""
    otherwise: tuple[str, tuple[Any, ...]] | None = None  # if the first is not supported


def _license(found: Any) -> tuple[float, ...]:
    features = found.gridLicensableFeatures[: found.licensableFeaturesCount]
    return (int(any(one.featureState > 0 for one in features)),)


def _first(found: Any) -> tuple[float, ...]:
    return (found[0],)


def _utilization(found: Any) -> tuple[float, ...]:
    return found.gpu, found.memory


PROBES = (
    Probe(
        ("gpu_util", "mem_copy_util"),
        ReadInterval.FAST,
        "nvmlDeviceGetUtilizationRates",
        pick=_utilization,
    ),
    Probe(
        ("temperature",),
        ReadInterval.MEDIUM,
        "nvmlDeviceGetTemperature",
        (0,),
        otherwise=("nvmlDeviceGetTemperatureV", (0,)),
    ),
    Probe(("power_milliwatts",), ReadInterval.MEDIUM, "nvmlDeviceGetPowerUsage"),
    Probe(("fan_percent",), ReadInterval.MEDIUM, "nvmlDeviceGetFanSpeed"),
    Probe(("sm_clock",), ReadInterval.MEDIUM, "nvmlDeviceGetClockInfo", (pynvml.NVML_CLOCK_SM,)),
    Probe(("mem_clock",), ReadInterval.MEDIUM, "nvmlDeviceGetClockInfo", (pynvml.NVML_CLOCK_MEM,)),
    Probe(("enc_util",), ReadInterval.MEDIUM, "nvmlDeviceGetEncoderUtilization", pick=_first),
    Probe(("dec_util",), ReadInterval.MEDIUM, "nvmlDeviceGetDecoderUtilization", pick=_first),
    Probe(("energy_millijoules",), ReadInterval.MEDIUM, "nvmlDeviceGetTotalEnergyConsumption"),
    Probe(
        ("clocks_event_reasons",),
        ReadInterval.FAST,  # because its samples are counted
        "nvmlDeviceGetCurrentClocksEventReasons",
        group="clocks",
        otherwise=("nvmlDeviceGetCurrentClocksThrottleReasons", ()),
    ),
    Probe(("pcie_replay",), ReadInterval.SLOW, "nvmlDeviceGetPcieReplayCounter"),
    Probe(
        ("vgpu_license",),
        ReadInterval.SLOW,
        "nvmlDeviceGetGridLicensableFeatures_v4",
        pick=_license,
    ),
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of nvmlDeviceGetFieldValues; fields of one interval share a call."""

    key: str
    number: int
    interval: ReadInterval
    group: str = ""


MEMORY_TEMPERATURE = 82
FIELDS = (
    Field("memory_temperature", MEMORY_TEMPERATURE, ReadInterval.MEDIUM),
    Field("nvlink_tx_kib", 138, ReadInterval.FAST),
    Field("nvlink_rx_kib", 139, ReadInterval.FAST),
    Field("pcie_tx_count", 197, ReadInterval.FAST),
    Field("pcie_rx_count", 198, ReadInterval.FAST),
    Field("power_instant_milliwatts", 186, ReadInterval.MEDIUM, "power"),
    Field("remapped_correctable", 142, ReadInterval.SLOW),
    Field("remapped_uncorrectable", 143, ReadInterval.SLOW),
    Field("remap_failure", 145, ReadInterval.SLOW),
    Field("ecc_sbe_volatile", 3, ReadInterval.SLOW, "ecc"),
    Field("ecc_dbe_volatile", 4, ReadInterval.SLOW, "ecc"),
    Field("ecc_sbe_aggregate", 5, ReadInterval.SLOW, "ecc"),
    Field("ecc_dbe_aggregate", 6, ReadInterval.SLOW, "ecc"),
    Field("retired_sbe", 29, ReadInterval.SLOW, "retired"),
    Field("retired_dbe", 30, ReadInterval.SLOW, "retired"),
    Field("retired_pending", 31, ReadInterval.SLOW, "retired"),
    Field("violation_power_ns", 74, ReadInterval.SLOW, "violations"),
    Field("violation_thermal_ns", 75, ReadInterval.SLOW, "violations"),
    Field("violation_sync_boost_ns", 76, ReadInterval.SLOW, "violations"),
    Field("violation_board_limit_ns", 77, ReadInterval.SLOW, "violations"),
    Field("violation_low_util_ns", 78, ReadInterval.SLOW, "violations"),
    Field("violation_reliability_ns", 79, ReadInterval.SLOW, "violations"),
    Field("nvlink_crc_flit", 38, ReadInterval.SLOW, "nvlink"),
    Field("nvlink_replay", 52, ReadInterval.SLOW, "nvlink"),
    Field("nvlink_recovery", 59, ReadInterval.SLOW, "nvlink"),
)


@dataclass(frozen=True, slots=True)
class GpmMetric:
    """One GPM metric; `factor` converts NVML's number to the unit of the key."""

    key: str
    number: int
    factor: float = 0.01  # percent -> share
    group: str = ""


_MIB = float(1 << 20)
GPM_METRICS = (
    GpmMetric("prof_graphics", gpm.GRAPHICS),
    GpmMetric("prof_sm", gpm.SM),  # also what family (d) needs of MIG instances
    GpmMetric("prof_tensor", gpm.TENSOR),
    GpmMetric("prof_dram", gpm.DRAM),
    GpmMetric("prof_pcie_tx", gpm.PCIE_TX, _MIB),
    GpmMetric("prof_pcie_rx", gpm.PCIE_RX, _MIB),
    GpmMetric("prof_sm_occupancy", gpm.SM_OCCUPANCY, group="profiling"),
    GpmMetric("prof_fp64", gpm.FP64, group="profiling"),
    GpmMetric("prof_fp32", gpm.FP32, group="profiling"),
    GpmMetric("prof_fp16", gpm.FP16, group="profiling"),
    GpmMetric("prof_nvlink_rx", gpm.NVLINK_RX, _MIB, "profiling"),
    GpmMetric("prof_nvlink_tx", gpm.NVLINK_TX, _MIB, "profiling"),
)

# Values outside these ranges (2^32-1, 9.2e18) mean "unknown" to drivers and are dropped.
_PERCENT = (0.0, 100.0)
_SHARE = (0.0, 1.0)
RANGES = {
    "gpu_util": _PERCENT,
    "mem_copy_util": _PERCENT,
    "enc_util": _PERCENT,
    "dec_util": _PERCENT,
    "memory_temperature": (0.0, 200.0),
    "temperature": (0.0, 200.0),
    **{one.key: _SHARE for one in GPM_METRICS if one.factor == 0.01},
}

# Keys without a probe of their own.
DERIVED = (
    "duty_cycle",  # mean over the window
    "sm_util",  # mean over the window, of MIG instances
    "memory_total",
    "memory_used",
    "memory_used_v1",
    "memory_free",
    "memory_reserved",
    "memory_used_share",
    "nvlink_bandwidth",
    "pcie_tx_rate",
    "pcie_rx_rate",
    "xid",
)
