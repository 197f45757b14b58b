"""Kills under an active HPA: no scale write that the true load does not explain.

kube-apiserver, Prometheus and the server are killed with SIGKILL in turn, stay away until the HPA
has felt it, and come back; once with a constant load, once with a load that changes meanwhile. The
audit log tells every write. A namespace is deleted while Prometheus is down.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.harness import audit, polling, workload
from tests.e2e.harness.audit import AuditLog, ScaleWrite
from tests.e2e.harness.controlplane import HPA_SYNC_SECONDS
from tests.e2e.harness.environment import Environment, namespace
from tests.e2e.harness.workload import Loads
from tests.fakes.prometheus import Backend

SYNCS = 3 * HPA_SYNC_SECONDS
"""Long enough for every HPA to have turned at least twice."""

TARGETS = {"gpu": 40.0, "svc": 25.0, "ext": 10.0}
LOW = {"gpu": 190.0, "svc": 70.0, "ext": 28.0}
HIGH = {"gpu": 350.0, "svc": 170.0, "ext": 68.0}


def wanted(loads: dict[str, float]) -> dict[str, int]:
    """The replicas that a load gives each workload."""
    return {name: audit.replicas_for(load, TARGETS[name]) for name, load in loads.items()}


def at_rest(loads: dict[str, float]) -> dict[str, Collection[int]]:
    """The replicas at which an HPA rests; a Pods metric may be a tenth off its target."""
    counts: dict[str, Collection[int]] = {name: {count} for name, count in wanted(loads).items()}
    exact = loads["gpu"] / TARGETS["gpu"]
    counts["gpu"] = [n for n in range(1, 11) if abs(exact / n - 1) <= 0.1 or n in counts["gpu"]]
    return counts


@dataclass(frozen=True)
class Victim:
    """One part that is killed.

    Attributes:
        process: its name in the environment.
        ready: waits until the restarted process answers.
        away_seconds: how long it stays away beyond the time that its start takes.
    """

    process: str
    ready: Callable[[], None]
    away_seconds: float = SYNCS


@pytest.fixture(params=["server", "prometheus", "kube-apiserver"])
def victim(request: pytest.FixtureRequest, environment: Environment, prometheus: Backend) -> Victim:
    """Each part in turn, with everything running before it is killed."""
    victims = [
        Victim("server", environment.server.wait_ready),
        Victim("prometheus", prometheus.wait_ready),
        # Its start takes longer than two syncs, and the longer it is away, the longer do the
        # watches of kube-controller-manager back off.
        Victim("kube-apiserver", environment.control_plane.wait_ready, away_seconds=0.0),
    ]
    for one in reversed(victims):
        environment.processes[one.process].ensure()
        one.ready()
    return next(one for one in victims if one.process == request.param)


@pytest.fixture(scope="module")
def autoscaled(served: Environment, loads: Loads) -> Iterator[Environment]:
    """HPAs of three kinds, settled at the low load.

    That of the GPUs reads what they do at this moment. A mean over a window adds, after a scale up,
    what the pods did when they were fewer to what the new ones do, which no true load explains.
    """
    loads.set(**LOW)
    metrics = {**workload.METRICS, "gpu": workload.pods_metric("DCGM_FI_DEV_GPU_UTIL")}
    served.apply(workload.autoscaler(name, metrics[name]) for name in TARGETS)
    yield served
    for hpa in workload.autoscalers():
        served.cluster.delete(hpa)


def settle(environment: Environment, load: dict[str, float]) -> None:
    """Waits until every HPA reads its metric and has made the replicas that the load gives."""
    counts = at_rest(load)

    def settled() -> bool:
        return all(
            environment.replicas(name) in allowed and environment.scaling_active(name)
            for name, allowed in counts.items()
        )

    def seen() -> object:
        return {name: (environment.replicas(name), environment.hpa_status(name)) for name in counts}

    polling.until(f"replicas {counts}", settled, timeout=90.0, interval=0.3, seen=seen)


def kill_and_restart(
    environment: Environment, victim: Victim, meanwhile: Callable[[], None]
) -> None:
    process = environment.processes[victim.process]
    process.end(signal.SIGKILL)
    meanwhile()
    polling.hold(victim.away_seconds)
    process.start()
    victim.ready()
    environment.wait_available()


def test_constant_load_gives_no_write(
    autoscaled: Environment, victim: Victim, loads: Loads
) -> None:
    loads.set(**LOW)
    settle(autoscaled, LOW)
    polling.hold(SYNCS)
    log = AuditLog(autoscaled.control_plane.audit_log)
    kill_and_restart(autoscaled, victim, meanwhile=lambda: None)
    settle(autoscaled, LOW)
    polling.hold(SYNCS)
    assert log.writes() == []


@pytest.mark.parametrize(("before", "after"), [(LOW, HIGH), (HIGH, LOW)], ids=["up", "down"])
def test_a_step_gives_only_the_writes_it_explains(
    autoscaled: Environment,
    victim: Victim,
    loads: Loads,
    before: dict[str, float],
    after: dict[str, float],
) -> None:
    loads.set(**before)
    settle(autoscaled, before)
    log = AuditLog(autoscaled.control_plane.audit_log)
    kill_and_restart(autoscaled, victim, meanwhile=lambda: loads.set(**after))
    settle(autoscaled, after)
    polling.hold(SYNCS)
    writes = log.writes()
    assert unexplained(writes, before, after) == []
    assert {one.deployment for one in writes} == set(TARGETS)


def unexplained(
    writes: list[ScaleWrite], before: dict[str, float], after: dict[str, float]
) -> list[ScaleWrite]:
    """Writes that the step does not explain.

    Object and External metrics do not depend on the pods: only the new count is right. A Pods
    metric is the sum over pods that come and go: the way may have steps between the two counts,
    and right after a scale down the pods that stay still show their share from when there were
    more of them, which asks for fewer still. None of this comes near the one replica that a
    zero would give.
    """
    old, new = wanted(before), wanted(after)
    explained: dict[str, Collection[int]] = {name: {count} for name, count in new.items()}
    lowest = lowest_by_stale_shares(after["gpu"] / max(old["gpu"], new["gpu"]), new["gpu"])
    explained["gpu"] = range(min(lowest, old["gpu"]), max(old["gpu"], new["gpu"]) + 1)
    assert 1 not in explained["gpu"]
    return audit.unexplained(writes, explained)


def lowest_by_stale_shares(share: float, pods: int) -> int:
    """Where an HPA ends that sees the same share of each pod however few are left."""
    while (fewer := audit.replicas_for(pods * share, TARGETS["gpu"])) < pods:
        pods = fewer
    return pods


@pytest.mark.parametrize("restarted", [False, True], ids=["serving", "started without it"])
def test_a_namespace_goes_while_prometheus_is_down(
    served: Environment, prometheus: Backend, restarted: bool
) -> None:
    doomed = namespace("doomed")
    served.apply([doomed])
    prometheus.process.end(signal.SIGKILL)
    try:
        if restarted:
            served.server.kill()
        served.processes["server"].ensure()
        served.server.wait_ready()
        served.wait_available()
        served.cluster.request("DELETE", served.cluster.path_of(doomed))
        polling.until(
            "namespace gone",
            lambda: served.cluster.get("/api/v1/namespaces/doomed").status == 404,
            timeout=15.0,
            seen=lambda: served.cluster.get("/api/v1/namespaces/doomed").body,
        )
    finally:
        prometheus.process.start()
        prometheus.wait_ready()
