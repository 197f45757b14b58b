"""Loads must be shared by the ready pods and add up to what the test set."""

from __future__ import annotations

import re

import pytest

from tests.e2e.harness.workload import Loads


class Pods:
    """A kubelet whose ready pods are set by hand."""

    def __init__(self, **ready: tuple[str, ...]) -> None:
        self.apps = ready

    def ready(self, app: str) -> tuple[str, ...]:
        return self.apps.get(app, ())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def values(text: str, name: str) -> list[float]:
    return [float(found) for found in re.findall(rf"^{name}{{.*}} (\S+)$", text, re.MULTILINE)]


@pytest.mark.parametrize(("pods", "share"), [(("a",), 100.0), (("a", "b", "c", "d"), 40.0)])
def test_gpu_load_is_shared_and_a_gpu_has_only_its_whole_time(
    pods: tuple[str, ...], share: float
) -> None:
    loads = Loads(Pods(gpu=pods))
    loads.set(gpu=160.0)
    assert values(loads.render(), "nvidia_gpu_duty_cycle") == [share] * len(pods)


def test_without_ready_pods_there_is_no_gpu_series() -> None:
    assert values(Loads(Pods()).render(), "nvidia_gpu_duty_cycle") == []


def test_cpu_seconds_only_rise_and_sum_up_to_the_load() -> None:
    clock = Clock()
    pods = Pods(cpu=("a",))
    loads = Loads(pods, clock)
    loads.set(cpu=2.0)
    clock.now = 3.0
    assert values(loads.render(), "container_cpu_usage_seconds_total") == [6.0, 6.0]
    pods.apps = {"cpu": ("a", "b")}
    clock.now = 4.0
    assert values(loads.render(), "container_cpu_usage_seconds_total") == [7.0, 1.0, 8.0]


def test_the_queue_has_the_whole_load() -> None:
    loads = Loads(Pods())
    loads.set(ext=78.0)
    assert sum(values(loads.render(), "ext_queue")) == 78.0
