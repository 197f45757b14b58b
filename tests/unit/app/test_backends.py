"""Rules, Prometheus and columns together: what is found, counted and handed on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver.app import backends
from metrics_apiserver.base import errors
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.core import selector
from metrics_apiserver.core.custom import CustomRequest
from metrics_apiserver.core.model import PODS
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.provider import counters
from metrics_apiserver.provider.counters import ProviderMetrics
from tests.fakes import snapshots, upstream
from tests.fakes.command_line import serve_settings
from tests.fakes.environments import NoObjects
from tests.fakes.upstream import Exchange, Upstream

RULES = """
rules:
- seriesQuery: 'load{pod!=""}'
  resources: {template: "<<.Resource>>"}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
- seriesQuery: 'lost'
  resources: {overrides: {widget: {group: example.com, resource: widget}}}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
externalRules:
- seriesQuery: 'queue'
  metricsQuery: sum(<<.Series>>)
"""
BY_PATH = {
    "/api/v1/label/__name__/values": ["load"],
    "/api/v1/labels": ["__name__", "namespace", "pod"],
}


async def answer(exchange: Exchange) -> bool:
    """A Prometheus with two series of `load`; the matcher for a name that cannot be finds none."""
    request = exchange.request
    data: Any = BY_PATH.get(request.path, [])
    match = request.form.get("match[]", [""])[0]
    if "no_such_series" in match or "lost" in match or "queue" in match:
        data = []
    if request.path == "/api/v1/query":
        values = {"a": "1", "b": "NaN", "c": "+Inf"}
        result = [
            {"metric": {"namespace": "default", "pod": pod}, "value": [0, value]}
            for pod, value in values.items()
        ]
        data = {"resultType": "vector", "result": result}
    return await upstream.success(data, warnings=["partial"])(exchange)


class Environment:
    def __init__(self, directory: Path, backend: Upstream) -> None:
        (directory / "rules.yaml").write_text(RULES)
        self.settings = serve_settings(
            directory, f"--prometheus-url={backend.url}", "--prometheus-header=X-Scope-OrgID=t"
        )
        self.telemetry = Telemetry()
        self.prometheus = backends.make_prometheus(self.settings, self.telemetry, None)
        self.provider_metrics = ProviderMetrics(self.telemetry)
        self.seen: list[Snapshot | None] = []
        self.sources = backends.make_sources(
            self.settings,
            self.provider_metrics,
            self.prometheus,
            snapshots.mapper,
            self.seen.append,
        )
        self.columns = backends.make_columns(
            self.settings,
            self.provider_metrics,
            self.prometheus,
            self.sources.relister,
            NoObjects(),
            self._spawn,
        )

    def _spawn(self, work: Coroutine[Any, Any, None], _name: str) -> None:
        work.close()

    def metrics(self) -> dict[str, float]:
        lines = self.telemetry.render().decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name.removeprefix("metrics_apiserver_"): float(value) for name, _, value in pairs}


@pytest.fixture
async def environment(tmp_path: Path) -> AsyncIterator[Environment]:
    async with Upstream(mood=answer) as backend:
        made = Environment(tmp_path, backend)
        yield made
        await made.prometheus.close()


async def test_a_turn_makes_a_snapshot_and_counts(environment: Environment) -> None:
    environment.sources.reloader.load_first()
    await environment.sources.relister.relist_once()
    (snapshot,) = environment.seen
    assert snapshot is not None
    assert {metric for _, metric in snapshot.custom} == {"load"}
    counted = environment.metrics()
    assert counted['metrics{api="custom"}'] == len(snapshot.custom)
    assert counted['metrics{api="external"}'] == 0
    assert counted['rule_problems{kind="waiting"}'] == 1
    assert counted["config_last_reload_successful"] == 1
    assert counted["config_last_reload_success_timestamp_seconds"] > 1e9
    assert counted["relist_timestamp_seconds"] > 1e9
    assert counted["prometheus_warnings_total"] > 0
    asked = 'prometheus_requests_total{endpoint="label_values",outcome="partial"}'
    assert counted[asked] >= 3


async def test_what_is_left_out_of_an_answer_is_counted_by_rule(environment: Environment) -> None:
    environment.sources.reloader.load_first()
    await environment.sources.relister.relist_once()
    anything = selector.parse("")
    for pod in ("a", "b"):
        await environment.columns.custom.read(
            CustomRequest(PODS, "default", pod, "load", anything, anything)
        )
    with pytest.raises(errors.MetricNotFound):
        await environment.columns.custom.read(
            CustomRequest(PODS, "default", "c", "load", anything, anything)
        )
    counted = environment.metrics()
    assert counted['samples_left_out_total{reason="infinite",rule="rules[0]"}'] == 1
    assert counted['samples_left_out_total{reason="nan",rule="rules[0]"}'] == 1
    used = {kind: counted[f'evaluations_total{{kind="{kind}"}}'] for kind in counters.EVALUATIONS}
    assert used["bulk"] + used["exact"] + used["shared"] >= 3
    assert used["fallback"] == 0


async def test_a_failing_rule_is_counted_by_its_place(tmp_path: Path) -> None:
    async with Upstream(mood=upstream.answer(json.dumps({"status": "error"}), 503)) as backend:
        environment = Environment(tmp_path, backend)
        environment.sources.reloader.load_first()
        await environment.sources.relister.relist_once()
        counted = environment.metrics()
        await environment.prometheus.close()
    rules = ("rules[0]", "rules[1]", "externalRules[0]")
    assert [counted[f'relist_failures_total{{rule="{rule}"}}'] for rule in rules] == [1, 1, 1]


async def test_a_change_of_the_rule_file_that_fails_is_reported(
    environment: Environment, tmp_path: Path
) -> None:
    environment.sources.reloader.load_first()
    before = environment.metrics()
    (tmp_path / "rules.yaml").write_text("surprise: 1")
    for _ in range(3):
        await environment.sources.reloader.reload_once()
    after = environment.metrics()
    assert after["config_last_reload_successful"] == 0
    good = "config_last_reload_success_timestamp_seconds"
    assert after[good] == before[good]


def test_load_rules_validates(tmp_path: Path) -> None:
    settings = serve_settings(tmp_path)
    backends.load_rules(settings)
    (tmp_path / "rules.yaml").write_text("surprise: 1")
    with pytest.raises(errors.ConfigError):
        backends.load_rules(settings)


def test_a_token_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    settings = serve_settings(tmp_path, "--prometheus-token-file=nowhere")
    with pytest.raises(errors.ConfigError):
        backends.make_prometheus(settings, Telemetry(), None)


async def test_rules_of_the_turn_decide_which_labels_count(
    environment: Environment, tmp_path: Path
) -> None:
    """Rules that change while a turn waits for Prometheus take nothing away from that turn."""
    environment.sources.reloader.load_first()
    other = RULES.replace("load", "other").replace("<<.Resource>>", "x_<<.Resource>>")
    async with asyncio.TaskGroup() as group:
        group.create_task(environment.sources.relister.relist_once())
        await asyncio.sleep(0)
        environment.sources.relister.use(snapshots.parse(other))
    assert {metric for _, metric in environment.seen[-1].custom} == {"load"}  # type: ignore[union-attr]
    await environment.sources.relister.relist_once()
    assert {metric for _, metric in environment.seen[-1].custom} == set()  # type: ignore[union-attr]
