"""Replicas that manage their own certificates: what they hold, and how to have it replaced.

`under_load` is the proof: authority and pair are replaced again and again while requests go through
kube-apiserver, none of which may fail, and no APIService may become unavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from metrics_apiserver.certs import ca_bundle, publish
from metrics_apiserver.certs.secret import Material
from tests.e2e.harness import pki, polling, workload
from tests.e2e.harness.apiclient import ApiClient, Cluster
from tests.e2e.harness.controlplane import ControlPlane
from tests.e2e.harness.replicas import Forwarder, Replica
from tests.e2e.harness.traffic import API_SERVICES, Traffic

ROTATIONS = 20
_LOOP = f"namespaces/{workload.NAMESPACE}"
# One of each kind that the rules of the end-to-end tests give.
PATHS = (
    f"/apis/custom.metrics.k8s.io/v1beta1/{_LOOP}/pods/*/duty_cycle_current",
    f"/apis/custom.metrics.k8s.io/v1beta2/{_LOOP}/services/svc/svc_rate",
    f"/apis/external.metrics.k8s.io/v1beta1/{_LOOP}/ext_queue",
    f"/apis/metrics.k8s.io/v1beta1/{_LOOP}/pods",
    "/apis/custom.metrics.k8s.io/v1beta1",
)
RATE = 200.0
OVERLAP_SECONDS = 0.8
# For an environment in which every client sees a change at once.
PACE = (f"--cert-overlap={OVERLAP_SECONDS}s", f"--cert-interval={OVERLAP_SECONDS / 4}s")


@dataclass(frozen=True)
class Kept:
    """Two replicas and what they keep.

    Attributes:
        secret: path of the Secret.
        api_services: names of the APIServices.
    """

    cluster: Cluster
    secret: str
    api_services: tuple[str, ...]
    replicas: Sequence[Replica]
    forwarder: Forwarder

    def material(self) -> Material:
        return publish.read_secret(self.cluster.read(self.secret))

    def serving(self) -> str:
        """The leaf in the Secret, PEM; empty when there is none."""
        pair = self.material().serving
        chain = ca_bundle.authorities(pair.certificate) if pair is not None else ()
        return ca_bundle.join(chain[:1]).decode()

    def bundles(self) -> list[bytes]:
        """The `caBundle` of every APIService."""
        services = (self.cluster.read(f"{API_SERVICES}/{name}") for name in self.api_services)
        return [publish.read_api_service("", item).bundle for item in services]

    def one_authority(self) -> bytes:
        """The authority of the Secret, when it is all that is trusted; else nothing."""
        authority = self.material().authorities
        return authority if set(self.bundles()) == {authority} else b""

    def replace_authority(self, *, settled: bool) -> None:
        """Another authority and another pair.

        Args:
            settled: until the old authority is gone, not only until the new one's pair is served.
        """
        authority, serving = self.material().authorities, self.serving()
        self._take_away("ca.key")

        def replaced() -> bool:
            return self._serves_another(serving) and (not settled or self._is_settled(authority))

        polling.until("another authority", replaced, interval=0.2, seen=self.material)

    def replace_pair(self) -> None:
        """Another pair of the same authority."""
        serving = self.serving()
        self._take_away("tls.crt", "tls.key", "serving.crt", "serving.key")
        polling.until("another pair everywhere", lambda: self._serves_another(serving))

    def _take_away(self, *keys: str) -> None:
        """What an operator does to have something replaced."""
        self.cluster.patch(self.secret, {"data": dict.fromkeys(keys)})

    def _is_settled(self, authority: bytes) -> bool:
        """Whether one authority is left everywhere, and it is another than these."""
        found = self.one_authority()
        return len(ca_bundle.authorities(found)) == 1 and not (
            ca_bundle.fingerprints(found) & ca_bundle.fingerprints(authority)
        )

    def _serves_another(self, serving: str) -> bool:
        """Whether every replica serves the pair of the Secret, which is another than this."""
        found = self.serving()
        shown = (ca_bundle.authorities(one.certificate().encode()) for one in self.replicas)
        return found not in ("", serving) and all(
            ca_bundle.join(chain).decode() == found for chain in shown
        )


def under_load(kept: Kept, control_plane: ControlPlane) -> None:
    """Rotates under requests of the administrator; fails when a request or an APIService does."""
    context = pki.client_context(control_plane.ca_file, control_plane.admin)
    for client in (kept.cluster, *(one.client(control_plane) for one in kept.replicas)):
        for path in PATHS:
            polling.until(f"{path} answers", partial(_answers, client, path))
    authorities = ca_bundle.fingerprints(kept.material().authorities)
    connections = kept.forwarder.connections
    with Traffic(kept.cluster.url, context, PATHS, RATE, kept.api_services) as traffic:
        for number in range(ROTATIONS):
            kept.replace_authority(settled=number % 5 == 4)
            authorities |= ca_bundle.fingerprints(kept.material().authorities)
            if number % 5 == 0:
                kept.replace_pair()
    print(
        f"{ROTATIONS} rotations in {traffic.seconds:.0f} s: {dict(traffic.answers)} answers, "
        f"p50 {traffic.percentile(0.5) * 1e3:.0f} ms, p99 {traffic.percentile(0.99) * 1e3:.0f} ms, "
        f"{kept.forwarder.connections - connections} connections, "
        f"{sum(traffic.seen.values())} changes of APIServices seen"
    )
    assert traffic.failures == []
    assert traffic.flips == []
    assert set(traffic.seen) == set(kept.api_services)
    assert len(authorities) == ROTATIONS + 1
    assert sum(traffic.answers.values()) >= 0.8 * RATE * traffic.seconds


def _answers(client: ApiClient, path: str) -> bool:
    return client.get(path).status == 200
