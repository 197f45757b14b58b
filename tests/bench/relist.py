"""What a relist costs: two broad rules over 200 000 series, this server and, with PEER, another.

    make bench-relist
    make bench-relist PEER=/path/to/adapter SERIES_NAMES=200 PODS_EACH=1000

Prometheus scrapes once and then rests, so that its processor time beyond rest is the relists'.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from tests import builds
from tests.bench import fleet, measure
from tests.bench.fleet import number, subjects
from tests.e2e.harness import polling
from tests.e2e.harness.environment import CUSTOM, Environment
from tests.e2e.harness.server import Server
from tests.fakes.exposition import ScrapeTarget
from tests.fakes.prometheus import Backend

INTERVAL_SECONDS = 10
TURNS = 3
RULES = """\
rules:
- seriesQuery: '{__name__=~"^broad_.*",namespace!="",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)
- seriesQuery: '{__name__=~"^broad_.*",namespace!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {as: "${0}_max"}
  metricsQuery: max(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)
"""
EMPTY = "rules: []\n"


def series(names: int, pods: int) -> str:
    return "".join(
        f'broad_{name}{{namespace="team-{pod % 40}",pod="app-{pod}",node="node-{pod % 50}",'
        f'container="main",service="app"}} 1\n'
        for name in range(names)
        for pod in range(pods)
    )


def _start(
    environment: Environment, server: Server, rules: str, prometheus: Backend, flags: list[str]
) -> None:
    server.configure(rules, prometheus.url, flags)
    server.start()
    environment.wait_available(CUSTOM)


def run(environment: Environment, names: int, pods: int, say: Callable[[str], None]) -> None:
    """Measures every subject and prints the table."""
    environment.start()
    text = series(names, pods)
    rows = []
    with ScrapeTarget(lambda: text) as target:
        prometheus = environment.prometheus([target.target], interval="60s")
        count = 'count({__name__=~"^broad_.*"})'
        polling.until("series scraped", lambda: prometheus.query(count), timeout=180.0)
        say(f"# {names * pods} series under {names} names; {measure.machine()}")
        for subject in subjects():
            fleet.choose(subject)
            relist = f"--metrics-relist-interval={INTERVAL_SECONDS}s"
            flags = [relist, "--metrics-max-age=10m", *subject.flags]
            _start(environment, environment.server, EMPTY, prometheus, flags)
            time.sleep(5)
            bare = measure.resident_mb(environment.server.process.pid)
            rest = _spent(prometheus, INTERVAL_SECONDS * TURNS)
            environment.server.process.end()
            _start(environment, environment.server, RULES, prometheus, flags)
            time.sleep(INTERVAL_SECONDS)
            asked = measure.requests_answered(prometheus.url)
            spent = _spent(prometheus, INTERVAL_SECONDS * TURNS) - rest
            after = measure.requests_answered(prometheus.url)
            requests = sum(after.values()) - sum(asked.values())
            full = measure.resident_mb(environment.server.process.pid)
            listed = environment.cluster.read("/apis/custom.metrics.k8s.io/v1beta1")["resources"]
            environment.server.process.end()
            rows.append(
                [
                    subject.name,
                    f"{spent / TURNS:.2f}",
                    f"{requests / TURNS:.1f}",
                    f"{bare:.1f}",
                    f"{full - bare:+.1f}",
                    str(len(listed)),
                ]
            )
    head = (
        "subject",
        "Prometheus CPU s a relist",
        "requests",
        "RSS MB without",
        "growth MB",
        "metrics",
    )
    say(measure.table(head, rows))


def _spent(prometheus: Backend, seconds: float) -> float:
    before = measure.cpu_seconds(prometheus.process.pid)
    time.sleep(seconds)
    return measure.cpu_seconds(prometheus.process.pid) - before


def main() -> None:
    environment = Environment(builds.ROOT / ".cache/bench/relist")
    try:
        run(
            environment,
            number("SERIES_NAMES", 200),
            number("PODS_EACH", 1000),
            partial(print, flush=True),
        )
    finally:
        environment.close()


if __name__ == "__main__":
    main()
