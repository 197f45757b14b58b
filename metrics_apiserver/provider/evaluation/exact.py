"""Exact evaluations: the query that the predecessor sends, for named objects of one namespace.

Reads with the same query text within the freshness window share one query; 0 means only reads at
the same time. A query that Prometheus cannot parse is the rule's fault, so the caller is told what
it says. A long list of names is queried in parts where that is proved to change nothing; a list
that needs more than 4 MiB and cannot be split is refused. Samples that name another namespace are
left out, as bulk evaluation leaves them out by itself.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from metrics_apiserver.base import errors
from metrics_apiserver.base.caching import SingleFlight, TTLCache
from metrics_apiserver.core import custom
from metrics_apiserver.core.bulk import queryplan
from metrics_apiserver.core.bulk.queryplan import QueryPlan
from metrics_apiserver.core.model import QueryResult, Sample
from metrics_apiserver.core.values import ValueCounts
from metrics_apiserver.options.prometheus import EvaluationSettings
from metrics_apiserver.provider.evaluation import bulk
from metrics_apiserver.provider.evaluation.bulk import QUERY_BYTES, Backend, SamplesByName

Done = TypeVar("Done")

NAMES_PER_QUERY = 500
QUERIES_AT_ONCE = 8  # of one read
MAX_CACHED_RESULTS = 256
MAX_REASON = 200  # characters of the backend's words about a query that it cannot parse
_PARSING = re.compile(r"\bpars(e|ing)\b")
MAX_CACHED_SAMPLES = 1000  # of one result


class ExactEvaluator:
    """Sends exact queries; arguments as Evaluator's."""

    def __init__(
        self,
        backend: Backend,
        settings: EvaluationSettings,
        *,
        observe: Callable[[str], None] = lambda _kind: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._settings = settings
        self._observe = observe
        self._clock = clock
        self._queries: SingleFlight[str, QueryResult] = SingleFlight()
        self._results: TTLCache[str, QueryResult] = TTLCache(MAX_CACHED_RESULTS, clock)

    async def query(self, text: str) -> QueryResult:
        """One instant query, shared by reads of the same text within the window.

        Raises:
            errors.UpstreamError, errors.UpstreamTimeout: Prometheus gave no usable answer.
        """
        cached = self._results.get(text)
        if cached is not None:
            self._observe("shared")
            return cached
        return await self._queries.run(text, lambda: self._ask(text))

    async def _ask(self, text: str) -> QueryResult:
        self._observe("exact")
        started = self._clock()
        try:
            result = await self._backend.query(text, timeout=self._settings.timeout_seconds)
        except errors.UpstreamError as error:
            raise _with_reason(error) from error
        rest = self._settings.freshness_seconds - (self._clock() - started)
        if rest > 0 and len(result.samples) <= MAX_CACHED_SAMPLES:
            self._results.put(text, result, rest)
        return result

    async def by_namespace(
        self,
        plan: QueryPlan,
        wanted: Mapping[str, Sequence[str]],
        counts: ValueCounts | None = None,
    ) -> Mapping[str, SamplesByName]:
        """Samples by object name, by namespace; arguments and errors as Evaluator's."""
        found: dict[str, dict[str, list[Sample]]] = {namespace: {} for namespace in wanted}
        slots = asyncio.Semaphore(QUERIES_AT_ONCE)

        async def ask(namespace: str, names: Sequence[str]) -> None:
            async with slots:
                result = await self.query(_render(plan, namespace, names))
            samples = custom.drop_namesakes(bulk.vector(result), plan, namespace, names, counts)
            grouped = custom.group_samples(samples, plan.resource_label)
            found[namespace].update(grouped)

        parts = [
            (namespace, part) for namespace, names in wanted.items() for part in _parts(plan, names)
        ]
        if len(parts) == 1:
            await ask(*parts[0])
        else:
            await side_by_side(*(ask(*part) for part in parts))
        return found


def _with_reason(error: errors.UpstreamError) -> errors.UpstreamError:
    """A refusal of the query's text with the backend's words, which are about nothing else."""
    words = " ".join(error.detail.split())[:MAX_REASON]
    if error.kind != "api" or error.status not in (400, 422) or not _PARSING.search(words):
        return error
    return errors.UpstreamError(
        f"{error.message}: {words}", kind=error.kind, status=error.status, detail=error.detail
    )


async def side_by_side(*work: Coroutine[Any, Any, Done]) -> list[Done]:
    """Results in order; the first error ends the others and is the caller's.

    Raises:
        errors.MetricsError: of the piece of work that failed first.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(piece) for piece in work]
    except* errors.MetricsError as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _parts(plan: QueryPlan, names: Sequence[str]) -> list[Sequence[str]]:
    """The names in lists of a length that Prometheus handles well, where that changes nothing."""
    if len(names) <= NAMES_PER_QUERY:
        return [names]
    try:
        why_not = queryplan.why_not_split(plan)
    except errors.TemplateError:
        return [names]  # rendering it raises the error again
    if why_not is not None:
        return [names]
    return [names[i : i + NAMES_PER_QUERY] for i in range(0, len(names), NAMES_PER_QUERY)]


def _render(plan: QueryPlan, namespace: str, names: Sequence[str]) -> str:
    try:
        text = queryplan.render_exact(plan, namespace, names)
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
