"""With exactly the shipped roles everything works, and without any one of them something does not.

Each test takes one binding or role away, names the read that breaks, gives it back and waits until
the same process has healed. Caches of decisions are set to a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.harness import kinds, polling, workload
from tests.e2e.harness.apiclient import ApiClient, Object
from tests.e2e.harness.environment import CUSTOM, Environment, namespace
from tests.e2e.harness.kinds import KINDS
from tests.fakes.exposition import ScrapeTarget

RULES = """
rules:
- seriesQuery: kind_probe
  resources: {template: "<<.Resource>>", overrides: {batch_job: {group: batch, resource: job}}}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)
"""
SHORT_CACHES = (
    "--authentication-token-webhook-cache-ttl=1s",
    "--authorization-webhook-cache-authorized-ttl=1s",
    "--authorization-webhook-cache-unauthorized-ttl=1s",
)
PODS = KINDS[0].path
HPA = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"


@pytest.fixture(scope="module")
def guarded(environment: Environment) -> Iterator[Environment]:
    """The server over a metric that every kind has, with short caches; alice may read metrics."""
    environment.apply([namespace(kinds.NAMESPACE), *kinds.objects(), binding("alice")])
    with ScrapeTarget(kinds.exposition) as target:
        prometheus = environment.prometheus([target.target], "prometheus-kinds")
        environment.serve(RULES, prometheus, CUSTOM, SHORT_CACHES)
        polling.until("first values", lambda: environment.cluster.get(PODS).items)
        yield environment
        environment.server.kill()
        prometheus.process.end()


def binding(user: str, role: str = "custom-metrics-server-resources") -> Object:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{user}-{role}"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }


def shipped(environment: Environment, kind: str, name: str) -> Object:
    """One object as it is shipped."""
    return next(
        one
        for one in environment.shipped
        if one["kind"] == kind and one["metadata"]["name"] == name
    )


@contextmanager
def without(environment: Environment, target: Object) -> Iterator[None]:
    """Takes one shipped object away for a while."""
    environment.cluster.delete(target)
    try:
        yield
    finally:
        environment.cluster.apply(target)


def impersonating(environment: Environment, user: str) -> ApiClient:
    """kube-apiserver as it serves an ordinary user."""
    headers = [("Impersonate-User", user), ("Impersonate-Group", "system:authenticated")]
    return ApiClient(environment.cluster.url, environment.admin_context, headers)


def wait_for(client: ApiClient, path: str, *statuses: int) -> None:
    polling.until(
        f"{path} answers {statuses}",
        lambda: client.get(path).status in statuses,
        timeout=20.0,
        seen=lambda: client.get(path),
    )


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_is_read_with_the_shipped_roles(guarded: Environment, kind: kinds.Kind) -> None:
    answer = impersonating(guarded, "alice").get(kind.path)
    assert answer.status == 200, answer
    assert kinds.NAME in answer.values() or kinds.NAMESPACE in answer.values()


def test_without_the_delegator_only_masters_are_answered(guarded: Environment) -> None:
    alice = impersonating(guarded, "alice")
    target = shipped(guarded, "ClusterRoleBinding", "custom-metrics:system:auth-delegator")
    with without(guarded, target):
        wait_for(alice, PODS, 500, 503)
        assert guarded.cluster.get(PODS).status == 200
    wait_for(alice, PODS, 200)


def test_without_the_authentication_reader_no_proxied_caller_is_known(guarded: Environment) -> None:
    target = shipped(guarded, "RoleBinding", "custom-metrics-auth-reader")
    guarded.server.kill()
    with without(guarded, target):
        guarded.server.start("/livez")
        client = guarded.server.client(
            guarded.control_plane.front_proxy, [("X-Remote-User", "alice")]
        )
        wait_for(client, PODS, 401, 403, 503)
    guarded.server.wait_ready()
    guarded.wait_available(CUSTOM)
    wait_for(impersonating(guarded, "alice"), PODS, 200)


def test_the_hpa_reads_by_the_shipped_binding(guarded: Environment) -> None:
    controller = impersonating(guarded, HPA)
    wait_for(controller, PODS, 200)
    with without(guarded, shipped(guarded, "ClusterRoleBinding", "hpa-controller-custom-metrics")):
        wait_for(controller, PODS, 403)
    wait_for(controller, PODS, 200)


def test_each_rule_of_the_reader_role_is_needed(guarded: Environment) -> None:
    """Gives back kind after kind to a server that started without any, and reads each in turn."""
    role = shipped(guarded, "ClusterRole", "custom-metrics-resource-reader")
    guarded.server.kill()
    guarded.cluster.apply({**role, "rules": []})
    guarded.server.start("/livez")
    rules: list[Object] = []
    try:
        for kind in KINDS:
            wait_for(guarded.cluster, kind.path, 404, 500, 503)
            rules.append(rule(role, kind))
            guarded.cluster.apply({**role, "rules": rules})
            wait_for(guarded.cluster, kind.path, 200)
    finally:
        guarded.cluster.apply(role)
    granted = {(group, name) for one in role["rules"] for group, name in pairs(one)}
    assert granted == {(kind.group, kind.resource) for kind in KINDS}


def pairs(one: Object) -> Iterator[tuple[str, str]]:
    for group in one["apiGroups"]:
        for resource in one["resources"]:
            yield group, resource


def rule(role: Object, kind: kinds.Kind) -> Object:
    """The shipped rule that covers a kind, cut down to it."""
    (whole,) = [one for one in role["rules"] if (kind.group, kind.resource) in set(pairs(one))]
    return {**whole, "apiGroups": [kind.group], "resources": [kind.resource]}


def test_a_viewer_may_top_by_the_aggregated_role(environment: Environment) -> None:
    """kube-apiserver itself refuses first, so the server need not run for this one."""
    environment.apply([binding("viewer", "view")])
    viewer = impersonating(environment, "viewer")
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{workload.NAMESPACE}/pods"
    role = shipped(environment, "ClusterRole", "system:aggregated-metrics-reader")

    def allowed() -> bool:
        return viewer.get(path).status != 403

    polling.until("the viewer is let through", allowed)
    with without(environment, role):
        polling.until("the viewer is refused", lambda: not allowed())
    polling.until("the viewer is let through again", allowed)


def test_the_deployment_is_admitted_where_pods_are_restricted(environment: Environment) -> None:
    """The namespace enforces the Pod Security Standard `restricted`."""

    def made() -> list[object]:
        return environment.cluster.get("/api/v1/namespaces/monitoring/pods").items

    polling.until("pods of the shipped Deployment", made)
