"""The chart's objects alone let two replicas replace authority and pair while nobody notices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import rotation, ways
from tests.e2e.harness.background import Background
from tests.e2e.harness.environment import ALL_GROUPS
from tests.e2e.harness.installation import Installation
from tests.e2e.harness.replicas import Forwarder, Replica
from tests.e2e.harness.rotation import Kept
from tests.fakes.prometheus import Backend


@pytest.fixture(scope="module")
def kept(site: Installation, prometheus: Backend) -> Iterator[Kept]:
    """Two replicas behind the port of the Service, told what a pod of the chart is told."""
    chosen = {"highAvailability": {"enabled": True}, "extraArguments": list(rotation.PACE)}
    ways.install(site, ways.values_of_every_kind(**chosen))
    told = site.arguments(ways.NAMESPACE, ways.NAME, prometheus_url=prometheus.url)
    both = [Replica(f"replica-{number}", site.processes, told) for number in (1, 2)]
    forwarder = Forwarder(site.port, [one.port for one in both])
    background = Background(forwarder.serve)
    background.start()
    secret = f"/api/v1/namespaces/{ways.NAMESPACE}/secrets/{ways.NAME}-serving-cert"
    try:
        for replica in both:
            replica.start()
        for replica in both:
            replica.wait_ready()
        site.wait_available(ALL_GROUPS, verified=True)
        yield Kept(site.cluster, secret, ALL_GROUPS, both, forwarder)
    finally:
        for replica in both:
            replica.process.end()
        background.stop()
        ways.remove(site)


def test_rotations_under_load_cost_nothing(site: Installation, kept: Kept) -> None:
    rotation.under_load(kept, site.control_plane)
