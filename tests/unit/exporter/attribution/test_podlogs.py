"""Names out of the kubelet's log folders."""

from __future__ import annotations

from pathlib import Path

from metrics_apiserver.exporter.attribution.podlogs import PodLogs
from metrics_apiserver.exporter.model import Pod
from tests.fakes.clock import Clock
from tests.fakes.hostproc import Host, container_id_of, uid_of


def test_names(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.log("bert-0", "server", namespace="ai")
    (host.pods / "not a pod").mkdir()
    (host.containers / "truncated.log").touch()
    clock = Clock()
    logs = PodLogs(host.pods, host.containers, clock)
    assert logs.pod(uid_of("bert-0")) == Pod("ai", "bert-0")
    assert logs.container(container_id_of("bert-0", "server")) == "server"
    assert logs.container("") == ""


def test_the_folders_are_read_again_but_not_all_the_time(tmp_path: Path) -> None:
    host = Host(tmp_path)
    clock = Clock()
    logs = PodLogs(host.pods, host.containers, clock)
    assert logs.pod(uid_of("new")) is None
    host.log("new")
    clock.now = 1.9
    assert logs.pod(uid_of("new")) is None
    clock.now = 2.0
    assert logs.pod(uid_of("new")) == Pod("default", "new")


def test_folders_that_are_not_mounted(tmp_path: Path) -> None:
    logs = PodLogs(tmp_path / "none", tmp_path / "neither", Clock())
    assert logs.pod("x") is None
    assert logs.container("y") == ""
