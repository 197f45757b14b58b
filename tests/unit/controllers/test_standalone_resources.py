"""Standalone, rules say which resources there are and which labels name their objects."""

from __future__ import annotations

from metrics_apiserver.controllers.standalone_resources import StandaloneResources
from metrics_apiserver.core.model import GroupResource
from metrics_apiserver.core.rules.config import RuleFile
from tests.fakes import snapshots

RULES = snapshots.parse(
    """
rules:
- seriesQuery: 'up'
  resources: {overrides: {pod_name: {resource: pod}, space: {resource: namespace}}}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
- seriesQuery: 'node_up'
  resources: {overrides: {node: {resource: node}}}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
"""
)


class Source:
    rules: RuleFile = RULES


def test_labels_come_from_each_rule_that_maps_the_resource() -> None:
    subject = StandaloneResources(Source(), 60.0, lambda: 100.0)
    pods = subject.mapper().resource_for(GroupResource("", "pods"))
    nodes = subject.mapper().resource_for(GroupResource("", "nodes"))
    assert pods is not None
    assert nodes is not None
    assert subject.labels(pods) == [("up", "pod_name", "space")]
    assert subject.labels(nodes) == [("node_up", "node", "")]
    assert subject.oldest() == 40.0


def test_the_resource_table_follows_the_rules() -> None:
    source = Source()
    subject = StandaloneResources(source, 60.0, lambda: 100.0)
    mapper = subject.mapper()
    assert subject.mapper() is mapper
    source.rules = snapshots.parse(
        "rules: [{seriesQuery: up, metricsQuery: up, "
        "resources: {overrides: {w: {group: example.com, resource: widget}}}}]"
    )
    changed = subject.mapper()
    assert changed is not mapper
    assert changed.resource_for(GroupResource("example.com", "widgets")) is not None
