"""The objects of the chart let two replicas replace authority and pair without a failed request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import replicas, rotation, ways
from tests.e2e.harness.environment import ALL_GROUPS
from tests.e2e.harness.installation import Installation
from tests.e2e.harness.rotation import Kept
from tests.fakes.prometheus import Backend


@pytest.fixture(scope="module")
def kept(site: Installation, prometheus: Backend) -> Iterator[Kept]:
    """Two replicas behind the port of the Service, with the flags of a pod of the chart."""
    chosen = {"highAvailability": {"enabled": True}, "extraArguments": list(rotation.PACE)}
    ways.install(site, ways.values_of_every_kind(**chosen))
    flags = site.arguments(ways.NAMESPACE, ways.NAME, prometheus_url=prometheus.url)
    secret = f"/api/v1/namespaces/{ways.NAMESPACE}/secrets/{ways.NAME}-serving-cert"
    try:
        with replicas.behind_one_port(site.port, site.processes, flags) as (both, forwarder):
            site.wait_available(ALL_GROUPS, verified=True)
            yield Kept(site.cluster, secret, ALL_GROUPS, both, forwarder)
    finally:
        ways.remove(site)


def test_rotations_under_load_cost_nothing(site: Installation, kept: Kept) -> None:
    rotation.under_load(kept, site.control_plane)
