"""The environment that all end-to-end tests share, and what is shown of it when a test failed.

One control plane and one server process for the session; a module starts the server with its own
rules. The conformance cases run late: their counters have risen long enough by then.
Tests with a control plane of their own run after everything else.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from types import FrameType

import pytest

from tests import builds, programs
from tests.e2e.harness import workload
from tests.e2e.harness.environment import Environment, load_objects, namespace
from tests.e2e.harness.workload import Loads
from tests.fakes.cluster_kubelet import Kubelet
from tests.fakes.exposition import Fixture, ScrapeTarget
from tests.fakes.nvml.launch import Feed, Node
from tests.fakes.prometheus import Backend

CONFORMANCE = builds.ROOT / "tests/conformance"
RULES = (builds.ROOT / "tests/e2e/rules.yaml").read_text()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def turn(item: pytest.Item) -> int:
        if item.path.parent.name == "install":
            return 2
        return int(item.path.name == "test_conformance.py")

    items.sort(key=turn)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    shown = item.funcargs.get("environment") if isinstance(item, pytest.Function) else None
    if report.failed and isinstance(shown, Environment):
        report.sections.append((f"logs, whole in {shown.directory}", shown.processes.tails()))
    return report


def _end(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def environment() -> Iterator[Environment]:
    """The running control plane with everything that is shipped, and the objects of the cases."""
    programs.require(*programs.END_TO_END)
    before = signal.signal(signal.SIGTERM, _end)  # SIGTERM must end the children too
    environment = Environment(builds.ROOT / ".cache/e2e")
    try:
        environment.start()
        environment.apply(load_objects(CONFORMANCE / "objects.json"))
        yield environment
    finally:
        environment.close()
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session", autouse=True)
def fixture_series(environment: Environment) -> Iterator[tuple[Fixture, Backend]]:
    """The series of the conformance cases, scraped from the beginning of the session on."""
    fixture = Fixture(CONFORMANCE / "series.prom")
    with ScrapeTarget(fixture.render) as target:
        yield fixture, environment.prometheus([target.target], "prometheus-cases")


@pytest.fixture(scope="session")
def kubelet(environment: Environment) -> Iterator[Kubelet]:
    environment.apply([namespace(workload.NAMESPACE), *workload.objects()])
    kubelet = Kubelet(environment.cluster, workload.NAMESPACE, workload.NODE)
    kubelet.start()
    try:
        yield kubelet
    finally:
        kubelet.close()


@pytest.fixture(scope="session")
def loads(kubelet: Kubelet) -> Loads:
    return Loads(kubelet, shows_gpus=False)


@pytest.fixture(scope="session")
def gpus(environment: Environment, loads: Loads) -> Iterator[Node]:
    """The node's GPUs: a fake driver that follows the load, and the real exporter on it.

    The HPA turns fifteen times as fast as in a cluster, and so must averages.
    """
    node = Node(
        environment.directory / workload.NODE,
        workload.NODE,
        gpus=workload.MAX_REPLICAS,
        namespace=workload.NAMESPACE,
        flags=("--window=1s", "--interval=250ms"),
    )
    with node:
        feed = Feed(node, loads.gpu_uses)
        feed.start()
        yield node
        feed.close()


@pytest.fixture(scope="session")
def prometheus(environment: Environment, loads: Loads, gpus: Node) -> Iterator[Backend]:
    """Scrapes the workloads and the exporter of their GPUs."""
    with ScrapeTarget(loads.render) as target:
        yield environment.prometheus([target.target, gpus.target])


@pytest.fixture(scope="module")
def served(environment: Environment, prometheus: Backend) -> Iterator[Environment]:
    """The environment with the server running over the rules of the end-to-end tests.

    The HPA turns fifteen times as fast as in a cluster, and so must values age.
    """
    flags = [] if "SUBJECT" in os.environ else ["--query-freshness=300ms"]
    environment.serve(RULES, prometheus, flags=flags)
    yield environment
    environment.server.kill()
