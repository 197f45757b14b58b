from __future__ import annotations

import math

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import selector
from metrics_apiserver.core.model import Sample
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.values import ValueCounts
from metrics_apiserver.options.prometheus import EvaluationSettings
from metrics_apiserver.provider.evaluation.evaluator import Evaluator
from metrics_apiserver.provider.external import ExternalProvider
from tests.fakes import snapshots
from tests.fakes.evaluation import FakeBackend, FakeClock

RULES = """\
externalRules:
- seriesQuery: 'queue_depth'
  resources: {overrides: {namespace: {resource: namespace}}}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (queue)
  onNaN: NAN
"""


class Environment:
    """A provider with all that it was given."""

    def __init__(self, on_nan: str = "drop") -> None:
        self.snapshot: Snapshot | None = snapshots.snapshot(
            RULES.replace("NAN", on_nan), [snapshots.series("queue_depth", "namespace", "queue")]
        )
        self.backend = FakeBackend(
            lambda _text: [
                Sample({"queue": "b"}, 2.0, 0.0),
                Sample({"queue": "a"}, 1.0, 0.0),
                Sample({"queue": "c"}, math.nan, 0.0),
            ]
        )
        self.counted: list[tuple[str, ValueCounts]] = []
        evaluator = Evaluator(
            self.backend,
            EvaluationSettings(5.0, 10.0),
            spawn=lambda work, _name: work.close(),
            clock=FakeClock(),
        )
        self.provider = ExternalProvider(
            self,
            evaluator,
            lambda rule, counts: self.counted.append((rule, counts)),
        )

    async def read(self, metric: str = "queue_depth", selects: str = "") -> list[str]:
        items = await self.provider.read(metric, "prod", selector.parse(selects))
        return [item["value"] for item in items]


async def test_every_series_that_the_selector_picks() -> None:
    environment = Environment()
    assert await environment.read(selects="queue!=x") == ["1", "2"]
    assert environment.backend.asked == [
        'sum(queue_depth{queue!="x",namespace="prod"}) by (queue)',
    ]
    assert environment.counted == [("externalRules[0]", ValueCounts(nan=1))]


async def test_equal_reads_share_one_query() -> None:
    environment = Environment()
    await environment.read()
    await environment.read("QUEUE_DEPTH")
    assert len(environment.backend.asked) == 1


async def test_what_was_left_out_is_counted_even_when_the_read_fails() -> None:
    environment = Environment("error")
    with pytest.raises(errors.Internal, match="queue_depth: its value is NaN"):
        await environment.read()
    assert environment.counted == [("externalRules[0]", ValueCounts(nan=1))]


async def test_an_error_of_prometheus_is_the_reader_s() -> None:
    environment = Environment()
    environment.backend.answer = errors.UpstreamTimeout("slow")
    with pytest.raises(errors.UpstreamTimeout):
        await environment.read()


async def test_an_unknown_metric_is_not_asked_for() -> None:
    environment = Environment()
    with pytest.raises(errors.MetricNotFound):
        await environment.read("nope")
    assert environment.backend.asked == []


async def test_before_the_cluster_is_known_reads_are_unavailable() -> None:
    environment = Environment()
    environment.snapshot = None
    with pytest.raises(errors.Unavailable, match="not known yet"):
        await environment.read()
