"""Evaluates queries: one Prometheus query serves every read of the same metric.

A QueryPlan whose bulk query is proved equal to its exact ones (`BulkQuery.why_not`) is
evaluated once for all namespaces that were read lately, and each read takes its part; the load on
Prometheus depends on the number of rules, not of HPAs. Every other plan sends the query that the
predecessor sends, shared by reads with the same text. An evaluation is served for at most the
freshness window, 0 meaning never; a read that finds it near its end, or used often, starts the next
one without waiting for it. Where Prometheus refuses the bulk query, exact queries are sent and bulk
is tried again after a pause, in the background. On an error no older value is served.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from metrics_apiserver.base import errors
from metrics_apiserver.base.caching import SingleFlight
from metrics_apiserver.core.bulk.queryplan import BulkQuery, QueryPlan
from metrics_apiserver.core.model import QueryResult
from metrics_apiserver.core.values import ValueCounts
from metrics_apiserver.options.prometheus import EvaluationSettings
from metrics_apiserver.provider.evaluation import bulk
from metrics_apiserver.provider.evaluation.bulk import (
    MAX_HELD_SAMPLES,
    Backend,
    BulkResult,
    BulkState,
    SamplesByName,
)
from metrics_apiserver.provider.evaluation.exact import ExactEvaluator

__all__ = ["Backend", "Evaluator", "SamplesByName", "Spawn"]

Spawn = Callable[[Coroutine[Any, Any, None], str], None]
WhyNotBulk = Callable[[BulkQuery], str | None]

REFRESH_AT = 0.8  # of the freshness window: from then on a read starts the next evaluation,
REFRESH_LEAD = 1.5  # or this many times as long before its end as the last one took
# The age of a value delays every HPA that uses it. So an evaluation that many reads have shared is
# renewed sooner, at the cost of at most one query for so many reads and a twentieth of Prometheus'
# time.
BUSY_READS = 50
BUSY_SECONDS = 1.0
BUSY_REST = 20.0  # times as long as the last evaluation took
MAX_PLANS = 1024


class Evaluator:
    """Gives the samples of QueryPlans from shared evaluations.

    Args:
        backend: the Prometheus client.
        settings: freshness and time.
        spawn: starts a background refresh; the owner keeps the task.
        observe: called with `bulk`, `exact`, `shared` or `fallback` for each use.
        clock: monotonic seconds.
        why_not_bulk: gives None for a query that is proved equal to exact ones, else the reason
            why not.
    """

    def __init__(
        self,
        backend: Backend,
        settings: EvaluationSettings,
        *,
        spawn: Spawn,
        observe: Callable[[str], None] = lambda _kind: None,
        clock: Callable[[], float] = time.monotonic,
        why_not_bulk: WhyNotBulk = BulkQuery.why_not,
    ) -> None:
        self._backend = backend
        self._settings = settings
        self._spawn = spawn
        self._observe = observe
        self._clock = clock
        self._why_not_bulk = why_not_bulk
        self._states: OrderedDict[QueryPlan, BulkState] = OrderedDict()
        self._held = 0
        self._refreshes: SingleFlight[QueryPlan, BulkResult] = SingleFlight()
        self._exact = ExactEvaluator(backend, settings, observe=observe, clock=clock)

    def why_exact(self, plan: QueryPlan) -> str | None:
        """None where the plan is evaluated in bulk; else the reason why not."""
        if self._settings.freshness_seconds <= 0:
            return "--query-freshness is 0"
        return self._state_of(plan).why_exact

    async def query(self, text: str) -> QueryResult:
        """One instant query, shared by reads of the same text within the window.

        Raises:
            errors.UpstreamError, errors.UpstreamTimeout: Prometheus gave no usable answer.
        """
        return await self._exact.query(text)

    async def samples(
        self,
        plan: QueryPlan,
        namespace: str,
        names: Sequence[str],
        counts: ValueCounts | None = None,
    ) -> SamplesByName:
        """Samples by object name; objects without any are absent, others may be present.

        Args:
            plan: the query without its objects.
            namespace: empty for cluster-scoped resources.
            names: the objects that the caller will look up, at least one.
            counts: namesakes in other namespaces are counted into it.

        Raises:
            errors.UpstreamError, errors.UpstreamTimeout: Prometheus gave no usable answer.
            errors.BadRequest: the metric selector has an operator that PromQL cannot express.
            errors.Internal: the rule's template fails on this request.
        """
        return (await self.by_namespace(plan, {namespace: names}, counts))[namespace]

    async def by_namespace(
        self,
        plan: QueryPlan,
        wanted: Mapping[str, Sequence[str]],
        counts: ValueCounts | None = None,
    ) -> Mapping[str, SamplesByName]:
        """As `samples`, for several namespaces in one evaluation where that is proved equal."""
        if self._settings.freshness_seconds > 0:
            state = self._state_of(plan)
            if state.why_exact is None:
                found = await self._bulk(state, wanted)
                if found is not None:
                    return found
        return await self._exact.by_namespace(plan, wanted, counts)

    def _state_of(self, plan: QueryPlan) -> BulkState:
        state = self._states.get(plan)
        if state is None:
            query = BulkQuery(plan)
            state = BulkState(query, self._why_not(query))
            self._states[plan] = state
            if len(self._states) > MAX_PLANS:
                self._drop(next(iter(self._states)))
        else:
            self._states.move_to_end(plan)
        return state

    def _why_not(self, query: BulkQuery) -> str | None:
        try:
            return self._why_not_bulk(query)
        except (errors.TemplateError, errors.BadRequest) as error:
            return str(error)

    def _drop(self, plan: QueryPlan) -> None:
        state = self._states.pop(plan)
        if state.result is not None:
            self._held -= state.result.size

    async def _bulk(
        self, state: BulkState, wanted: Mapping[str, Sequence[str]]
    ) -> Mapping[str, SamplesByName] | None:
        """The samples of these namespaces, or None when exact queries are needed."""
        now = self._clock()
        state.want(wanted, now)
        result = state.result
        if (
            result is not None
            and now - result.started < self._settings.freshness_seconds
            and result.covers(wanted)
        ):
            self._observe("shared")
            state.shared += 1
            if now - result.started > self._refresh_at(result, state.shared):
                self._refresh_soon(state)
            return result.take(wanted)
        if now < state.paused_until:
            return None
        if state.pauses is not None:
            # Tried beside the exact queries, so that no read waits for another refusal.
            self._refresh_soon(state)
            return None
        return await self._evaluate_now(state, wanted)

    async def _evaluate_now(
        self, state: BulkState, wanted: Mapping[str, Sequence[str]]
    ) -> Mapping[str, SamplesByName] | None:
        # An evaluation that was under way may lack a namespace that is new; the next has it.
        for _ in range(2):
            try:
                result = await self._refreshes.run(state.query.plan, lambda: self._evaluate(state))
            except errors.UpstreamError as error:
                if not bulk.is_refusal(error):
                    raise
                self._observe("fallback")
                return None
            if result.covers(wanted):
                return result.take(wanted)
        return None

    def _refresh_at(self, result: BulkResult, shared: int) -> float:
        """The age from which a read starts the next evaluation, so that none has to wait."""
        window = self._settings.freshness_seconds
        due = min(REFRESH_AT * window, window - REFRESH_LEAD * result.seconds)
        if shared < BUSY_READS:
            return due
        return min(due, max(BUSY_SECONDS, BUSY_REST * result.seconds))

    def _refresh_soon(self, state: BulkState) -> None:
        if not state.refreshing:
            state.refreshing = True
            state.shared = 0  # one that fails is not followed by another at each read
            self._spawn(self._refresh(state), "evaluation refresh")

    async def _refresh(self, state: BulkState) -> None:
        try:
            await self._refreshes.run(state.query.plan, lambda: self._evaluate(state))
        except errors.MetricsError:
            # The next read tries again and reports the error; no result is served past its window.
            self._observe("fallback")
        finally:
            state.refreshing = False

    async def _evaluate(self, state: BulkState) -> BulkResult:
        self._observe("bulk")
        try:
            result = await bulk.collect(
                self._backend,
                state.query,
                state.namespaces(self._clock()),
                timeout=self._settings.timeout_seconds,
                clock=self._clock,
            )
        except errors.MetricsError as error:
            if bulk.is_refusal(error):
                state.refused(self._clock())
            raise
        state.accepted()
        self._keep(state, result)
        return result

    def _keep(self, state: BulkState, result: BulkResult) -> None:
        if self._states.get(state.query.plan) is not state:
            return
        if state.result is not None:
            self._held -= state.result.size
        state.result = result
        state.shared = 0
        self._held += result.size
        while self._held > MAX_HELD_SAMPLES and len(self._states) > 1:
            self._drop(next(iter(self._states)))
