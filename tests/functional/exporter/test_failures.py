"""NVML errors, and what the metrics show then."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pynvml
import pytest

from metrics_apiserver.exporter.session import FatalError
from metrics_apiserver.exporter.settings import Exposition, Sampling
from tests.fakes.nvml.loaded import FakeNvml
from tests.fakes.nvml.rig import Rig, Text, build_rig
from tests.fakes.nvml.scenario import MIB, gpu_uuid, mig_uuid

DUTY = "nvidia_gpu_duty_cycle"
MakeRig = Callable[..., Rig]


def eventually(rig: Rig, accept: Callable[[Text], object]) -> Text:
    """Samples until the text is accepted; events come from a thread of their own."""
    deadline = time.monotonic() + 10
    while not accept(found := rig.sample(seconds=0.2)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


# --- single values -----------------------------------------------------------------------------


def test_invalid_values_are_dropped_and_counted(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=30, enc=4294967295, **{"field.82": "4294967295"})
    nvml.write()
    rig = make_rig()
    found = rig.sample(3)
    assert found.value(DUTY) == 30
    assert found.value("DCGM_FI_DEV_ENC_UTIL") is None
    assert found.value("DCGM_FI_DEV_MEMORY_TEMP") is None
    assert found.value("DCGM_FI_DEV_DEC_UTIL") == 0
    nvml.scenario.set(0, "util", 4294967295)
    nvml.write()
    found = rig.sample()
    assert found.value("DCGM_FI_DEV_GPU_UTIL") is None
    assert found.value(DUTY) == 30, "the window continues with valid values"
    for metric in ("enc_util", "memory_temperature", "gpu_util", "duty_cycle"):
        assert rig.count("dropped_values_total", metric=metric) > 0


def test_a_failed_call_removes_one_metric(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2).set(0, "fail.nvmlDeviceGetPowerUsage", "999")
    nvml.write()
    rig = make_rig()
    found = rig.sample(2)
    assert found.value("DCGM_FI_DEV_POWER_USAGE", gpu="0") is None
    assert found.value("DCGM_FI_DEV_POWER_USAGE", gpu="1") == 70.5
    assert found.value("DCGM_FI_DEV_GPU_TEMP", gpu="0") == 34
    assert rig.count("nvml_errors_total", call="nvmlDeviceGetPowerUsage", code="999") == 1
    nvml.scenario.unset(0, "fail.nvmlDeviceGetPowerUsage")
    nvml.write()
    assert rig.sample(6).value("DCGM_FI_DEV_POWER_USAGE", gpu="0") == 70.5


def test_unsupported_calls_are_repeated_after_ten_minutes(
    make_rig: MakeRig, nvml: FakeNvml
) -> None:
    nvml.scenario.add_gpus(1)
    nvml.write()
    rig = make_rig()
    found = rig.sample(2)
    assert found.value("nvidia_gpu_fanspeed_percent") is None
    assert found.value("gpu_exporter_capability", feature="FanSpeed") == 0
    nvml.scenario.set(0, "fan", 105)
    nvml.write()
    assert rig.sample(60).value("nvidia_gpu_fanspeed_percent") is None
    found = rig.sample(3, seconds=300)
    assert found.value("nvidia_gpu_fanspeed_percent") == 105, "an intended speed may exceed 100"
    assert found.value("gpu_exporter_capability", feature="FanSpeed") == 1


def test_a_newer_call_replaces_a_removed_one(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, temperature=71).set(0, "fail.nvmlDeviceGetTemperature", 13)
    nvml.write()
    assert make_rig().sample().value("nvidia_gpu_temperature_celsius") == 71


def test_a_name_that_is_not_text(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, name='odd "name" \\ böard')
    nvml.write()
    found = make_rig().sample(2)
    assert found.samples[DUTY][0][0]["name"] == 'odd \\"name\\" \\\\ böard'
    text = nvml.scenario.path.read_bytes().replace("ö".encode(), b"\xff")
    nvml.scenario.path.write_bytes(text)
    rig = build_rig(nvml)
    assert rig.sample(2).samples[DUTY][0][0]["name"].endswith("b\N{REPLACEMENT CHARACTER}ard")
    rig.sampler.close()


def test_energy_and_replays_are_hardware_counters(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, energy="5000000 rate=1000", replay=9)
    nvml.write()
    assert make_rig().sample().value("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION") == 5_001_000
    again = build_rig(nvml).sample()
    assert again.value("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION") == 5_002_000
    assert again.value("DCGM_FI_DEV_PCIE_REPLAY_COUNTER") == 9


def test_pcie_rates_by_counters_where_there_is_no_gpm(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).set(0, "field.197", "7 rate=4000").set(0, "field.198", "0 rate=100")
    nvml.write()
    rig = make_rig()
    assert rig.sample().value("DCGM_FI_PROF_PCIE_TX_BYTES") is None
    found = rig.sample()
    assert found.value("DCGM_FI_PROF_PCIE_TX_BYTES") == 4000
    assert found.value("DCGM_FI_PROF_PCIE_RX_BYTES") == 100
    nvml.write()  # the counters reset
    assert rig.sample().value("DCGM_FI_PROF_PCIE_TX_BYTES") is None
    assert found.value("DCGM_FI_PROF_GR_ENGINE_ACTIVE") is None, "not in NVML before Hopper"


def test_an_old_driver(old_nvml: FakeNvml) -> None:
    old_nvml.scenario.add_gpus(1, util=20, mem_used=100 * MIB, mem_reserved=10 * MIB)
    old_nvml.scenario.process(0, 7, mem=50 * MIB, sm=20)
    old_nvml.write()
    rig = build_rig(old_nvml)
    found = rig.sample(3)
    assert found.value(DUTY) == 20
    assert found.value("DCGM_FI_DEV_FB_USED") == 110, "version 1 includes reserved memory"
    assert found.value("DCGM_FI_DEV_FB_RESERVED") is None
    assert rig.reading(gpu_uuid(0)).memory is not None
    assert found.value("gpu_exporter_capability", feature="GpmMetricsGet") == 0
    rig.sampler.close()


# --- devices -----------------------------------------------------------------------------------


def test_a_lost_gpu_does_not_affect_the_others(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(3, util=10)
    nvml.write()
    rig = make_rig()
    assert len(rig.sample(2).values(DUTY)) == 3
    nvml.scenario.set(1, "lost", 1).set(1, "xid", 79, at_ms=0)
    nvml.write()
    found = eventually(rig, lambda t: t.value("gpu_exporter_xid_errors_total", xid="79"))
    assert len(found.values(DUTY)) == 2
    assert found.value("nvidia_gpu_num_devices") == 3
    assert found.value("gpu_exporter_device_lost", uuid=gpu_uuid(1)) == 1
    assert found.value("gpu_exporter_device_lost", uuid=gpu_uuid(0)) == 0
    assert found.value("gpu_exporter_devices", state="lost") == 1
    calls = rig.count("nvml_errors_total", call="nvmlDeviceGetMemoryInfo", code="15")
    rig.sample(20)
    assert rig.count("nvml_errors_total", call="nvmlDeviceGetMemoryInfo", code="15") == calls
    nvml.scenario.set(1, "lost", 0).unset(1, "xid")
    nvml.write()
    found = rig.sample(40)
    assert len(found.values(DUTY)) == 3
    assert found.value("gpu_exporter_device_lost", uuid=gpu_uuid(1)) == 0
    assert found.value("gpu_exporter_xid_errors_total", uuid=gpu_uuid(1), xid="any") == 1
    assert rig.count("nvml_restarts_total", reason="device_back") == 1


def test_a_lost_gpu_is_remembered_when_nvml_is_initialised_again(
    make_rig: MakeRig, nvml: FakeNvml
) -> None:
    """It cannot be opened then, and is still shown as lost, with its last XID."""
    nvml.scenario.add_gpus(2, util=10)
    nvml.write()
    rig = make_rig()
    rig.sample(2)
    nvml.scenario.set(1, "xid", 79, at_ms=0).set(1, "lost", 1)
    nvml.write()
    eventually(rig, lambda t: t.value("gpu_exporter_xid_errors_total", xid="79"))
    nvml.scenario.unset(1, "xid").set("*", "fail.nvmlDeviceGetUtilizationRates", "1 times=1")
    nvml.write()
    for _ in range(40):
        rig.sample()
    found = rig.sample()
    assert rig.count("nvml_restarts_total", reason="uninitialized") == 1
    assert found.value("gpu_exporter_device_lost", uuid=gpu_uuid(1)) == 1
    assert found.value("gpu_exporter_devices", state="lost") == 1
    assert found.value("gpu_exporter_xid_errors_total", uuid=gpu_uuid(1), xid="79") == 1
    assert found.values(DUTY) == [10]
    nvml.scenario.set(1, "lost", 0)
    nvml.write()
    found = rig.sample(40)
    assert found.value("gpu_exporter_device_lost", uuid=gpu_uuid(1)) == 0
    assert found.value("gpu_exporter_devices", state="lost") == 0
    assert len(found.values(DUTY)) == 2


def test_gpus_that_cannot_be_opened(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(3).set(0, "no_permission", 1).set(2, "lost", 1)
    nvml.write()
    rig = make_rig()
    found = rig.sample(2)
    assert len(found.values(DUTY)) == 1
    assert found.value("nvidia_gpu_num_devices") == 3
    assert found.value("gpu_exporter_devices", state="no_permission") == 1
    assert found.value("gpu_exporter_devices", state="lost") == 1
    nvml.scenario.set(0, "no_permission", 0).set(2, "lost", 0)
    nvml.write()
    assert len(rig.sample(35).values(DUTY)) == 3


def test_a_gpu_that_is_plugged_in(make_rig: MakeRig, nvml: FakeNvml, tmp_path: Path) -> None:
    """NVML lists the GPUs of its initialisation; the kernel driver lists the current ones."""
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    nvml.scenario.add_gpus(1)
    nvml.write()
    rig = make_rig()
    rig.sample(2)
    nvml.scenario.add_gpus(2)
    nvml.write()
    assert rig.sample(70).value("nvidia_gpu_num_devices") == 1
    (tmp_path / "gpus" / "0000:02:00.0").mkdir()
    assert rig.sample(65).value("nvidia_gpu_num_devices") == 2
    assert rig.count("nvml_restarts_total", reason="hot_plug") == 1


def test_identity_is_the_uuid(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2).set(0, "util", 80).set(1, "util", 20)
    nvml.write()
    rig = make_rig()
    assert rig.sample(3).value(DUTY, uuid=gpu_uuid(0)) == 80
    nvml.scenario.set(0, "uuid", gpu_uuid(1)).set(1, "uuid", gpu_uuid(0))
    nvml.scenario.set(0, "util", 20).set(1, "util", 80)
    nvml.scenario.set("*", "fail.nvmlDeviceGetMemoryInfo_v2", "1 times=1")
    nvml.write()
    found = rig.sample(12)
    assert found.value(DUTY, uuid=gpu_uuid(0), minor_number="1") == 80
    assert found.value("DCGM_FI_DEV_GPU_UTIL", UUID=gpu_uuid(1), gpu="0") == 20
    assert rig.count("nvml_restarts_total", reason="uninitialized") == 1


# --- the library -------------------------------------------------------------------------------


@contextmanager
def without_library() -> Iterator[None]:
    """The dynamic linker finds no NVML, as on a machine without a driver."""
    handed, pynvml.nvmlLib = pynvml.nvmlLib, None
    try:
        yield
    finally:
        pynvml.nvmlLib = handed


def test_no_library_is_a_state(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1)
    nvml.write()
    rig = make_rig(sampling=Sampling(library="/nowhere/libnvidia-ml.so.1", settle_seconds=0))
    with without_library():
        found = rig.sample(10)
        assert rig.last is not None
        assert not rig.last.is_up
        assert found.types == {}
        assert rig.count("nvml_errors_total", call="nvmlInitWithFlags", code="12") == 1
        rig.sample(200)
        assert rig.count("nvml_errors_total", call="nvmlInitWithFlags", code="12") == 3
    assert rig.sample(300).value("nvidia_gpu_num_devices") == 1


def test_no_driver_for_too_long(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.set("*", "fail.nvmlInitWithFlags", 9)
    nvml.write()
    rig = make_rig(sampling=Sampling(exit_without_driver_seconds=600))
    with pytest.raises(FatalError, match=r"no driver for 600 s"):
        rig.sample(1000)
    assert nvml.now > 1600


def test_a_driver_that_is_loaded_later(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).set("*", "fail.nvmlInitWithFlags", 9)
    nvml.write()
    rig = make_rig()
    rig.sample(5)
    nvml.scenario.unset("*", "fail.nvmlInitWithFlags")
    nvml.write()
    assert rig.sample(30).value("nvidia_gpu_num_devices") == 1


@pytest.mark.parametrize("code", [17, 999])
def test_device_nodes_removed_before_init(make_rig: MakeRig, nvml: FakeNvml, code: int) -> None:
    nvml.scenario.set("*", "fail.nvmlInitWithFlags", code)
    nvml.write()
    rig = make_rig()
    with pytest.raises(FatalError, match="device nodes"):
        rig.sample(60)


def test_device_nodes_removed_while_running(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2)
    nvml.write()
    rig = make_rig()
    rig.sample(2)
    for line in (Path(__file__).parents[2] / "fakes/nvml/fake_nvml.c").read_text().split("\n"):
        for word in line.replace("(", " ").replace(")", " ").split():
            if word.startswith(("nvmlDeviceGet", "nvmlGpm")):
                nvml.scenario.set(0, f"fail.{word.strip(',')}", 999)
                nvml.scenario.set(1, f"fail.{word.strip(',')}", 999)
    nvml.write()
    with pytest.raises(FatalError, match="all GPUs return unknown errors"):
        rig.sample(5)


def test_one_gpu_with_unknown_errors_is_not_all(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2).set(0, "fail.nvmlDeviceGetMemoryInfo_v2", 999)
    nvml.write()
    assert make_rig().sample(10).value(DUTY, minor_number="1") == 0


def test_a_driver_replaced_while_the_library_is_loaded(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).set("*", "fail.nvmlDeviceGetMemoryInfo_v2", "18 after=3")
    nvml.write()
    rig = make_rig()
    with pytest.raises(FatalError, match="LIB_RM_VERSION_MISMATCH"):
        rig.sample(6)


def test_a_driver_replaced_before_init(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.set("*", "fail.nvmlInitWithFlags", 18)
    nvml.write()
    with pytest.raises(FatalError, match="LIB_RM_VERSION_MISMATCH"):
        make_rig().sample()


def test_nvml_was_shut_down(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=33)
    nvml.write()
    rig = make_rig()
    rig.sample(10)
    pynvml.nvmlShutdown()
    rig.sample()
    assert rig.last is not None
    assert not rig.last.is_up
    assert rig.sample(10).value(DUTY) == 33


def test_a_failed_enumeration_is_retried(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).set("*", "fail.nvmlDeviceGetCount_v2", "1 times=1")
    nvml.write()
    rig = make_rig()
    assert rig.sample().types == {}
    assert rig.sample(31).value("nvidia_gpu_num_devices") == 1


# --- events ------------------------------------------------------------------------------------


def test_xids_are_counted_and_the_last_one_stays(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2)
    nvml.write()
    rig = make_rig()
    found = rig.sample()
    assert found.value("DCGM_FI_DEV_XID_ERRORS", gpu="0") == 0
    assert found.value("gpu_exporter_xid_errors_total", uuid=gpu_uuid(0), xid="any") == 0
    nvml.scenario.set(0, "xid", 31, at_ms=100)
    nvml.write()
    found = eventually(rig, lambda t: t.value("DCGM_FI_DEV_XID_ERRORS", gpu="0") == 31)
    assert found.value("DCGM_FI_DEV_XID_ERRORS", gpu="1") == 0
    assert found.value("gpu_exporter_xid_errors_total", uuid=gpu_uuid(0), xid="31") == 1
    assert found.value("gpu_exporter_last_xid_timestamp_seconds", uuid=gpu_uuid(0)) is not None
    assert found.value("gpu_exporter_device_lost", uuid=gpu_uuid(0)) == 0, "an application error"
    assert rig.sample(400).value("DCGM_FI_DEV_XID_ERRORS", gpu="0") == 31


def test_a_failed_wait_for_events_is_restarted(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1)
    nvml.write()
    rig = make_rig()
    rig.sample()
    nvml.scenario.set("*", "fail.nvmlEventSetWait_v2", "999 times=1")
    nvml.write()
    errors = {"call": "nvmlEventSetWait_v2", "code": "999"}
    found = eventually(rig, lambda _: rig.count("nvml_errors_total", **errors) == 1)
    assert found.value(DUTY) is not None, "nothing else is restarted"
    nvml.scenario.unset("*", "fail.nvmlEventSetWait_v2").set(0, "xid", 62, at_ms=300)
    nvml.write()
    eventually(rig, lambda t: t.value("DCGM_FI_DEV_XID_ERRORS") == 62)


def test_a_gpu_without_events_shows_no_xid(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).unset(0, "event_types")
    nvml.write()
    found = make_rig().sample()
    assert found.value("DCGM_FI_DEV_XID_ERRORS") is None
    assert "gpu_exporter_xid_errors_total" not in found.types


# --- MIG ---------------------------------------------------------------------------------------


def test_mig_instances(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1, util=99, gpm_supported=1, power=200_000)
    first = nvml.scenario.add_instance(0, 0, gi=3, profile="1g.10gb")
    second = nvml.scenario.add_instance(0, 2, gi=5, profile="2g.20gb")
    for gi, base in ((3, 10), (5, 60)):
        for number in (1, 2, 5):
            nvml.scenario.set(0, f"gpm.gi{gi}.{number}", base + number)
    nvml.write()
    found = make_rig().sample(3)
    assert found.value("DCGM_FI_DEV_GPU_UTIL") is None, "NVML has none under MIG"
    assert found.value(DUTY, uuid=first, GPU_I_ID="3", minor_number="0") == 11
    assert found.value(DUTY, uuid=second, GPU_I_ID="5") == 61
    assert found.value(DUTY, uuid=gpu_uuid(0)) is None
    assert found.value("nvidia_gpu_memory_total_bytes", uuid=first) == 9856 * MIB
    assert found.value("nvidia_gpu_power_usage_milliwatts") == 200_000, "once, on the GPU"
    labels = {"UUID": gpu_uuid(0), "GPU_I_ID": "5", "GPU_I_PROFILE": "2g.20gb"}
    assert found.value("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", **labels) == 0.65
    assert found.value("DCGM_FI_DEV_FB_USED", **labels) == 12
    assert found.value("gpu_exporter_mig_enabled") == 1


def test_profiles_that_the_driver_does_not_name(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1)
    uuid = nvml.scenario.add_instance(0, 0, gi=1, profile="3g.40gb")
    nvml.scenario.set("*", "fail.nvmlDeviceGetGpuInstanceById", 4)
    nvml.scenario.set(uuid, "fail.nvmlDeviceGetGpuInstanceById", 4)
    nvml.write()
    found = make_rig().sample()
    assert found.value("DCGM_FI_DEV_FB_USED", GPU_I_PROFILE="3g.40gb") == 12
    nvml.scenario.set(uuid, "name", "no profile in it").set(uuid, "slices", 3)
    nvml.write()
    rig = build_rig(nvml)
    assert rig.sample().value("DCGM_FI_DEV_FB_USED", GPU_I_PROFILE="3g.10gb") == 12
    rig.sampler.close()


def test_mig_without_gpm_shows_no_activity(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1)
    uuid = nvml.scenario.add_instance(0, 0, gi=1)
    nvml.write()
    found = make_rig().sample(3)
    assert found.value(DUTY) is None
    assert found.value("nvidia_gpu_memory_used_bytes", uuid=uuid) == 12 * MIB


def test_mig_switched_on_and_its_instances_recreated(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2, util=40, mig=0)
    nvml.write()
    rig = make_rig()
    assert rig.sample(3).value(DUTY, uuid=gpu_uuid(1)) == 40
    uuid = nvml.scenario.add_instance(1, 0, gi=1)
    nvml.write()
    found = rig.sample(12)
    assert found.value("nvidia_gpu_memory_used_bytes", uuid=uuid) == 12 * MIB
    assert found.value(DUTY, uuid=gpu_uuid(0)) == 40
    nvml.scenario.set(1, "mig.0", mig_uuid(1, 7))
    for key, value in (("gi", 2), ("ci", 0), ("mem_total", 100 * MIB), ("mem_used", 9 * MIB)):
        nvml.scenario.set(mig_uuid(1, 7), key, value)
    nvml.write()
    found = rig.sample(12)
    used = "nvidia_gpu_memory_used_bytes"
    assert found.value(used, uuid=uuid) is None
    assert found.value(used, uuid=mig_uuid(1, 7)) == 9 * MIB


def test_a_gpu_about_to_change_its_mig_mode_is_released(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2, mig=0)
    nvml.write()
    rig = make_rig()
    rig.sample(3)
    nvml.scenario.set(1, "mig_pending", 1)
    nvml.write()
    found = rig.sample(12)
    assert found.value("gpu_exporter_devices", state="paused") == 1
    assert found.value(DUTY, uuid=gpu_uuid(0)) == 0
    attached = nvml.attached
    rig.sample(10)
    assert nvml.attached == attached, "it is not opened meanwhile"
    nvml.scenario.unset(1, "mig_pending")
    nvml.write()
    uuid = nvml.scenario.add_instance(1, 0, gi=1)
    nvml.write()
    found = rig.sample(60)
    assert found.value("nvidia_gpu_memory_used_bytes", uuid=uuid) == 12 * MIB
    assert found.value("gpu_exporter_devices", state="paused") == 0


def test_a_gpu_that_waits_for_its_mig_mode_at_the_start(make_rig: MakeRig, nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2, mig=0).set(1, "mig_pending", 1)
    nvml.write()
    rig = make_rig()
    found = rig.sample(3)
    assert found.value("gpu_exporter_devices", state="paused") == 1
    assert found.values(DUTY) == [0]
    attached = nvml.attached
    rig.sample(20)
    assert nvml.attached == attached
    nvml.scenario.unset(1, "mig_pending")
    nvml.write()
    assert len(rig.sample(20).values(DUTY)) == 2


# --- bounds ------------------------------------------------------------------------------------


def test_the_number_of_series_is_bounded_by_whole_metrics(
    make_rig: MakeRig, nvml: FakeNvml
) -> None:
    nvml.scenario.add_gpus(16)
    nvml.write()
    rig = make_rig(exposition=Exposition(max_series=40))
    found = rig.sample(3)
    shown = {name: one for name, one in found.samples.items() if not name.startswith("gpu_exp")}
    assert sum(map(len, shown.values())) <= 40
    assert {len(one) for one in shown.values()} <= {1, 16}
    assert DUTY in shown, "what an HPA reads is kept"
    assert rig.count("dropped_series_total", metric="DCGM_FI_DEV_GPU_UTIL") > 0


def test_the_environment_is_as_before(nvml: FakeNvml) -> None:
    assert os.environ["FAKE_NVML_CLOCK"] == str(nvml.clock)
