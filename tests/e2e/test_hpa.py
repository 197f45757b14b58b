"""The stock HPA turns on what the server answers: Pods, Object, External and Resource, up and down.

Four Deployments at once, one HPA of each kind. Object and External metrics must give the exact
number of replicas; a Pods or Resource metric is an average that follows the pods with a lag, so any
number within the HPA's tolerance of a tenth is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.e2e.harness import polling, workload
from tests.e2e.harness.workload import Loads
from tests.e2e.harness.world import World

Wanted = Mapping[str, range]


@pytest.fixture(scope="module")
def autoscaled(served: World) -> Iterator[World]:
    served.apply(workload.autoscalers())
    yield served
    for hpa in workload.autoscalers():
        served.cluster.delete(hpa)


def exactly(count: int) -> range:
    return range(count, count + 1)


def expect(world: World, wanted: Wanted) -> None:
    def reached() -> dict[str, int] | None:
        replicas = {name: world.replicas(name) for name in wanted}
        fits = all(replicas[name] in allowed for name, allowed in wanted.items())
        return replicas if fits else None

    def seen() -> dict[str, object]:
        return {name: (world.replicas(name), world.hpa_status(name)) for name in wanted}

    polling.until(f"replicas {dict(wanted)}", reached, timeout=75.0, interval=0.3, seen=seen)


def test_every_kind_of_metric_scales_up_and_down(autoscaled: World, loads: Loads) -> None:
    loads.set(gpu=30.0, svc=50.0, ext=20.0, cpu=0.4)
    expect(autoscaled, {"gpu": exactly(1), "svc": exactly(2), "ext": exactly(2), "cpu": exactly(1)})
    loads.set(gpu=300.0, svc=170.0, ext=78.0, cpu=2.0)
    expect(
        autoscaled, {"gpu": range(7, 10), "svc": exactly(7), "ext": exactly(8), "cpu": range(4, 6)}
    )
    loads.set(gpu=70.0, svc=24.0, ext=9.0, cpu=0.4)
    expect(autoscaled, {"gpu": exactly(2), "svc": exactly(1), "ext": exactly(1), "cpu": exactly(1)})


@pytest.mark.parametrize("name", list(workload.METRICS))
def test_hpa_says_that_it_can_scale(autoscaled: World, name: str) -> None:
    status = autoscaled.hpa_status(name)
    conditions = {one["type"]: one["status"] for one in status["conditions"]}
    assert conditions["AbleToScale"] == "True"
    assert conditions["ScalingActive"] == "True"


def test_kubectl_describe_shows_value_and_target(autoscaled: World) -> None:
    described = autoscaled.kubectl("-n", workload.NAMESPACE, "describe", "hpa", "gpu")
    line = next(row for row in described.splitlines() if "duty_cycle_current" in row)
    assert line.split(":")[1].split("/")[1].strip() == "40"
    assert "<unknown>" not in described
