"""Evaluations: one Prometheus query for everybody who asks the same thing now.

A Question whose bulk form is proved equal to its exact one (`question.prove_bulk`) is asked once
for all namespaces that were read lately, and each read takes its part; so the load on Prometheus
follows the rules, not the HPAs. Every other Question is asked exactly as the predecessor asks it,
equal texts shared. An evaluation is served for at most the freshness window, 0 meaning never again;
a read that finds it nearly spent, or much used, starts the next one without waiting. Where
Prometheus refuses the bulk query the exact ones are asked, and bulk is tried again beside them
after a pause. On an error nothing older is served: the HPA holds on errors and would obey a stale
number.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from metrics_apiserver.base import errors
from metrics_apiserver.base.caching import SingleFlight
from metrics_apiserver.core.bulk import question
from metrics_apiserver.core.bulk.question import Question
from metrics_apiserver.core.model import QueryResult
from metrics_apiserver.options.settings import EvaluationSettings
from metrics_apiserver.provider.evaluation import bulk
from metrics_apiserver.provider.evaluation.bulk import (
    MAX_HELD_SAMPLES,
    Answer,
    Backend,
    BySelf,
    Group,
)
from metrics_apiserver.provider.evaluation.exact import ExactEvaluator
from metrics_apiserver.provider.queries import ToldBackend

__all__ = ["Backend", "BySelf", "Evaluator", "Spawn"]

Spawn = Callable[[Coroutine[Any, Any, None], str], None]
Proof = Callable[[Question], str | None]

REFRESH_AT = 0.8  # of the freshness window: from then on a read starts the next evaluation,
REFRESH_LEAD = 1.5  # or this many times as long before its end as the last one took
# A window's age is time by which every HPA reacts later. So an evaluation that many reads have
# shared is renewed sooner; that costs at most one query for so many reads, and at most a twentieth
# of the time Prometheus has.
BUSY_READS = 50
BUSY_SECONDS = 1.0
BUSY_REST = 20.0  # times as long as the last evaluation took
MAX_GROUPS = 1024


class Evaluator:
    """Answers Questions from shared evaluations.

    Args:
        backend: asked for instant queries.
        settings: freshness and time.
        spawn: starts a background refresh; the owner keeps the task.
        observe: called with `bulk`, `exact`, `shared` or `fallback` for each use.
        clock: monotonic seconds.
        prove: gives None for a Question that may be asked in bulk, else the reason why not.
    """

    def __init__(
        self,
        backend: Backend,
        settings: EvaluationSettings,
        *,
        spawn: Spawn,
        observe: Callable[[str], None] = lambda _kind: None,
        clock: Callable[[], float] = time.monotonic,
        prove: Proof = question.prove_bulk,
    ) -> None:
        told = ToldBackend(backend, clock)
        self._backend = told
        self._settings = settings
        self._spawn = spawn
        self._observe = observe
        self._clock = clock
        self._prove = prove
        self._groups: OrderedDict[Question, Group] = OrderedDict()
        self._held = 0
        self._refreshes: SingleFlight[Question, Answer] = SingleFlight()
        self._exact = ExactEvaluator(told, settings, observe=observe, clock=clock)

    def why_exact(self, asked: Question) -> str | None:
        """None where the question is evaluated in bulk; else the reason why not."""
        if self._settings.freshness_seconds <= 0:
            return "--query-freshness is 0"
        return self._group(asked).reason

    async def query(self, text: str) -> QueryResult:
        """One instant query, shared with whoever asks the same text within the window.

        Raises:
            errors.UpstreamError, errors.UpstreamTimeout: Prometheus gave no usable answer.
        """
        return await self._exact.query(text)

    async def samples(self, asked: Question, namespace: str, names: Sequence[str]) -> BySelf:
        """Samples by object name; objects without any are absent, others may be present.

        Args:
            asked: what is asked.
            namespace: empty for cluster-scoped resources.
            names: the objects that the caller will look up, at least one.

        Raises:
            errors.UpstreamError, errors.UpstreamTimeout: Prometheus gave no usable answer.
            errors.BadRequest: the metric selector has an operator that PromQL cannot express.
            errors.Internal: the rule's template fails on this request.
        """
        found = await self.by_namespace(asked, {namespace: names})
        return found[namespace]

    async def by_namespace(
        self, asked: Question, wanted: Mapping[str, Sequence[str]]
    ) -> Mapping[str, BySelf]:
        """As `samples`, for several namespaces in one evaluation where that is proved equal."""
        if self._settings.freshness_seconds > 0:
            group = self._group(asked)
            if group.reason is None:
                found = await self._bulk(group, wanted)
                if found is not None:
                    return found
        return await self._exact.by_namespace(asked, wanted)

    def _group(self, asked: Question) -> Group:
        group = self._groups.get(asked)
        if group is None:
            group = Group(asked, self._why_not(asked))
            self._groups[asked] = group
            if len(self._groups) > MAX_GROUPS:
                self._drop(next(iter(self._groups)))
        else:
            self._groups.move_to_end(asked)
        return group

    def _why_not(self, asked: Question) -> str | None:
        try:
            return self._prove(asked)
        except (errors.TemplateError, errors.BadRequest) as error:
            return str(error)

    def _drop(self, asked: Question) -> None:
        group = self._groups.pop(asked)
        if group.answer is not None:
            self._held -= group.answer.size

    async def _bulk(
        self, group: Group, wanted: Mapping[str, Sequence[str]]
    ) -> Mapping[str, BySelf] | None:
        """The answer for these namespaces, or None when the exact form has to be asked."""
        now = self._clock()
        group.want(wanted, now)
        answer = group.answer
        if answer is not None and self._is_fresh(answer) and answer.covers(wanted):
            self._observe("shared")
            group.shared += 1
            if now - answer.started > self._refresh_at(answer, group.shared):
                self._refresh_soon(group)
            return answer.take(wanted)
        if now < group.paused_until:
            return None
        if group.refusals:
            # Tried beside the exact queries, so that no read waits for another refusal.
            self._refresh_soon(group)
            return None
        return await self._evaluate_now(group, wanted)

    async def _evaluate_now(
        self, group: Group, wanted: Mapping[str, Sequence[str]]
    ) -> Mapping[str, BySelf] | None:
        # A flight that was under way already may not cover a namespace that is new; the next does.
        for _ in range(2):
            try:
                answer = await self._refreshes.run(group.question, lambda: self._evaluate(group))
            except errors.UpstreamError as error:
                if not bulk.is_refusal(error):
                    raise
                self._observe("fallback")
                return None
            if answer.covers(wanted):
                return answer.take(wanted)
        return None

    def _refresh_at(self, answer: Answer, shared: int) -> float:
        """The age from which a read starts the next evaluation, so that none has to wait."""
        window = self._settings.freshness_seconds
        due = min(REFRESH_AT * window, window - REFRESH_LEAD * answer.seconds)
        if shared < BUSY_READS:
            return due
        return min(due, max(BUSY_SECONDS, BUSY_REST * answer.seconds))

    def _is_fresh(self, answer: Answer) -> bool:
        return self._clock() - answer.started < self._settings.freshness_seconds

    def _refresh_soon(self, group: Group) -> None:
        if not group.refreshing:
            group.refreshing = True
            group.shared = 0  # one that fails is not followed by another at each read
            self._spawn(self._refresh(group), "evaluation refresh")

    async def _refresh(self, group: Group) -> None:
        try:
            await self._refreshes.run(group.question, lambda: self._evaluate(group))
        except errors.MetricsError:
            # The next read asks again and reports; an answer past its window is never served.
            self._observe("fallback")
        finally:
            group.refreshing = False

    async def _evaluate(self, group: Group) -> Answer:
        self._observe("bulk")
        try:
            answer = await bulk.collect(
                self._backend,
                group.question,
                group.namespaces(self._clock()),
                timeout=self._settings.timeout_seconds,
                clock=self._clock,
            )
        except errors.MetricsError as error:
            if bulk.is_refusal(error):
                group.refused(self._clock())
            raise
        group.refusals = 0
        self._keep(group, answer)
        return answer

    def _keep(self, group: Group, answer: Answer) -> None:
        if self._groups.get(group.question) is not group:
            return
        if group.answer is not None:
            self._held -= group.answer.size
        group.answer = answer
        group.shared = 0
        self._held += answer.size
        while self._held > MAX_HELD_SAMPLES and len(self._groups) > 1:
            self._drop(next(iter(self._groups)))
