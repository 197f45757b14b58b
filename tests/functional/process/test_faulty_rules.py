"""A rule file of which some rules are faulty: the others serve, and each answer says why."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fakes import process
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.process import ServerProcess, items
from tests.fakes.prometheus import Backend
from tests.fakes.servers import Reply

BASE = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods/web-0"
LABELS = "namespace: {resource: namespace}, pod: {resource: pod}"
RULES = f"""\
rules:
- seriesQuery: test_load
  resources: {{overrides: {{{LABELS}}}}}
  metricsQuery: max(<<.Series>>{{<<.LabelMatchers>>}}) by (<<.GroupBy>>)
- seriesQuery: test_load
  name: {{as: without_query}}
  resources: {{overrides: {{{LABELS}}}}}
- seriesQuery: test_load
  name: {{as: misplaced_by}}
  resources: {{overrides: {{{LABELS}}}}}
  metricsQuery: rate(<<.Series>>{{<<.LabelMatchers>>}}[5m]) by (<<.GroupBy>>)
- seriesQuery: test_load
  name: {{as: backticks}}
  resources: {{overrides: {{{LABELS}}}}}
  metricsQuery: 'sum(<<.Series>>{{<<.LabelMatchers>>,pod=~`\\w+-\\d`}}) by (<<.GroupBy>>)'
- seriesQuery: test_load
  name: {{as: homeless}}
  resources: {{overrides: {{pod: {{resource: pod}}}}}}
  metricsQuery: max(<<.Series>>{{<<.LabelMatchers>>}}) by (<<.GroupBy>>)
- seriesQuery: test_load
  name: {{as: crew}}
  resources: {{overrides: {{{LABELS}, crew: {{group: apps/v1, resource: deployment}}}}}}
  metricsQuery: max(<<.Series>>{{<<.LabelMatchers>>}}) by (<<.GroupBy>>)
"""


def message(reply: Reply) -> str:
    return str(json.loads(reply.body)["message"])


async def test_the_others_serve_and_each_answer_says_why(
    tmp_path: Path, kube: FakeKubeAPI, values: Backend
) -> None:
    flags = process.flags(tmp_path, kube, values.url)
    (tmp_path / "rules.yaml").write_text(RULES)
    async with ServerProcess(tmp_path, [*flags, f"--config={tmp_path / 'rules.yaml'}"]) as server:
        await server.ready()
        for sound in ("test_load", "backticks", "crew"):
            assert items(await server.ask(f"{BASE}/{sound}")) == {"web-0": "36"}
        quarantined = await server.ask(f"{BASE}/without_query")
        assert quarantined.status == 503
        assert "rules[1] (line 5) is set aside: metricsQuery is required" in message(quarantined)
        refused = await server.ask(f"{BASE}/misplaced_by")
        assert refused.status == 503
        assert "Prometheus refused the query (400 bad_data): " in message(refused)
        assert "parse error" in message(refused)
        homeless = await server.ask(f"{BASE}/homeless")
        assert homeless.status == 404
        assert "rules[4] maps no label to the namespace" in message(homeless)
        metrics = await server.metrics()
        for kind in ("quarantined", "never-resolves", "unmapped"):
            assert metrics[f'metrics_apiserver_rule_problems{{kind="{kind}"}}'] == 1
        assert 'metrics_apiserver_rule_problems{kind="waiting"}' not in metrics
        log = server.log
        assert log.count("rule quarantined") == 1
        assert log.count("code=MA106") == 1
        assert log.count("code=MA154") == 1  # what check prints of the query's dialect
        assert log.count("code=MA119") == 1
