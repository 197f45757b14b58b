"""Each value fails on its own; errors of the device or library are raised."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter.capability import Capabilities
from metrics_apiserver.exporter.device_caller import RAISED, DeviceCaller, NVMLContext
from metrics_apiserver.exporter.nvml.library import Code, Library, NVMLError
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.telemetry import ExporterTelemetry


@pytest.fixture
def caller() -> DeviceCaller:
    telemetry = ExporterTelemetry(CollectorRegistry())
    context = NVMLContext(Library(), Capabilities(telemetry), telemetry, Sampling(settle_seconds=2))
    return DeviceCaller(context, "GPU-1", 10.0)


def refuse(code: int) -> int:
    raise NVMLError("nvmlCall", code)


def test_success_and_errors(caller: DeviceCaller) -> None:
    assert caller.attempt("nvmlCall", lambda: 7) == 7
    assert caller.attempt("nvmlCall", lambda: refuse(Code.NOT_SUPPORTED)) is None
    assert caller.attempt("nvmlCall", lambda: 7) is None, "not called again"
    assert not caller.allows("nvmlCall")
    assert caller.context.capabilities.of("GPU-1") == {"Call": False}


@pytest.mark.parametrize("code", RAISED)
def test_device_errors_are_raised(caller: DeviceCaller, code: Code) -> None:
    with pytest.raises(NVMLError):
        caller.attempt("nvmlCall", lambda: refuse(code))


def test_broken_means_unknown_errors_only(caller: DeviceCaller) -> None:
    seen = []
    caller.attempt("a", lambda: refuse(Code.UNKNOWN))
    caller.attempt("b", lambda: refuse(Code.NOT_SUPPORTED))
    seen.append(caller.is_broken)
    caller.attempt("c", lambda: refuse(Code.NOT_FOUND), quiet=(Code.NOT_FOUND,))
    seen.append(caller.is_broken)
    caller.begin_round(11.0)
    caller.attempt("b", lambda: refuse(Code.NOT_SUPPORTED))
    seen.append(caller.is_broken)
    caller.attempt("a", lambda: refuse(Code.OPERATING_SYSTEM))
    seen.append(caller.is_broken)
    caller.record_success("d")
    seen.append(caller.is_broken)
    assert seen == [True, False, False, True, False]


def test_it_settles(caller: DeviceCaller) -> None:
    before = caller.is_settled
    caller.begin_round(12.0)
    assert (before, caller.is_settled) == (False, True)


def test_dropped_values_are_counted(caller: DeviceCaller) -> None:
    caller.count_dropped("gpu_util")
    registry = caller.context.telemetry.registry
    labels = {"metric": "gpu_util"}
    assert registry.get_sample_value("gpu_exporter_dropped_values_total", labels) == 1
