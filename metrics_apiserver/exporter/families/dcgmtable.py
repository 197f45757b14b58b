"""Family (b) as a table: the metrics of dcgm-exporter that NVML can supply, and their source.

Names and types are those of dcgm-exporter's default-counters.csv; metrics with a group are optional
there and are shown only if the group is collected. The columns are name, type, key of the value,
conversion (`/1000`, `MiB`, or `whole` to truncate), group and help.
"""

from __future__ import annotations

from metrics_apiserver.exporter.families.text import Kind, Metric

_ROWS = """
DEV_SM_CLOCK                          | gauge   | sm_clock                 |       |            | Clock of the SMs, MHz.
DEV_MEM_CLOCK                         | gauge   | mem_clock                |       |            | Clock of the memory, MHz.
DEV_MEMORY_TEMP                       | gauge   | memory_temperature       |       |            | Temperature of the memory, C.
DEV_GPU_TEMP                          | gauge   | temperature              |       |            | Temperature of the chip, C.
DEV_POWER_USAGE                       | gauge   | power_milliwatts         | /1000 |            | Power draw, W.
DEV_TOTAL_ENERGY_CONSUMPTION          | counter | energy_millijoules       |       |            | Energy since the driver was loaded, mJ.
DEV_PCIE_REPLAY_COUNTER               | counter | pcie_replay              |       |            | PCIe replays.
DEV_GPU_UTIL                          | gauge   | gpu_util                 |       |            | Percent of time with any kernel resident.
DEV_MEM_COPY_UTIL                     | gauge   | mem_copy_util            |       |            | Percent of time the memory interface was busy.
DEV_ENC_UTIL                          | gauge   | enc_util                 |       |            | Utilisation of the encoder, percent.
DEV_DEC_UTIL                          | gauge   | dec_util                 |       |            | Utilisation of the decoder, percent.
DEV_XID_ERRORS                        | gauge   | xid                      |       |            | The last XID since the exporter began, 0 for none.
DEV_FB_FREE                           | gauge   | memory_free              | MiB   |            | Free memory, MiB.
DEV_FB_USED                           | gauge   | memory_used              | MiB   |            | Used memory, MiB.
DEV_FB_RESERVED                       | gauge   | memory_reserved          | MiB   |            | Reserved memory, MiB.
DEV_NVLINK_BANDWIDTH_TOTAL            | gauge   | nvlink_bandwidth         |       |            | NVLink traffic of all links, KiB / 1000 / s.
DEV_VGPU_LICENSE_STATUS               | gauge   | vgpu_license             |       |            | 1 with a vGPU licence.
DEV_CORRECTABLE_REMAPPED_ROWS         | counter | remapped_correctable     |       |            | Rows remapped for correctable errors.
DEV_UNCORRECTABLE_REMAPPED_ROWS       | counter | remapped_uncorrectable   |       |            | Rows remapped for uncorrectable errors.
DEV_ROW_REMAP_FAILURE                 | gauge   | remap_failure            |       |            | 1 if remapping of a row failed.
PROF_GR_ENGINE_ACTIVE                 | gauge   | prof_graphics            |       |            | Share of time the graphics engine was active.
PROF_PIPE_TENSOR_ACTIVE               | gauge   | prof_tensor              |       |            | Share of cycles the tensor pipe was active.
PROF_DRAM_ACTIVE                      | gauge   | prof_dram                |       |            | Share of cycles the memory interface was active.
PROF_PCIE_TX_BYTES                    | gauge   | prof_pcie_tx             | whole |            | PCIe traffic sent, bytes / s.
PROF_PCIE_RX_BYTES                    | gauge   | prof_pcie_rx             | whole |            | PCIe traffic received, bytes / s.
DEV_ECC_SBE_VOL_TOTAL                 | counter | ecc_sbe_volatile         |       | ecc        | Volatile single-bit ECC errors.
DEV_ECC_DBE_VOL_TOTAL                 | counter | ecc_dbe_volatile         |       | ecc        | Volatile double-bit ECC errors.
DEV_ECC_SBE_AGG_TOTAL                 | counter | ecc_sbe_aggregate        |       | ecc        | Aggregate single-bit ECC errors.
DEV_ECC_DBE_AGG_TOTAL                 | counter | ecc_dbe_aggregate        |       | ecc        | Aggregate double-bit ECC errors.
DEV_RETIRED_SBE                       | counter | retired_sbe              |       | retired    | Pages retired for single-bit errors.
DEV_RETIRED_DBE                       | counter | retired_dbe              |       | retired    | Pages retired for double-bit errors.
DEV_RETIRED_PENDING                   | gauge   | retired_pending          |       | retired    | Pages that wait to be retired.
DEV_POWER_VIOLATION                   | counter | violation_power_ns       |       | violations | Time throttled by power, ns.
DEV_THERMAL_VIOLATION                 | counter | violation_thermal_ns     |       | violations | Time throttled by heat, ns.
DEV_SYNC_BOOST_VIOLATION              | counter | violation_sync_boost_ns  |       | violations | Time throttled by sync boost, ns.
DEV_BOARD_LIMIT_VIOLATION             | counter | violation_board_limit_ns |       | violations | Time throttled by the board, ns.
DEV_LOW_UTIL_VIOLATION                | counter | violation_low_util_ns    |       | violations | Time throttled by low use, ns.
DEV_RELIABILITY_VIOLATION             | counter | violation_reliability_ns |       | violations | Time throttled for reliability, ns.
DEV_CLOCKS_EVENT_REASONS              | gauge   | clocks_event_reasons     |       | clocks     | Why clocks are what they are, bits.
DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL | counter | nvlink_crc_flit          |       | nvlink     | NVLink flow-control CRC errors.
DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL   | counter | nvlink_replay            |       | nvlink     | NVLink replays.
DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL | counter | nvlink_recovery          |       | nvlink     | NVLink recoveries.
PROF_SM_ACTIVE                        | gauge   | prof_sm                  |       | profiling  | Share of cycles with a warp on an SM.
PROF_SM_OCCUPANCY                     | gauge   | prof_sm_occupancy        |       | profiling  | Share of warps resident on the SMs.
PROF_PIPE_FP64_ACTIVE                 | gauge   | prof_fp64                |       | profiling  | Share of cycles the FP64 pipe was active.
PROF_PIPE_FP32_ACTIVE                 | gauge   | prof_fp32                |       | profiling  | Share of cycles the FP32 pipe was active.
PROF_PIPE_FP16_ACTIVE                 | gauge   | prof_fp16                |       | profiling  | Share of cycles the FP16 pipe was active.
PROF_NVLINK_RX_BYTES                  | gauge   | prof_nvlink_rx           | whole | profiling  | NVLink traffic received, bytes / s.
PROF_NVLINK_TX_BYTES                  | gauge   | prof_nvlink_tx           | whole | profiling  | NVLink traffic sent, bytes / s.
DEV_FB_TOTAL                          | gauge   | memory_total             | MiB   | memory     | Memory, MiB.
DEV_FB_USED_PERCENT                   | gauge   | memory_used_share        |       | memory     | Used share of the usable memory, 0-1.
DEV_POWER_USAGE_INSTANT               | gauge   | power_instant_milliwatts | /1000 | power      | Power draw now, W.
"""  # noqa: E501 - a table reads by its columns

