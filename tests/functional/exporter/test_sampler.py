"""The state of the sampler; NVML errors are in test_failures.py."""

from __future__ import annotations

import time
from collections.abc import Callable

import pynvml
import pytest

from metrics_apiserver.exporter.session import FatalError
from metrics_apiserver.exporter.settings import Sampling
from tests.fakes.nvml.loaded import FakeNvml
from tests.fakes.nvml.rig import Rig
from tests.fakes.nvml.scenario import gpu_uuid


def test_every_call_records_a_heartbeat(make_rig: Callable[..., Rig], nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1)
    nvml.write()
    rig = make_rig()
    rig.heartbeat.doing = "nothing"
    rig.sample()
    assert rig.heartbeat.doing.startswith("nvml")


def test_no_gpu_is_not_an_error(make_rig: Callable[..., Rig], nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(0)
    nvml.write()
    rig = make_rig()
    found = rig.sample(5)
    assert rig.last is not None
    assert rig.last.is_up
    assert found.value("nvidia_gpu_num_devices") == 0


def test_close_releases_everything(make_rig: Callable[..., Rig], nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(2, gpm_supported=1)
    nvml.write()
    rig = make_rig()
    rig.sample(3)
    rig.sampler.close()
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()
    rig.sampler.close()
    assert rig.sample(3).value("nvidia_gpu_num_devices") == 2, "it could go on"


def test_initialisations_are_rate_limited(make_rig: Callable[..., Rig], nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1).set("*", "fail.nvmlDeviceGetMemoryInfo_v2", 1)
    nvml.write()
    rig = make_rig()
    rig.sample(20)
    assert rig.count("nvml_restarts_total", reason="uninitialized") <= 4


def test_a_failed_init_is_retried_with_growing_delays(
    make_rig: Callable[..., Rig], nvml: FakeNvml
) -> None:
    nvml.scenario.set("*", "fail.nvmlInitWithFlags", 9)
    nvml.write()
    rig = make_rig()
    rig.sample(1000)
    tries = rig.count("nvml_errors_total", call="nvmlInitWithFlags", code="9")
    assert tries == 6, "after 0, 30, 90, 210, 450 and 750 seconds"


def test_windows_of_devices_restart(make_rig: Callable[..., Rig], nvml: FakeNvml) -> None:
    rig = make_rig(sampling=Sampling(settle_seconds=0))
    rig.sampler.restart_windows("GPU-unknown")
    nvml.scenario.add_gpus(1, util=40)
    nvml.write()
    rig.sample(40)
    assert rig.reading(gpu_uuid(0)).values["duty_cycle"] == 40
    rig.sampler.restart_windows(gpu_uuid(0))
    nvml.scenario.set(0, "fail.nvmlDeviceGetSamples", 6)
    nvml.write()
    rig.sample()
    assert "duty_cycle" not in rig.reading(gpu_uuid(0)).values


def test_a_hanging_wait_for_events_is_fatal(make_rig: Callable[..., Rig], nvml: FakeNvml) -> None:
    nvml.scenario.add_gpus(1)
    nvml.write()
    rig = make_rig()
    rig.sample()
    nvml.scenario.set("*", "hang.nvmlEventSetWait_v2", 2000)
    nvml.write()
    assert rig.sampler.session.watcher._thread is not None
    rig.sampler.session.watcher._thread.join(0.5)
    rig.sampler.session.watcher._stop_timeout_seconds = 0.2
    nvml.scenario.set("*", "fail.nvmlDeviceGetMemoryInfo_v2", 1)
    nvml.write()
    with pytest.raises(FatalError, match="wait for events"):
        rig.sample(10)
    nvml.scenario.unset("*", "hang.nvmlEventSetWait_v2")
    nvml.write()


def test_no_xid_is_shown_while_events_do_not_work(
    make_rig: Callable[..., Rig], nvml: FakeNvml
) -> None:
    nvml.scenario.add_gpus(1)
    nvml.write()
    rig = make_rig()
    assert rig.sample().value("DCGM_FI_DEV_XID_ERRORS") == 0
    nvml.scenario.set("*", "fail.nvmlEventSetWait_v2", 999)
    nvml.write()
    deadline = time.monotonic() + 10
    while rig.sample(seconds=0.1).value("DCGM_FI_DEV_XID_ERRORS") is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    nvml.scenario.unset("*", "fail.nvmlEventSetWait_v2")
    nvml.write()
    while rig.sample(seconds=5).value("DCGM_FI_DEV_XID_ERRORS") is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
