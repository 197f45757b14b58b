"""One query for many namespaces at once, and its samples sorted by namespace and object.

A BulkState knows which namespaces were read lately; a BulkResult holds one evaluation for them.
`collect` queries, in halves where a result is too large, and gives up where that would take too
much memory or time: exact queries are then the better choice. Nothing here decides whether a plan
may be evaluated in bulk; `core/bulk/queryplan` proves that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from metrics_apiserver.base import errors, threads
from metrics_apiserver.base.backoff import Backoff, no_jitter
from metrics_apiserver.core import custom
from metrics_apiserver.core.bulk.queryplan import BulkQuery, QueryPlan
from metrics_apiserver.core.model import QueryResult, Sample

SamplesByName = Mapping[str, Sequence[Sample]]

NAMESPACE_IDLE_SECONDS = 120.0  # a namespace not read for so long leaves the bulk query
MAX_NAMED_NAMESPACES = 500  # when more are read, the query is for all namespaces
MAX_HELD_SAMPLES = 500_000
QUERY_BYTES = 4 * 1024 * 1024
FIRST_PAUSE_SECONDS = 5.0  # after Prometheus refused a bulk query; doubled each time
MAX_PAUSE_SECONDS = 300.0
# What a proxy or Prometheus says of a query that is too long, or of one that took too long.
_REFUSING_STATUSES = frozenset({413, 414, 504})

_NOTHING: SamplesByName = {}


class Backend(Protocol):
    """What evaluation needs of the Prometheus client."""

    async def query(self, text: str, *, timeout: float) -> QueryResult: ...


@dataclass(frozen=True, slots=True)
class BulkResult:
    """One evaluation.

    Attributes:
        started: when the query began, on the evaluator's clock.
        parts: samples by object name, by namespace.
        size: number of samples.
        everything: the query was for all namespaces, so one that is not in `parts` has no samples.
        seconds: how long the evaluation took.
    """

    started: float
    parts: Mapping[str, SamplesByName]
    size: int
    everything: bool
    seconds: float = 0.0

    def covers(self, namespaces: Mapping[str, object]) -> bool:
        return self.everything or all(namespace in self.parts for namespace in namespaces)

    def take(self, namespaces: Mapping[str, object]) -> dict[str, SamplesByName]:
        """The parts of these namespaces and of no other."""
        return {namespace: self.parts.get(namespace, _NOTHING) for namespace in namespaces}


@dataclass(slots=True)
class BulkState:
    """The bulk evaluation of one QueryPlan.

    Attributes:
        why_exact: why the plan is never evaluated in bulk; None where it may be.
        wanted: namespace to the time it was last read, the latest last.
        shared: reads that were served from `result`.
        crowded_until: before this time too many namespaces are read to name them.
        paused_until: bulk is not tried before this time.
        pauses: how long to wait after a refusal; None where the last bulk query was not refused.
        refreshing: an evaluation is being made that no read waits for.
    """

    query: BulkQuery
    why_exact: str | None
    wanted: dict[str, float] = field(default_factory=dict)
    result: BulkResult | None = None
    shared: int = 0
    crowded_until: float = 0.0
    paused_until: float = 0.0
    pauses: Backoff | None = None
    refreshing: bool = False

    def want(self, namespaces: Mapping[str, object], now: float) -> None:
        """Remembers a read."""
        for namespace in namespaces:
            self.wanted.pop(namespace, None)
            self.wanted[namespace] = now
        while len(self.wanted) > MAX_NAMED_NAMESPACES:
            del self.wanted[next(iter(self.wanted))]
            self.crowded_until = now + NAMESPACE_IDLE_SECONDS

    def namespaces(self, now: float) -> list[str]:
        """The namespaces of the next query; empty means all."""
        for namespace, last in list(self.wanted.items()):
            if now - last <= NAMESPACE_IDLE_SECONDS:
                break
            del self.wanted[namespace]
        return [] if now < self.crowded_until else sorted(self.wanted)

    def refused(self, now: float) -> None:
        """Prometheus refused the bulk query: the next attempt is due after a pause."""
        if self.pauses is None:
            self.pauses = Backoff(
                first=FIRST_PAUSE_SECONDS, last=MAX_PAUSE_SECONDS, jitter=no_jitter
            )
        self.paused_until = now + self.pauses.next()

    def accepted(self) -> None:
        """Prometheus evaluated the bulk query."""
        self.pauses = None


def is_refusal(error: errors.MetricsError) -> bool:
    """Whether a smaller query may succeed where this one failed."""
    if isinstance(error, errors.UpstreamError):
        return error.kind in ("api", "too_large") or error.status in _REFUSING_STATUSES
    return isinstance(error, errors.UpstreamTimeout)


async def collect(
    backend: Backend,
    query: BulkQuery,
    namespaces: Sequence[str],
    *,
    timeout: float,
    clock: Callable[[], float],
) -> BulkResult:
    """Queries the samples of these namespaces, of all if there are none.

    Args:
        backend: the Prometheus client.
        query: of one plan.
        namespaces: none means every one.
        timeout: seconds for all queries together.
        clock: monotonic seconds.

    Raises:
        errors.UpstreamError, errors.UpstreamTimeout: Prometheus gave no usable answer;
            `too_large` when all of it would be more than may be held.
    """
    started = clock()
    parts: dict[str, SamplesByName] = dict.fromkeys(namespaces, _NOTHING)
    slices = [list(namespaces)]
    size = 0
    while slices:
        part = slices.pop()
        left = started + timeout - clock()
        if left <= 0:
            raise errors.UpstreamTimeout("unable to fetch metrics: too many queries for the time")
        try:
            samples = await _ask(backend, query, part, left)
        except errors.UpstreamError as error:
            if error.kind != "too_large" or len(part) < 2:
                raise
            middle = len(part) // 2
            slices += [part[middle:], part[:middle]]
            continue
        size += len(samples)
        if size > MAX_HELD_SAMPLES:
            raise _too_large(f"more than {MAX_HELD_SAMPLES} samples for all namespaces together")
        await threads.run(len(samples), _add, parts, query.plan, samples)
    return BulkResult(started, parts, size, not namespaces, clock() - started)


async def _ask(
    backend: Backend, query: BulkQuery, namespaces: Sequence[str], timeout: float
) -> list[Sample]:
    text = query.render(namespaces)
    if len(text) > QUERY_BYTES:
        raise _too_large(f"the query for {len(namespaces)} namespaces is too long")
    return vector(await backend.query(text, timeout=timeout))


def _too_large(why: str) -> errors.UpstreamError:
    return errors.UpstreamError(f"unable to fetch metrics: {why}", kind="too_large")


def _add(parts: dict[str, SamplesByName], plan: QueryPlan, samples: Sequence[Sample]) -> None:
    """Files samples under their namespace and object; those without either are left out."""
    if not plan.namespace_label:
        parts[""] = custom.group_samples(samples, plan.resource_label)
        return
    by_namespace = custom.group_samples(samples, plan.namespace_label)
    for namespace, members in by_namespace.items():
        parts[namespace] = custom.group_samples(members, plan.resource_label)


def vector(result: QueryResult) -> list[Sample]:
    """The samples of a query that must give a vector.

    Raises:
        errors.UpstreamError: it gave something else.
    """
    if result.kind != "vector":
        raise errors.UpstreamError(
            f"unable to fetch metrics: the query gives a {result.kind}, not a vector",
            kind="protocol",
        )
    return result.samples