_FACTORS = {"/1000": 1 / 1000, "MiB": 1 / (1 << 20)}


def _parse(row: str) -> Metric:
    name, kind, key, step, group, text = (cell.strip() for cell in row.split("|"))
    type_: Kind = "counter" if kind == "counter" else "gauge"
    is_whole = step in ("MiB", "whole")
    factor = _FACTORS.get(step, 1)
    return Metric(f"DCGM_FI_{name}", type_, text, key, factor, is_whole, group)


TABLE = tuple(_parse(row) for row in _ROWS.strip().splitlines())

NVLINK = "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"
COUNT = "DCGM_FI_DEV_COUNT"
XID_COUNT = "DCGM_EXP_XID_ERRORS_COUNT"
CLOCK_EVENTS = "DCGM_EXP_CLOCK_EVENTS_COUNT"

# Metrics of dcgm-exporter and of ACK's exporter that NVML cannot supply.
UNSUPPORTED = (
    "DCGM_EXP_GPU_HEALTH_STATUS",
    "DCGM_EXP_P2P_STATUS",
    "DCGM_FI_DEV_CPU_*",
    "DCGM_FI_DEV_NVSWITCH_*",
    "DCGM_CUSTOM_DEV_HEALTH",
    "DCGM_CUSTOM_PROF_MEM_BANDWIDTH_USED",
    "DCGM_CUSTOM_PROF_TENS_TFPS_USED",
)
