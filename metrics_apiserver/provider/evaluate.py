"""Evaluations: one Prometheus query for everybody who asks the same thing now.

A Question whose bulk form is proved equal to its exact one (`core.separable`) is asked once for all
namespaces that were read lately, and each read takes its part; so the load on Prometheus follows
the rules, not the HPAs. Every other Question is asked exactly as the predecessor asks it, equal
texts shared. An evaluation is served for at most the freshness window, 0 meaning never again; a
read that finds it nearly spent starts the next one without waiting. On an error nothing older is
served: the HPA holds on errors and would obey a stale number.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from metrics_apiserver.caching import SingleFlight, TTLCache
from metrics_apiserver.core import custom, errors, question
from metrics_apiserver.core.model import QueryResult, Sample
from metrics_apiserver.core.question import Question
from metrics_apiserver.settings import EvaluationSettings

Spawn = Callable[[Coroutine[Any, Any, None], str], None]
BySelf = Mapping[str, Sequence[Sample]]

REFRESH_AT = 0.8  # of the freshness window: from then on a read starts the next evaluation
NAMESPACE_IDLE_SECONDS = 120.0  # a namespace nobody read for so long leaves the bulk query
BULK_PAUSE_SECONDS = 60.0  # after Prometheus refused a bulk query
NAMES_PER_QUERY = 500
QUERY_BYTES = 4 * 1024 * 1024
MAX_GROUPS = 1024
MAX_HELD_SAMPLES = 500_000


class Backend(Protocol):
    """What evaluation needs of the Prometheus client."""

    async def query(self, text: str, *, timeout: float) -> QueryResult: ...


@dataclass(frozen=True, slots=True)
class _Answer:
    started: float
    by_namespace: Mapping[str, BySelf]
    size: int


@dataclass(slots=True)
class _Group:
    """One Question's bulk evaluation.

    Attributes:
        wanted: namespace to the time it was last read.
        paused_until: bulk is not tried before this time.
    """

    question: Question
    reason: str | None
    wanted: dict[str, float] = field(default_factory=dict)
    answer: _Answer | None = None
    paused_until: float = 0.0
    refreshing: bool = False


_NOTHING: dict[str, Sequence[Sample]] = {}


class Evaluator:
    """Answers Questions from shared evaluations.

    Args:
        backend: asked for instant queries.
        settings: freshness and time.
        spawn: starts a background refresh; the owner keeps the task.
        observe: called with `bulk`, `exact`, `shared` or `fallback` for each use.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        backend: Backend,
        settings: EvaluationSettings,
        *,
        spawn: Spawn,
        observe: Callable[[str], None] = lambda _kind: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._settings = settings
        self._spawn = spawn
        self._observe = observe
        self._clock = clock
        self._groups: OrderedDict[Question, _Group] = OrderedDict()
        self._held = 0
        self._queries: SingleFlight[str, QueryResult] = SingleFlight()
        self._refreshes: SingleFlight[Question, _Answer] = SingleFlight()
        self._answers: TTLCache[str, QueryResult] = TTLCache(256, clock)

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
        cached = self._answers.get(text)
        if cached is not None:
            self._observe("shared")
            return cached
        return await self._queries.run(text, lambda: self._ask(text))

    async def _ask(self, text: str) -> QueryResult:
        started = self._clock()
        result = await self._backend.query(text, timeout=self._settings.timeout_seconds)
        rest = self._settings.freshness_seconds - (self._clock() - started)
        if rest > 0 and len(result.samples) <= MAX_HELD_SAMPLES // 100:
            self._answers.put(text, result, rest)
        return result

    async def samples(self, asked: Question, namespace: str, names: Sequence[str]) -> BySelf:
        """Samples by object name; objects without any are absent, others may be present.

        Args:
            asked: what is asked.
            namespace: empty for cluster-scoped resources.
            names: the objects that the caller will look up, at least one.

        Raises:
            errors.UpstreamError, errors.UpstreamTimeout: Prometheus gave no usable answer.
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
            if group.reason is None and self._clock() >= group.paused_until:
                found = await self._bulk(group, wanted)
                if found is not None:
                    return found
        return {
            namespace: await self._exact(asked, namespace, names)
            for namespace, names in wanted.items()
        }

    # --- exact -----------------------------------------------------------------------------

    async def _exact(self, asked: Question, namespace: str, names: Sequence[str]) -> BySelf:
        self._observe("exact")
        chunks: list[Sequence[str]] = [names]
        if len(names) > NAMES_PER_QUERY and question.prove_split(asked) is None:
            chunks = [names[i : i + NAMES_PER_QUERY] for i in range(0, len(names), NAMES_PER_QUERY)]
        found: dict[str, list[Sample]] = {}
        for chunk in chunks:
            result = await self.query(_render(asked, namespace, chunk))
            found.update(custom.group_samples(_vector(result), asked.resource_label))
        return found

    # --- bulk ------------------------------------------------------------------------------

    def _group(self, asked: Question) -> _Group:
        group = self._groups.get(asked)
        if group is None:
            group = _Group(asked, _proof(asked))
            self._groups[asked] = group
            if len(self._groups) > MAX_GROUPS:
                self._drop(next(iter(self._groups)))
        else:
            self._groups.move_to_end(asked)
        return group

    def _drop(self, asked: Question) -> None:
        group = self._groups.pop(asked)
        if group.answer is not None:
            self._held -= group.answer.size

    async def _bulk(
        self, group: _Group, wanted: Mapping[str, Sequence[str]]
    ) -> Mapping[str, BySelf] | None:
        """The answer for these namespaces, or None when the exact form has to be asked."""
        now = self._clock()
        for namespace in wanted:
            group.wanted[namespace] = now
        answer = group.answer
        if answer is not None and self._is_fresh(answer) and _covers(answer, wanted):
            self._observe("shared")
            self._refresh_ahead(group, answer)
            return answer.by_namespace
        # A flight that was under way already may not cover a namespace that is new; the next does.
        for _ in range(2):
            try:
                answer = await self._refreshes.run(group.question, lambda: self._evaluate(group))
            except errors.UpstreamError as error:
                if error.kind not in ("api", "too_large"):
                    raise
                group.paused_until = self._clock() + BULK_PAUSE_SECONDS
                self._observe("fallback")
                return None
            if _covers(answer, wanted):
                return answer.by_namespace
        return None

    def _is_fresh(self, answer: _Answer) -> bool:
        return self._clock() - answer.started <= self._settings.freshness_seconds

    def _refresh_ahead(self, group: _Group, answer: _Answer) -> None:
        age = self._clock() - answer.started
        if age > REFRESH_AT * self._settings.freshness_seconds and not group.refreshing:
            group.refreshing = True
            self._spawn(self._refresh(group), "evaluation refresh")

    async def _refresh(self, group: _Group) -> None:
        try:
            await self._refreshes.run(group.question, lambda: self._evaluate(group))
        except (errors.MetricsError, TimeoutError):
            # The next read asks again and reports; an answer past its window is never served.
            self._observe("fallback")
        finally:
            group.refreshing = False

    async def _evaluate(self, group: _Group) -> _Answer:
        started = self._clock()
        for namespace, last in list(group.wanted.items()):
            if started - last > NAMESPACE_IDLE_SECONDS:
                del group.wanted[namespace]
        namespaces = sorted(group.wanted)
        by_namespace: dict[str, BySelf] = dict.fromkeys(namespaces, _NOTHING)
        size = await self._collect(group.question, namespaces, by_namespace)
        answer = _Answer(started, by_namespace, size)
        self._keep(group, answer)
        return answer

    async def _collect(
        self, asked: Question, namespaces: Sequence[str], into: dict[str, BySelf]
    ) -> int:
        """Asks for these namespaces, in halves when the answer is too large; gives its size."""
        self._observe("bulk")
        try:
            result = await self._backend.query(
                question.render_bulk(asked, namespaces), timeout=self._settings.timeout_seconds
            )
        except errors.UpstreamError as error:
            if error.kind != "too_large" or len(namespaces) < 2:
                raise
            middle = len(namespaces) // 2
            return await self._collect(asked, namespaces[:middle], into) + await self._collect(
                asked, namespaces[middle:], into
            )
        samples = _vector(result)
        if not asked.namespace_label:
            into[""] = custom.group_samples(samples, asked.resource_label)
            return len(samples)
        parts: dict[str, list[Sample]] = {}
        for sample in samples:
            parts.setdefault(sample.labels.get(asked.namespace_label, ""), []).append(sample)
        for namespace in namespaces:
            if namespace in parts:
                into[namespace] = custom.group_samples(parts[namespace], asked.resource_label)
        return len(samples)

    def _keep(self, group: _Group, answer: _Answer) -> None:
        if self._groups.get(group.question) is not group:
            return
        if group.answer is not None:
            self._held -= group.answer.size
        group.answer = answer
        self._held += answer.size
        while self._held > MAX_HELD_SAMPLES and len(self._groups) > 1:
            self._drop(next(iter(self._groups)))


def _covers(answer: _Answer, wanted: Mapping[str, Sequence[str]]) -> bool:
    return all(namespace in answer.by_namespace for namespace in wanted)


def _proof(asked: Question) -> str | None:
    if not asked.resource_label:
        return "external metrics are asked as they are"
    try:
        return question.prove_bulk(asked)
    except (errors.TemplateError, errors.BadRequest) as error:
        return str(error)


def _render(asked: Question, namespace: str, names: Sequence[str]) -> str:
    try:
        text = question.render_exact(asked, namespace, names)
    except errors.TemplateError as error:
        raise errors.Internal(
            "unable to build the query: the rule's metricsQuery fails on this request",
            detail=str(error),
        ) from error
    if len(text) > QUERY_BYTES:
        raise errors.Internal(
            f"unable to build the query: {len(names)} objects need more than {QUERY_BYTES} bytes "
            "and the rule's metricsQuery cannot be split by object"
        )
    return text


def _vector(result: QueryResult) -> list[Sample]:
    if result.kind != "vector":
        raise errors.UpstreamError(
            f"unable to fetch metrics: the query gives a {result.kind}, not a vector",
            kind="protocol",
        )
    return result.samples
