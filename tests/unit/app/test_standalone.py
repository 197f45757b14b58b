"""The standalone environment: rules say which objects there are, one certificate may read all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from metrics_apiserver.app import standalone
from metrics_apiserver.app.environment import Environment
from metrics_apiserver.base import errors
from metrics_apiserver.core import selector
from metrics_apiserver.core.model import GroupResource
from metrics_apiserver.core.rules.config import RuleFile
from metrics_apiserver.prometheus.refusals import Refusals
from tests.fakes import snapshots
from tests.fakes.command_line import serve_settings

EMPTY = RuleFile(rules=(), external_rules=(), resource_rules=None, warnings=())
RULES = snapshots.parse(
    """
rules:
- seriesQuery: 'up{pod_name!=""}'
  resources: {overrides: {pod_name: {resource: pod}, space: {resource: namespace}}}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
- seriesQuery: 'queue'
  resources: {template: "k_<<.Resource>>"}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
- seriesQuery: 'node_up'
  resources: {overrides: {node: {resource: node}}}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
"""
)
ALL = selector.parse("")


class Labels:
    """Notes what is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.starts: list[float] = []
        self.refusals = Refusals()

    async def series_values(self, label: str, selector: str, *, start: float) -> list[str]:
        raise AssertionError("values are listed")

    async def label_values(self, label: str, match: Sequence[str], *, start: float) -> list[str]:
        self.asked.append((label, tuple(match)))
        self.starts.append(start)
        return ["b", "a"]


class StandaloneCase:
    def __init__(self, directory: Path, *words: str) -> None:
        self.rules = RULES
        self.labels = Labels()
        settings = serve_settings(directory, "--standalone", "--metrics-max-age=10m", *words)
        self.environment: Environment = standalone.build_environment(settings, self, self.labels)


async def test_objects_are_what_the_mapped_labels_hold(tmp_path: Path) -> None:
    subject = StandaloneCase(tmp_path)
    mapper = subject.environment.mapper()
    assert mapper is not None
    pods = mapper.resource_for(GroupResource("", "pods"))
    assert pods is not None
    assert await subject.environment.objects.names(pods, "default", ALL) == ["a", "b"]
    assert subject.labels.asked == [
        ("pod_name", ('up{pod_name!="",pod_name!="",space="default"}',)),
        ("k_pod", ('queue{k_pod!="",k_namespace="default"}',)),
    ]
    nodes = mapper.resource_for(GroupResource("", "nodes"))
    assert nodes is not None
    subject.labels.asked.clear()
    await subject.environment.objects.names(nodes, "", ALL)
    assert ("node", ('node_up{node!=""}',)) in subject.labels.asked
    assert len(set(subject.labels.starts)) > 0
    await subject.environment.close()


async def test_the_resource_table_follows_the_rules(tmp_path: Path) -> None:
    subject = StandaloneCase(tmp_path)
    mapper = subject.environment.mapper()
    assert subject.environment.mapper() is mapper
    subject.rules = snapshots.parse(
        "rules: [{seriesQuery: up, metricsQuery: up, "
        "resources: {overrides: {w: {group: example.com, resource: widget}}}}]"
    )
    changed = subject.environment.mapper()
    assert changed is not mapper
    assert changed is not None
    assert changed.resource_for(GroupResource("example.com", "widgets")) is not None
    subject.rules = EMPTY
    assert subject.environment.mapper() is not None
    await subject.environment.close()


async def test_nothing_is_asked_of_a_cluster(tmp_path: Path) -> None:
    subject = StandaloneCase(tmp_path)
    environment = subject.environment
    environment.ask_mapper()
    assert (environment.tokens, environment.access, environment.loops, environment.checks) == (
        None,
        None,
        {},
        {},
    )
    trusted = environment.authentication()
    assert trusted.requestheader_ca == b""
    assert b"BEGIN CERTIFICATE" in trusted.client_ca
    assert environment.pair_paths is not None
    assert environment.pair_paths.key.exists()
    await environment.close()
    assert not environment.pair_paths.key.exists()


@pytest.mark.parametrize(
    ("flag", "server"),
    [
        ("--bind-address=127.0.0.1", "https://127.0.0.1:6443"),
        ("--bind-address=::1", "https://[::1]:6443"),
    ],
)
async def test_the_kubeconfig_names_the_address(tmp_path: Path, flag: str, server: str) -> None:
    subject = StandaloneCase(tmp_path, flag, f"--write-kubeconfig={tmp_path / 'kubeconfig'}")
    document = yaml.safe_load((tmp_path / "kubeconfig").read_text())
    assert document["clusters"][0]["cluster"]["server"] == server
    await subject.environment.close()


async def test_a_kubeconfig_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="--write-kubeconfig: cannot be written"):
        StandaloneCase(tmp_path, "--write-kubeconfig=/proc/nowhere/kubeconfig")
