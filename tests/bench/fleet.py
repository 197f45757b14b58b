"""Reads of a fleet of HPAs, against this server and, with PEER, beside any other.

    make bench
    make bench PEER=/path/to/adapter            # takes the predecessor's flags
    make bench FLAGS=--query-freshness=1s       # measured once more with these flags
    make bench NAMESPACES=10 APPS=5 PODS=2 SECONDS_EACH=3

A real kube-apiserver holds the pods, a real Prometheus the GPU series; the load comes over TLS with
the front-proxy certificate, as the aggregator would send it. Each request is that of one HPA:
`pods/*/duty_cycle_current` with the labelSelector of its workload.
"""

from __future__ import annotations

import concurrent.futures
import os
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests import builds
from tests.bench import measure
from tests.bench.measure import Load
from tests.e2e.harness import pki, workload
from tests.e2e.harness.apiclient import Object
from tests.e2e.harness.environment import CUSTOM, Environment, namespace
from tests.e2e.harness.server import subject_command
from tests.fakes.exposition import ScrapeTarget
from tests.fakes.prometheus import Backend

RULES = (builds.ROOT / "config/alibaba-gpu.yaml").read_text().replace("[3m]", "[1m]")
METRICS = ("duty_cycle", "memory_used_bytes")
HPA_USER = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"


def number(name: str, default: int) -> int:
    return int(os.environ.get(name) or default)


@dataclass(frozen=True)
class Fleet:
    """How many of what there are."""

    namespaces: int = 40
    apps: int = 25
    pods: int = 4

    @classmethod
    def from_environment(cls) -> Fleet:
        return cls(number("NAMESPACES", 40), number("APPS", 25), number("PODS", 4))

    @property
    def size(self) -> int:
        return self.namespaces * self.apps * self.pods

    def members(self) -> list[tuple[str, str, str]]:
        """(namespace, app, pod) of every pod."""
        return [
            (f"team-{i}", f"app{a}", f"app{a}-{k}")
            for i in range(self.namespaces)
            for a in range(self.apps)
            for k in range(self.pods)
        ]

    def paths(self) -> list[str]:
        """One request path for each HPA."""
        return [
            f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/team-{i}/pods/%2A/duty_cycle_current"
            f"?labelSelector=app%3Dapp{a}"
            for a in range(self.apps)
            for i in range(self.namespaces)
        ]

    def series(self) -> str:
        lines = [
            f'nvidia_gpu_{metric}{{minor_number="0",uuid="GPU-{n}",name="T4",node_name="node-a",'
            f'pod_name="{pod}",namespace_name="{space}"}} {n % 100}'
            for metric in METRICS
            for n, (space, _, pod) in enumerate(self.members())
        ]
        return "\n".join(lines) + "\n"


def pod(space: str, app: str, name: str) -> Object:
    """A pod that is bound to a node; nothing reads its status."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": {"app": app}},
        "spec": {
            "nodeName": workload.NODE,
            "automountServiceAccountToken": False,
            "containers": [{"name": "main", "image": "none"}],
        },
    }


def populate(environment: Environment, fleet: Fleet) -> None:
    """Creates the namespaces and pods of the fleet."""
    environment.apply([workload.node()])
    environment.apply([namespace(f"team-{i}") for i in range(fleet.namespaces)])

    def create(member: tuple[str, str, str]) -> None:
        path = f"/api/v1/namespaces/{member[0]}/pods"
        answer = environment.cluster.request("POST", path, pod(*member))
        if answer.status != 201:
            raise AssertionError(f"pod {member}: {answer.status} {answer.body}")

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(create, fleet.members()))


@dataclass
class Subject:
    """One server under test."""

    name: str
    command: list[str]
    flags: tuple[str, ...] = ()


def subjects() -> list[Subject]:
    """This server, again with FLAGS, and PEER; a peer runs twice, throttled and not."""
    found = [Subject("metrics-apiserver", subject_command())]
    flags = os.environ.get("FLAGS", "").split()
    if flags:
        found.append(Subject(f"metrics-apiserver {' '.join(flags)}", subject_command(), (*flags,)))
    peer = os.environ.get("PEER")
    if peer:
        command = shlex.split(peer)
        found.append(Subject("peer", command))
        found.append(
            Subject("peer, unthrottled", command, ("--client-qps=10000", "--client-burst=10000"))
        )
    return found


def choose(subject: Subject) -> None:
    """Makes a subject the one that the environment's server starts next."""
    os.environ["SUBJECT"] = shlex.join(subject.command)


