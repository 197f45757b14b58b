"""HPAs scale on what was installed: by the chart with every kind of metric, by kustomize.

The HPA controller has no right to read metrics but by the installed binding, and the server none
but its ServiceAccount's. How exactly it follows the load is looked at elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import manifests, ways, workload
from tests.e2e.harness.environment import ALL_GROUPS, CUSTOM, NAMESPACE, SERVICE
from tests.e2e.harness.installation import Installation
from tests.e2e.harness.scaling import exactly, expect
from tests.e2e.harness.workload import Loads
from tests.fakes.prometheus import Backend


@pytest.fixture(scope="module", autouse=True)
def hpas(site: Installation) -> Iterator[None]:
    for hpa in workload.autoscalers():
        site.cluster.apply(hpa)
    yield
    for hpa in workload.autoscalers():
        site.cluster.delete(hpa)


def test_by_the_chart(site: Installation, prometheus: Backend, loads: Loads) -> None:
    loads.set(gpu=300.0, svc=170.0, ext=78.0, cpu=2.0)
    ways.install(site, ways.values_of_every_kind())
    site.serve(ways.NAMESPACE, ways.NAME, prometheus_url=prometheus.url)
    site.wait_available(ALL_GROUPS, verified=True)
    wanted = {"gpu": range(7, 10), "svc": exactly(7), "ext": exactly(8), "cpu": range(4, 6)}
    expect(site.cluster, wanted)
    ways.remove(site)


def test_by_kustomize(site: Installation, prometheus: Backend, loads: Loads) -> None:
    """The component `certificates` names APIServices that are not there; that hinders nothing."""
    folder = site.directory / "overlays/installed"
    objects = manifests.render(manifests.overlay(folder, ["certificates", "ha"]))
    site.apply(objects)
    site.serve(NAMESPACE, SERVICE, prometheus_url=prometheus.url)
    site.wait_available(CUSTOM, verified=True)
    loads.set(gpu=70.0)
    expect(site.cluster, {"gpu": exactly(2)})
    site.end_server()
    for one in objects:
        site.cluster.delete(one)
