"""The stock HPA turns on what the server answers: Pods, Object, External and Resource, up and down.

Four Deployments at once, one HPA of each kind. Object and External metrics must give the exact
number of replicas; a Pods or Resource metric is an average that follows the pods with a lag, so any
number within the HPA's tolerance of a tenth is right.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import workload
from tests.e2e.harness.environment import Environment
from tests.e2e.harness.scaling import exactly, expect
from tests.e2e.harness.workload import Loads


@pytest.fixture(scope="module")
def autoscaled(served: Environment) -> Iterator[Environment]:
    served.apply(workload.autoscalers())
    yield served
    for hpa in workload.autoscalers():
        served.cluster.delete(hpa)


def test_every_kind_of_metric_scales_up_and_down(autoscaled: Environment, loads: Loads) -> None:
    loads.set(gpu=30.0, svc=50.0, ext=20.0, cpu=0.4)
    expect(
        autoscaled.cluster,
        {"gpu": exactly(1), "svc": exactly(2), "ext": exactly(2), "cpu": exactly(1)},
    )
    loads.set(gpu=300.0, svc=170.0, ext=78.0, cpu=2.0)
    expect(
        autoscaled.cluster,
        {"gpu": range(7, 10), "svc": exactly(7), "ext": exactly(8), "cpu": range(4, 6)},
    )
    loads.set(gpu=70.0, svc=24.0, ext=9.0, cpu=0.4)
    expect(
        autoscaled.cluster,
        {"gpu": exactly(2), "svc": exactly(1), "ext": exactly(1), "cpu": exactly(1)},
    )


@pytest.mark.parametrize("name", list(workload.METRICS))
def test_hpa_says_that_it_can_scale(autoscaled: Environment, name: str) -> None:
    status = autoscaled.hpa_status(name)
    conditions = {one["type"]: one["status"] for one in status["conditions"]}
    assert conditions["AbleToScale"] == "True"
    assert conditions["ScalingActive"] == "True"


def test_kubectl_describe_shows_value_and_target(autoscaled: Environment) -> None:
    described = autoscaled.kubectl("-n", workload.NAMESPACE, "describe", "hpa", "gpu")
    line = next(row for row in described.splitlines() if "duty_cycle_current" in row)
    assert line.split(":")[1].split("/")[1].strip() == "40"
    assert "<unknown>" not in described
