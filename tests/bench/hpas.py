"""From a load step to the scale write, for 1 000 stock HPAs with the controller's default settings.

    make bench-hpas
    make bench-hpas HPAS=5000 PEER=/path/to/adapter FLAGS=--query-freshness=1s

Each HPA has a Deployment and one ready pod, whose GPU goes from idle to twice its target at once.
Only the HPA controller runs (period 15 s, 5 workers; its own client limit is lifted), so a
Deployment is scaled by a write that the audit log dates. Scrapes come every second.
"""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests import builds
from tests.bench import fleet, measure
from tests.bench.fleet import number, pod
from tests.e2e.harness import workload
from tests.e2e.harness.apiclient import MERGE, Object
from tests.e2e.harness.environment import CUSTOM, Environment, namespace
from tests.fakes.exposition import ScrapeTarget
from tests.fakes.prometheus import Backend

NAMESPACES = 40
PERIOD_SECONDS = 15.0
IDLE, BUSY = 20.0, 80.0  # of a target of 40
SETTLE_SECONDS = 45
STEP_SECONDS = 45
CONTROLLER = {
    "controllers": "horizontal-pod-autoscaler-controller",
    "horizontal-pod-autoscaler-sync-period": "15s",
    "horizontal-pod-autoscaler-initial-readiness-delay": "30s",
    "horizontal-pod-autoscaler-cpu-initialization-period": "5m0s",
    "kube-api-qps": 10_000,
    "kube-api-burst": 10_000,
}


def _members(count: int) -> list[tuple[str, str]]:
    return [(f"team-{n % NAMESPACES}", f"app{n}") for n in range(count)]


def _in(space: str, one: Object) -> Object:
    return {**one, "metadata": {**one["metadata"], "namespace": space}}


def _populate(environment: Environment, count: int) -> None:
    environment.apply([workload.node()])
    environment.apply([namespace(f"team-{n}") for n in range(NAMESPACES)])

    def create(member: tuple[str, str]) -> None:
        space, app = member
        core, apps = f"/api/v1/namespaces/{space}/pods", f"/apis/apps/v1/namespaces/{space}"
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
        status = {"phase": "Running", "startTime": now, "conditions": [ready]}
        deployment = _in(space, workload.deployment(app))
        deployment["spec"]["replicas"] = 1
        for method, path, body, kind in (
            ("POST", core, pod(space, app, f"{app}-0"), "application/json"),
            ("PATCH", f"{core}/{app}-0/status", {"status": status}, MERGE),
            ("POST", f"{apps}/deployments", deployment, "application/json"),
        ):
            answer = environment.cluster.request(method, path, body, content_type=kind)
            if answer.status not in (200, 201):
                raise AssertionError(f"{path}: {answer.status} {answer.body}")

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(create, _members(count)))


def _add_autoscalers(environment: Environment, count: int) -> None:
    """Creates the HPAs one after the other over one period, so that their turns are spread."""
    began = time.monotonic()

    def create(numbered: tuple[int, tuple[str, str]]) -> None:
        place, (space, app) = numbered
        time.sleep(max(0.0, began + place * PERIOD_SECONDS / count - time.monotonic()))
        hpa = _in(space, workload.autoscaler(app, workload.pods_metric()))
        del hpa["spec"]["behavior"]
        path = f"/apis/autoscaling/v2/namespaces/{space}/horizontalpodautoscalers"
        answer = environment.cluster.request("POST", path, hpa)
        if answer.status != 201:
            raise AssertionError(f"{path}: {answer.status} {answer.body}")

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(create, enumerate(_members(count))))


def _writes(audit: Path, since: float) -> dict[str, float]:
    """Seconds after `since` (epoch) of the first scale write of each Deployment."""
    first: dict[str, float] = {}
    for line in audit.read_text().splitlines():
        event = json.loads(line)
        stamp = dt.datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp() - since
        reference = event["objectRef"]
        name = f"{reference['namespace']}/{reference['name']}"
        if stamp >= 0:
            first[name] = min(stamp, first.get(name, stamp))
    return first


def _step(
    environment: Environment, prometheus: Backend, set_load: Callable[[float], None]
) -> list[str]:
    time.sleep(SETTLE_SECONDS)
    pids = [
        environment.server.process.pid,
        prometheus.process.pid,
        environment.processes["kube-apiserver"].pid,
        environment.processes["kube-controller-manager"].pid,
    ]
    spent = [measure.cpu_seconds(pid) for pid in pids]
    machine = measure.machine_cpu_seconds()
    began = dt.datetime.now(dt.UTC).timestamp()  # noqa: TID251 - compared with the audit log
    set_load(BUSY)
    time.sleep(STEP_SECONDS)
    cores = [
        (measure.cpu_seconds(pid) - before) / STEP_SECONDS
        for pid, before in zip(pids, spent, strict=True)
    ]
    cores.append((measure.machine_cpu_seconds() - machine) / STEP_SECONDS)
    seconds = sorted(_writes(environment.control_plane.audit_log, began).values())
    if not seconds:
        return ["0", "-", "-", *(f"{core:.2f}" for core in cores)]
    return [
        str(len(seconds)),
        f"{seconds[len(seconds) // 2]:.1f}",
        f"{seconds[-1]:.1f}",
        *(f"{core:.2f}" for core in cores),
    ]


def run(count: int, say: Callable[[str], None]) -> None:
    """Measures every subject, each in a environment of its own, and prints the table."""
    rows = []
    for subject in fleet.subjects():
        fleet.choose(subject)
        environment = Environment(builds.ROOT / ".cache/bench/hpas", CONTROLLER)
        try:
            rows.append(
                [f"{subject.name}, {count} HPAs", *_measure(environment, subject.flags, count)]
            )
        finally:
            environment.close()
    say(f"# {measure.machine()}")
    head = (
        "subject",
        "scaled",
        "median s",
        "worst s",
        "cores: server",
        "Prometheus",
        "kube-apiserver",
        "controller",
        "whole machine",
    )
    say(measure.table(head, rows))


def _measure(environment: Environment, flags: tuple[str, ...], count: int) -> list[str]:
    environment.start()
    _populate(environment, count)
    load = [IDLE]

    def render() -> str:
        return "".join(
            f'nvidia_gpu_duty_cycle{{uuid="GPU-{app}",node_name="{workload.NODE}",'
            f'pod_name="{app}-0",namespace_name="{space}"}} {load[0]}\n'
            for space, app in _members(count)
        )

    def set_load(value: float) -> None:
        load[0] = value

    with ScrapeTarget(render) as target:
        prometheus = environment.prometheus([target.target])
        environment.serve(
            fleet.RULES, prometheus, CUSTOM, ("--metrics-relist-interval=60s", *flags)
        )
        _add_autoscalers(environment, count)
        return _step(environment, prometheus, set_load)


def main() -> None:
    run(number("HPAS", 1000), partial(print, flush=True))


if __name__ == "__main__":
    main()
