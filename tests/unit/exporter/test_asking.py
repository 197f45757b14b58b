"""Each value fails alone, the device's and library's troubles do not."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter.asking import RAISED, Asker, Context
from metrics_apiserver.exporter.capability import Capabilities
from metrics_apiserver.exporter.nvml.library import Code, Failure, Library
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.telemetry import Telemetry


@pytest.fixture
def asker() -> Asker:
    telemetry = Telemetry(CollectorRegistry())
    context = Context(Library(), Capabilities(telemetry), telemetry, Sampling(settle_seconds=2))
    return Asker(context, "GPU-1", 10.0)


def refuse(code: int) -> int:
    raise Failure("nvmlCall", code)


def test_answers_and_failures(asker: Asker) -> None:
    assert asker.ask("nvmlCall", lambda: 7) == 7
    assert asker.ask("nvmlCall", lambda: refuse(Code.NOT_SUPPORTED)) is None
    assert asker.ask("nvmlCall", lambda: 7) is None, "not asked again"
    assert not asker.allows("nvmlCall")
    assert asker.context.capabilities.of("GPU-1") == {"Call": False}


@pytest.mark.parametrize("code", RAISED)
def test_what_concerns_the_device_is_raised(asker: Asker, code: Code) -> None:
    with pytest.raises(Failure):
        asker.ask("nvmlCall", lambda: refuse(code))


def test_broken_is_unknown_errors_and_no_answer(asker: Asker) -> None:
    seen = []
    asker.ask("a", lambda: refuse(Code.UNKNOWN))
    asker.ask("b", lambda: refuse(Code.NOT_SUPPORTED))
    seen.append(asker.is_broken)
    asker.ask("c", lambda: refuse(Code.NOT_FOUND), quiet=(Code.NOT_FOUND,))
    seen.append(asker.is_broken)
    asker.begin(11.0)
    asker.ask("b", lambda: refuse(Code.NOT_SUPPORTED))
    seen.append(asker.is_broken)
    asker.ask("a", lambda: refuse(Code.OPERATING_SYSTEM))
    seen.append(asker.is_broken)
    asker.work("d")
    seen.append(asker.is_broken)
    assert seen == [True, False, False, True, False]


def test_it_settles(asker: Asker) -> None:
    before = asker.is_settled
    asker.begin(12.0)
    assert (before, asker.is_settled) == (False, True)


def test_dropped_values_are_counted(asker: Asker) -> None:
    asker.drop("gpu_util")
    registry = asker.context.telemetry.registry
    labels = {"metric": "gpu_util"}
    assert registry.get_sample_value("gpu_exporter_dropped_values_total", labels) == 1
