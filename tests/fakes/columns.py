"""The three providers over a small cluster: its objects, and samples of them."""

from __future__ import annotations

import re
from functools import lru_cache

from metrics_apiserver.core.model import Sample
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.options.prometheus import EvaluationSettings
from metrics_apiserver.provider.custom import CustomProvider
from metrics_apiserver.provider.evaluation.evaluator import Evaluator
from metrics_apiserver.provider.external import ExternalProvider
from metrics_apiserver.provider.resource import ResourceProvider
from tests.fakes import snapshots
from tests.fakes.evaluation import FakeBackend, FakeClock
from tests.fakes.listing import FakeLister, Labels

_OVERRIDES = "{node: {resource: node}, ns: {resource: namespace}, pod: {resource: pod}}"
_HALF = f"""
    containerQuery: sum(usage{{<<.LabelMatchers>>}}) by (<<.GroupBy>>)
    nodeQuery: sum(usage{{<<.LabelMatchers>>}}) by (<<.GroupBy>>)
    resources: {{overrides: {_OVERRIDES}}}
    containerLabel: container
"""
RULES = f"""\
rules:
- seriesQuery: 'load'
  resources: {{overrides: {_OVERRIDES}}}
  metricsQuery: sum(<<.Series>>{{<<.LabelMatchers>>}}) by (<<.GroupBy>>)
externalRules:
- seriesQuery: 'queueDepth'
  resources: {{overrides: {{ns: {{resource: namespace}}}}}}
  metricsQuery: sum(<<.Series>>{{<<.LabelMatchers>>}}) by (queue)
resourceRules:
  cpu:{_HALF}  memory:{_HALF}  window: 30s
"""
OBJECTS: dict[str, list[tuple[str, str, Labels]]] = {
    "pods": [
        ("prod", "web-0", {"app": "web"}),
        ("prod", "web-1", {"app": "web"}),
        ("dev", "web-0", {"app": "web"}),
        ("dev", "idle", {}),
    ],
    "nodes": [("", "n1", {"zone": "a"}), ("", "n2", {})],
    "namespaces": [("", "dev", {}), ("", "prod", {})],
}
_POD_VALUES = {("prod", "web-0"): 0.5, ("prod", "web-1"): 2.0, ("dev", "web-0"): 7.0}


def _answer(text: str) -> list[Sample]:
    spaces = re.search(r'ns=~?"([^"]*)"', text)
    wanted = spaces[1].split("|") if spaces else None
    if "queueDepth" in text:
        return [Sample({"queue": "b"}, 3.0, 60.0), Sample({"queue": "a"}, 4.0, 60.0)]
    if "by (node" in text:
        return [Sample({"node": "n1"}, 2.0, 60.0)]
    if "by (ns" in text:
        return [Sample({"ns": space}, 9.0, 60.0) for space in ("dev", "prod")]
    return [
        Sample({"ns": space, "pod": pod, "container": "main"}, value, 60.0)
        for (space, pod), value in _POD_VALUES.items()
        if wanted is None or space in wanted
    ]


@lru_cache(maxsize=1)
def _snapshot() -> Snapshot:
    """Made once: nothing changes a Snapshot."""
    return snapshots.snapshot(
        RULES,
        [
            snapshots.series("load", "node", "ns", "pod"),
            snapshots.series("queueDepth", "ns", "queue"),
        ],
    )


class Columns:
    """Everything that an API handler is given.

    Attributes:
        snapshot: may be replaced at any time.
        backend: answers for these objects unless a test says otherwise.
    """

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = _snapshot()
        self.backend = FakeBackend(_answer)
        self.lister = FakeLister(OBJECTS)
        evaluator = Evaluator(
            self.backend,
            EvaluationSettings(5.0, 10.0),
            spawn=lambda work, _name: work.close(),
            clock=FakeClock(),
        )
        self.custom = CustomProvider(self, self.lister, evaluator)
        self.external = ExternalProvider(self, evaluator)
        self.resource = ResourceProvider(self, self.lister, evaluator, wall=lambda: 1000.0)
