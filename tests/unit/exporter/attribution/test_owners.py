"""The pod of a pid."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.exporter.attribution.owners import ProcessOwners
from metrics_apiserver.exporter.attribution.podlogs import PodLogs
from metrics_apiserver.exporter.model import Pod, ProcessOwner
from tests.fakes.clock import Clock
from tests.fakes.hostproc import Host


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def owners(host: Host, clock: Clock) -> ProcessOwners:
    return ProcessOwners(host.proc, PodLogs(host.pods, host.containers, clock), clock)


def test_processes_of_a_container_and_of_the_host(owners: ProcessOwners, host: Host) -> None:
    host.run(10, "bert", "server", namespace="ai", name="python3")
    host.run(11, name="Xorg (1)")
    assert owners.find(10) == ProcessOwner(Pod("ai", "bert"), "server", "python3")
    assert owners.find(11) == ProcessOwner(None, "", "Xorg (1)")
    assert owners.find(12) is None
    assert owners.is_alive(10)
    assert not owners.is_alive(12)


def test_a_process_that_just_ended_is_still_known(
    owners: ProcessOwners, host: Host, clock: Clock
) -> None:
    host.run(10, "bert")
    owners.find(10)
    host.end(10)
    assert owners.find(10) is not None
    clock.now = 61
    assert owners.find(10) is None


def test_a_reused_pid(owners: ProcessOwners, host: Host, clock: Clock) -> None:
    host.run(10, "bert", started=1)
    owners.find(10)
    host.run(10, "other", started=2)
    clock.now = 3
    found = owners.find(10)
    assert found is not None
    assert found.pod == Pod("default", "other")


def test_a_pod_whose_log_directory_appears_later(
    owners: ProcessOwners, host: Host, clock: Clock
) -> None:
    host.run(10, "bert")
    (host.pods / next(host.pods.iterdir()).name).rmdir()
    for one in host.containers.iterdir():
        one.unlink()
    assert owners.find(10) == ProcessOwner(None, "", "python3", is_nameless=True)
    host.log("bert")
    clock.now = 3
    found = owners.find(10)
    assert found is not None
    assert found.pod == Pod("default", "bert")


def test_the_cache_is_bounded(owners: ProcessOwners, host: Host) -> None:
    for pid in range(10, 4200):
        host.run(pid, "bert")
        owners.find(pid)
    assert len(owners._known) == 4096
    host.end(10)
    assert owners.find(10) is None, "the entry that was unused for longest is gone"
    host.end(4199)
    assert owners.find(4199) is not None
