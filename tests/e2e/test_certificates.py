"""Two replicas keep their own certificates behind the real aggregation layer, with shipped rights.

Authority and pair are replaced twenty times under 200 requests a second. No request may fail and
no APIService may become unavailable.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from metrics_apiserver.certs import publish, trust
from metrics_apiserver.certs.secret import Material
from tests.e2e.harness import binaries, manifests, polling, replicas, workload
from tests.e2e.harness.apiclient import ApiClient, Object
from tests.e2e.harness.background import Background
from tests.e2e.harness.prometheus import Prometheus
from tests.e2e.harness.replicas import Forwarder, Replica
from tests.e2e.harness.traffic import API_SERVICES, Traffic
from tests.e2e.harness.world import ALL_GROUPS, NAMESPACE, SERVICE, World

ROTATIONS = 20
RATE = 200.0
OVERLAP_SECONDS = 0.8
OVERLAY = binaries.ROOT / "tests/e2e/overlay/certificates"
RULES = binaries.ROOT / "tests/e2e/rules.yaml"
KEPT = f"{SERVICE}-serving-cert"
KEEPER = "custom-metrics-certificate-keeper"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
SECRET = f"{SECRETS}/{KEPT}"
_LOOP = f"namespaces/{workload.NAMESPACE}"
PATHS = (
    f"/apis/custom.metrics.k8s.io/v1beta1/{_LOOP}/pods/*/duty_cycle_current",
    f"/apis/custom.metrics.k8s.io/v1beta2/{_LOOP}/services/svc/svc_rate",
    f"/apis/external.metrics.k8s.io/v1beta1/{_LOOP}/ext_queue",
    f"/apis/metrics.k8s.io/v1beta1/{_LOOP}/pods",
    "/apis/custom.metrics.k8s.io/v1beta1",
)


@dataclass
class Kept:
    """The world with the replicas in it."""

    world: World
    replicas: list[Replica]
    forwarder: Forwarder

    def material(self) -> Material:
        return publish.read_secret(self.world.cluster.read(SECRET))

    def serving(self) -> str:
        """The leaf in the Secret, PEM; empty when there is none."""
        pair = self.material().serving
        chain = trust.authorities(pair.certificate) if pair is not None else ()
        return trust.join(chain[:1]).decode()

    def bundles(self) -> list[bytes]:
        """The `caBundle` of every APIService."""
        services = (self.world.cluster.read(f"{API_SERVICES}/{name}") for name in ALL_GROUPS)
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
        """What an operator does to ask for something new."""
        self.world.cluster.patch(SECRET, {"data": dict.fromkeys(keys)})

    def _is_settled(self, authority: bytes) -> bool:
        """Whether one authority is left everywhere, and it is another than these."""
        found = self.one_authority()
        return len(trust.authorities(found)) == 1 and not (
            trust.fingerprints(found) & trust.fingerprints(authority)
        )

    def _serves_another(self, serving: str) -> bool:
        """Whether every replica serves the pair of the Secret, which is another than this."""
        found = self.serving()
        shown = (trust.authorities(one.certificate().encode()) for one in self.replicas)
        return found not in ("", serving) and all(
            trust.join(chain).decode() == found for chain in shown
        )


def keeping(objects: list[Object]) -> list[Object]:
    """The objects that the component adds."""
    return [one for one in objects if one["metadata"]["name"] in (KEPT, KEEPER)]


def flags(objects: list[Object]) -> list[str]:
    """The flags that the component gives the server."""
    [deployment] = [one for one in objects if one["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return [flag for flag in container["args"] if flag.startswith("--cert-")]


@pytest.fixture(scope="module")
def kept(world: World, prometheus: Prometheus) -> Iterator[Kept]:
    """Two replicas behind the port of the world's server, with nothing prepared."""
    objects = manifests.render(OVERLAY)
    world.apply(keeping(objects))
    told = [
        *replicas.flags_of(world.directory / "server.kubeconfig", RULES, prometheus.url),
        *flags(objects),
        f"--cert-overlap={OVERLAP_SECONDS}s",
        f"--cert-interval={OVERLAP_SECONDS / 4}s",
        "--shutdown-drain=0s",
    ]
    both = [Replica(f"replica-{number}", world.processes, told) for number in (1, 2)]
    forwarder = Forwarder(world.server.port, [one.port for one in both])
    background = Background(forwarder.serve)
    background.start()
    try:
        for replica in both:
            replica.start()
        for replica in both:
            replica.wait_ready()
        world.wait_available()
        yield Kept(world, both, forwarder)
    finally:
        for replica in both:
            replica.process.end()
        background.stop()
        for one in keeping(objects):
            world.cluster.delete(one)
        world.apply(one for one in world.shipped if one["kind"] == "APIService")