class Bench:
    """One environment, measured under several loads and subjects."""

    def __init__(
        self, environment: Environment, prometheus: Backend, paths: Path, program: Path
    ) -> None:
        self.environment = environment
        self.prometheus = prometheus
        self.paths = paths
        self.program = program

    def start(self, subject: Subject) -> float:
        """Starts a subject; seconds from its start to ready."""
        choose(subject)
        server = self.environment.server
        flags = ("--metrics-relist-interval=60s", *subject.flags)
        server.configure(RULES, self.prometheus.url, flags)
        began = time.monotonic()
        server.start()
        seconds = time.monotonic() - began
        self.environment.wait_available(CUSTOM)
        return seconds

    def run(self, load: Load) -> dict[str, float]:
        """One load: what the generator reports, and what each process spent for a request."""
        pids = {
            "server": self.environment.server.process.pid,
            "prometheus": self.prometheus.process.pid,
            "kube-apiserver": self.environment.processes["kube-apiserver"].pid,
        }
        asked = measure.requests_answered(self.prometheus.url)
        spent = {name: measure.cpu_seconds(pid) for name, pid in pids.items()}
        front_proxy: pki.Pair = self.environment.control_plane.front_proxy
        report = measure.run_load(
            self.program,
            load,
            {
                "base": f"https://localhost:{self.environment.server.port}",
                "paths": str(self.paths),
                "ca": str(self.environment.server.authority),
                "cert": str(front_proxy.certificate),
                "key": str(front_proxy.key),
                "user": HPA_USER,
            },
        )
        number = max(1.0, report["requests"])
        for name, pid in pids.items():
            report[name] = (measure.cpu_seconds(pid) - spent[name]) * 1000 / number
        after = measure.requests_answered(self.prometheus.url)
        report["queries"] = after["/api/v1/query"] - asked["/api/v1/query"]
        report["rss"] = measure.resident_mb(pids["server"])
        return report


HEAD = (
    "subject, load",
    "requests/s",
    "errors",
    "p50 ms",
    "p99 ms",
    "CPU ms a request: server",
    "Prometheus",
    "kube-apiserver",
    "queries",
    "RSS MB",
    "ready s",
    "generator CPU s",
)


def row(subject: str, load: Load, report: dict[str, float], ready: float) -> list[str]:
    return [
        f"{subject}, {load.title}",
        f"{report['requests_per_second']:.0f}",
        f"{report['errors']:.0f}",
        f"{report['p50_ms']:.2f}",
        f"{report['p99_ms']:.2f}",
        f"{report['server']:.3f}",
        f"{report['prometheus']:.3f}",
        f"{report['kube-apiserver']:.3f}",
        f"{report['queries']:.0f}",
        f"{report['rss']:.1f}",
        f"{ready:.2f}",
        f"{report['generator_cpu_seconds']:.1f}",
    ]


def ratios(results: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """How many times the peers' figures this server reaches, load by load."""
    ours, *others = results
    lines = []
    for other in others:
        for title, theirs in results[other].items():
            mine = results[ours][title]
            total = sum(mine[key] for key in ("server", "prometheus", "kube-apiserver"))
            peers = sum(theirs[key] for key in ("server", "prometheus", "kube-apiserver"))
            lines.append(
                f"{title}: {mine['requests_per_second'] / theirs['requests_per_second']:.1f} times "
                f"the requests of {other}, {peers / total:.1f} times less CPU in all for each"
            )
    return lines


def run(
    environment: Environment, fleet: Fleet, loads: Sequence[Load], say: Callable[[str], None]
) -> None:
    """Populates the environment, measures every subject and prints the table."""
    program = measure.build_load_generator()
    environment.start()
    began = time.monotonic()
    populate(environment, fleet)
    say(
        f"# {fleet.size} pods in {fleet.namespaces} namespaces, made in "
        f"{time.monotonic() - began:.0f} s; {measure.machine()}"
    )
    paths = environment.directory / "paths.txt"
    paths.write_text("\n".join(fleet.paths()) + "\n")
    text = fleet.series()
    with ScrapeTarget(lambda: text) as target:
        prometheus = environment.prometheus([target.target], interval="5s")
        time.sleep(15)  # three scrapes, and the control plane at rest
        bench = Bench(environment, prometheus, paths, program)
        rows: list[list[str]] = []
        results: dict[str, dict[str, dict[str, float]]] = {}
        for subject in subjects():
            ready = bench.start(subject)
            time.sleep(5)
            say(
                f"# {subject.name}: idle RSS "
                f"{measure.resident_mb(environment.server.process.pid):.1f} MB, "
                f"ready after {ready:.2f} s"
            )
            for load in loads:
                report = bench.run(load)
                results.setdefault(subject.name, {})[load.title] = report
                rows.append(row(subject.name, load, report, ready))
            environment.server.process.end()
    say(measure.table(HEAD, rows))
    for line in ratios(results):
        say(line)


def main() -> None:
    seconds = number("SECONDS_EACH", 10)
    loads = (Load(5, seconds), Load(50, seconds), Load(50, seconds, rate=333.0))
    environment = Environment(builds.ROOT / ".cache/bench/fleet")
    try:
        run(environment, Fleet.from_environment(), loads, partial(print, flush=True))
    finally:
        environment.close()


if __name__ == "__main__":
    main()
