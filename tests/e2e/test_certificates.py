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

import pytest

from tests import builds
from tests.e2e.harness import manifests, polling, replicas, rotation
from tests.e2e.harness.apiclient import ApiClient, Object
from tests.e2e.harness.environment import ALL_GROUPS, NAMESPACE, SERVICE, Environment
from tests.e2e.harness.rotation import Kept
from tests.e2e.harness.traffic import API_SERVICES
from tests.fakes.prometheus import Backend

OVERLAY = builds.ROOT / "tests/e2e/overlay/certificates"
RULES = builds.ROOT / "tests/e2e/rules.yaml"
KEPT = f"{SERVICE}-serving-cert"
KEEPER = "custom-metrics-certificate-manager"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
SECRET = f"{SECRETS}/{KEPT}"


def keeping(objects: list[Object]) -> list[Object]:
    """The objects that the component adds."""
    return [one for one in objects if one["metadata"]["name"] in (KEPT, KEEPER)]


def flags(objects: list[Object]) -> list[str]:
    """The flags that the component gives the server."""
    [deployment] = [one for one in objects if one["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    words = manifests.arguments(container, NAMESPACE)
    return [flag for flag in words if flag.startswith("--cert-")]


@pytest.fixture(scope="module")
def kept(environment: Environment, prometheus: Backend) -> Iterator[Kept]:
    """Two replicas behind the port of the environment's server, with nothing prepared."""
    objects = manifests.render(OVERLAY)
    environment.apply(keeping(objects))
    words = [
        *replicas.flags_of(environment.directory / "server.kubeconfig", RULES, prometheus.url),
        *flags(objects),
        *rotation.PACE,
        "--shutdown-drain=0s",
    ]
    port, processes = environment.server.port, environment.processes
    try:
        with replicas.behind_one_port(port, processes, words) as (both, forwarder):
            environment.wait_available()
            yield Kept(environment.cluster, SECRET, ALL_GROUPS, both, forwarder)
    finally:
        for one in keeping(objects):
            environment.cluster.delete(one)
        environment.apply(one for one in environment.shipped if one["kind"] == "APIService")


def test_the_aggregator_verifies_what_the_replicas_made(kept: Kept) -> None:
    authority = polling.until("one authority everywhere", kept.one_authority)
    context = ssl.create_default_context(cadata=authority.decode())
    for replica in kept.replicas:
        with (
            socket.create_connection(("127.0.0.1", replica.port), 5) as connection,
            context.wrap_socket(connection, server_hostname=f"{SERVICE}.{NAMESPACE}.svc"),
        ):
            pass


def test_rotations_under_load_cost_nothing(environment: Environment, kept: Kept) -> None:
    rotation.under_load(kept, environment.control_plane)


def test_the_command_looks_at_a_cluster_and_prints_what_it_takes(
    environment: Environment, kept: Kept
) -> None:
    services = f"--apiservices={','.join(ALL_GROUPS)}"
    cluster = f"--kubeconfig={environment.control_plane.admin_kubeconfig}"
    place = f"--connect=127.0.0.1:{kept.replicas[0].port}"
    seen = certs("inspect", place, cluster, services, f"--secret={NAMESPACE}/{KEPT}")
    assert seen.returncode == 0, seen.stdout
    assert seen.stdout.count("is verified for custom-metrics-apiserver.monitoring.svc") == 8
    service = f"--service={SERVICE}.{NAMESPACE}"
    issued = certs("issue", service, services, f"--secret={NAMESPACE}/issued", "-o", "yaml")
    manifests = environment.directory / "issued.yaml"
    manifests.touch(mode=0o600)
    manifests.write_text(issued.stdout)
    forced = ("--server-side", "--force-conflicts", "--dry-run=server")
    applied = environment.kubectl("apply", *forced, "-f", str(manifests))
    assert applied.count("serverside-applied") == 5


def certs(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "metrics_apiserver", "certs", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=builds.ROOT,
    )


def test_the_rights_end_at_the_named_objects(environment: Environment, kept: Kept) -> None:
    account = f"system:serviceaccount:{NAMESPACE}:{SERVICE}"
    headers = [("Impersonate-User", account), ("Impersonate-Group", "system:serviceaccounts")]
    server = ApiClient(kept.cluster.url, environment.admin_context, headers)
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