def test_the_aggregator_verifies_what_the_replicas_made(kept: Kept) -> None:
    authority = polling.until("one authority everywhere", kept.one_authority)
    context = ssl.create_default_context(cadata=authority.decode())
    for replica in kept.replicas:
        with (
            socket.create_connection(("127.0.0.1", replica.port), 5) as connection,
            context.wrap_socket(connection, server_hostname=f"{SERVICE}.{NAMESPACE}.svc"),
        ):
            pass


def test_rotations_under_load_cost_nothing(kept: Kept) -> None:
    cluster = kept.world.cluster
    for client in (cluster, *(one.client(kept.world.control_plane) for one in kept.replicas)):
        for path in PATHS:
            polling.until(f"{path} answers", partial(answers, client, path))
    authorities = trust.fingerprints(kept.material().authorities)
    connections = kept.forwarder.connections
    with Traffic(cluster.url, kept.world.admin_context, PATHS, RATE, ALL_GROUPS) as traffic:
        for number in range(ROTATIONS):
            kept.replace_authority(settled=number % 2 == 1)
            authorities |= trust.fingerprints(kept.material().authorities)
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
    assert set(traffic.seen) == set(ALL_GROUPS)
    assert len(authorities) == ROTATIONS + 1
    assert sum(traffic.answers.values()) >= 0.8 * RATE * traffic.seconds


def answers(client: ApiClient, path: str) -> bool:
    return client.get(path).status == 200


def test_the_command_looks_at_a_cluster_and_prints_what_it_takes(kept: Kept) -> None:
    world, services = kept.world, f"--apiservices={','.join(ALL_GROUPS)}"
    cluster = f"--kubeconfig={world.control_plane.admin_kubeconfig}"
    place = f"--connect=127.0.0.1:{kept.replicas[0].port}"
    seen = certs("inspect", place, cluster, services, f"--secret={NAMESPACE}/{KEPT}")
    assert seen.returncode == 0, seen.stdout
    assert seen.stdout.count("is verified for custom-metrics-apiserver.monitoring.svc") == 8
    service = f"--service={SERVICE}.{NAMESPACE}"
    issued = certs("issue", service, services, f"--secret={NAMESPACE}/issued", "-o", "yaml")
    manifests = world.directory / "issued.yaml"
    manifests.touch(mode=0o600)
    manifests.write_text(issued.stdout)
    forced = ("--server-side", "--force-conflicts", "--dry-run=server")
    applied = world.kubectl("apply", *forced, "-f", str(manifests))
    assert applied.count("serverside-applied") == 5


def certs(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "metrics_apiserver", "certs", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=binaries.ROOT,
    )


def test_the_rights_end_at_the_named_objects(kept: Kept) -> None:
    account = f"system:serviceaccount:{NAMESPACE}:{SERVICE}"
    headers = [("Impersonate-User", account), ("Impersonate-Group", "system:serviceaccounts")]
    server = ApiClient(kept.world.cluster.url, kept.world.admin_context, headers)
    ours = f"{API_SERVICES}/{ALL_GROUPS[0]}"
    assert server.get(SECRET).status == 200
    assert server.get(ours).status == 200
    for method, path in (
        *(("GET", SECRETS), ("POST", SECRETS), ("GET", API_SERVICES)),
        *(("GET", f"{SECRETS}/another"), ("PUT", f"{SECRETS}/another")),
        *(("GET", f"{API_SERVICES}/v1.apps"), ("PUT", f"{API_SERVICES}/v1.apps")),
        *(("DELETE", SECRET), ("PATCH", SECRET), ("DELETE", ours), ("PATCH", ours)),
    ):
        assert server.request(method, path, {}).status == 403, (method, path)
