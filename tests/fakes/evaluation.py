"""A backend for evaluations that answers from a function, and a clock that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

from metrics_apiserver.core.model import QueryResult, Sample

FIELDS = {
    "Series": str,
    "LabelMatchers": str,
    "LabelValuesByName": dict,
    "GroupBy": str,
    "GroupBySlice": list,
}


class FakeClock:
    """Seconds that pass only when a test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class FakeBackend:
    """Answers queries without a Prometheus.

    Attributes:
        answer: gives the samples of a query, or raises; or the error to raise for every query.
        kind: of the results.
        warnings: of the results.
        asked, timeouts: text and timeout of every query, in order.
        gate: queries wait for it, so that a test decides when they end; open at first.
        running: queries that wait now.
    """

    def __init__(
        self,
        answer: Callable[[str], Sequence[Sample]] | Exception,
        *,
        kind: Literal["vector", "scalar"] = "vector",
    ) -> None:
        self.answer = answer
        self.kind = kind
        self.warnings: tuple[str, ...] = ()
        self.asked: list[str] = []
        self.timeouts: list[float] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.running = 0

    async def query(self, text: str, *, timeout: float) -> QueryResult:
        self.asked.append(text)
        self.timeouts.append(timeout)
        self.running += 1
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
        finally:
            self.running -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return QueryResult(self.kind, list(self.answer(text)), self.warnings)
