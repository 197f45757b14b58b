"""Relist: which metrics exist now, rule by rule, and the Snapshot made of them.

Each distinct series query is sent once and fails alone: its last good result stays, so one broken
rule or a Prometheus that is down empties nothing. A query that suddenly finds nothing is believed
when a turn an interval later finds nothing either (a Prometheus that has just restarted answers
with an empty database, and a failing neighbour makes turns follow each other quickly). Until
Prometheus has answered once, nobody knows which metrics there are, and the Snapshot says so. One
turn is `relist_once`; `run` only decides when the next is due: at the interval, soon after a
failure, and at once when the rules or the cluster's resources change.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from metrics_apiserver.base import errors, threads
from metrics_apiserver.base.backoff import Backoff, no_jitter
from metrics_apiserver.core import diagnostics, objects, registry
from metrics_apiserver.core.model import Series
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules.config import RuleFile
from metrics_apiserver.options.prometheus import RelistSettings

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 0.5
MAX_RETRY_SECONDS = 2.0
_ANSWERS = frozenset({"api", "too_large", "warnings"})  # kinds of errors that Prometheus answered
EMPTY_SECONDS = 30.0  # or the interval, if that is shorter, until nothing found is believed


class SeriesSource(Protocol):
    """What relist needs of the Prometheus client."""

    async def series(self, selector: str, *, start: float, end: float | None) -> set[Series]: ...


@dataclass(slots=True)
class QueryState:
    """What is known of one series query.

    Attributes:
        series: the last good result; None before the first.
        error: why the last turn failed; empty when it did not.
        empty_since: when the first of the turns began that found nothing while `series` still holds
            something; None when the last one did find something.
    """

    series: set[Series] | None = None
    error: str = ""
    empty_since: float | None = None


@dataclass(slots=True)
class RelistReport:
    """Outcome of one turn, for telemetry and logs."""

    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class Relister:
    """Owns the Snapshot; all others read `snapshot` once per request.

    Args:
        source: the Prometheus client.
        mapper: the cluster's resources, None while unknown.
        settings: interval and look-back.
        report: called after each turn.
        clock: monotonic seconds.
        wall: seconds since the epoch, for the look-back.

    Attributes:
        snapshot: the one that a request takes once; None before the first.
        rules: those of the turn under way; between turns, of the last one.
    """

    def __init__(
        self,
        source: SeriesSource,
        mapper: Callable[[], RESTMapper | None],
        settings: RelistSettings,
        *,
        report: Callable[[RelistReport, Snapshot | None], None] = lambda _report, _snapshot: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float],
    ) -> None:
        self._source = source
        self._mapper = mapper
        self._settings = settings
        self._report = report
        self._clock = clock
        self._wall = wall
        self._max_age_seconds = settings.max_age_seconds
        self.rules = RuleFile(rules=(), external_rules=(), resource_rules=None, warnings=())
        self._next_rules = self.rules
        self._queries: dict[str, QueryState] = {}
        self._wake = asyncio.Event()
        self._generation = 0
        self._seen_diagnostics: frozenset[tuple[str, str]] = frozenset()
        self._turn_began = 0.0
        self._silent_since: float | None = wall()  # None once Prometheus has answered
        self._silent_why = ""
        self.snapshot: Snapshot | None = None
        self.turns = 0
        self.last_turn = 0.0

    def use(self, rules: RuleFile) -> None:
        """Takes a new rule file; it counts from the end of the next turn."""
        self._next_rules = rules
        self.wake()

    def wake(self) -> None:
        """Asks for a turn now: the rules or the cluster's resources changed."""
        self._wake.set()

    async def run(self) -> None:
        """Relists for ever."""
        backoff = Backoff(first=FIRST_RETRY_SECONDS, last=MAX_RETRY_SECONDS, jitter=no_jitter)
        while True:
            self._wake.clear()
            report = await self.relist_once()
            wait = self._settings.interval_seconds
            if report.failed or self.snapshot is None:
                wait = min(wait, backoff.next())
            else:
                backoff.reset()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def relist_once(self) -> RelistReport:
        """One turn: sends every distinct series query, then swaps in a new Snapshot."""
        started = self._turn_began = self._clock()
        # Taken once: a turn that began by one rule file or resource table and ended by another
        # would offer the metrics of neither.
        rules = self.rules = self._next_rules
        mapper = self._mapper()
        texts = dict.fromkeys(rule.series_query for rule in (*rules.rules, *rules.external_rules))
        self._queries = {text: self._queries.get(text, QueryState()) for text in texts}
        report = RelistReport()
        start = self._wall() - self._max_age_seconds
        async with asyncio.TaskGroup() as group:
            for text, state in self._queries.items():
                group.create_task(self._relist_query(text, state, start, report))
        if mapper is not None:
            await self._swap(rules, mapper)
        else:
            self._forget_series()
        self.turns += 1
        self.last_turn = self._clock()
        report.seconds = self.last_turn - started
        self._report(report, self.snapshot)
        return report

    async def _relist_query(
        self, text: str, state: QueryState, start: float, report: RelistReport
    ) -> None:
        try:
            found = await self._source.series(text, start=start, end=None)
        except errors.MetricsError as error:
            self._note_failure(error)
            reason = error.detail or error.message
            if state.error != reason:
                log.warning(
                    "relist of a series query failed; its last good result stays",
                    extra={"series_query": text, "error": reason},
                )
            state.error = reason
            report.failed[text] = reason
            return
        self._silent_since = None
        if state.error:
            log.info("relist of a series query works again", extra={"series_query": text})
        state.error = ""
        if not found and state.series and not self._is_believed(state):
            return
        state.empty_since = None
        state.series = found

    def _note_failure(self, error: errors.MetricsError) -> None:
        """Remembers why Prometheus has not answered yet; a refusal of one query is an answer."""
        if isinstance(error, errors.UpstreamError) and error.kind in _ANSWERS:
            self._silent_since = None
        else:
            self._silent_why = error.message.removeprefix("unable to fetch metrics: ")

    def _unreachable(self) -> str:
        """Since when and why Prometheus has not answered; empty once it has, or if nobody asked."""
        if self._silent_since is None or not self._silent_why:
            return ""
        since = objects.format_time(self._silent_since)
        return f"Prometheus has not answered since {since}: {self._silent_why}"

    def _is_believed(self, state: QueryState) -> bool:
        """Whether nothing has been found for long enough."""
        if state.empty_since is None:
            state.empty_since = self._turn_began
        lasted = self._turn_began - state.empty_since
        return lasted >= min(EMPTY_SECONDS, self._settings.interval_seconds)

    def _forget_series(self) -> None:
        """Found before it was known which labels count: no good result to fall back on."""
        for state in self._queries.values():
            state.series = None

    async def _swap(self, rules: RuleFile, mapper: RESTMapper) -> None:
        known = {
            text: state.series for text, state in self._queries.items() if state.series is not None
        }
        generation = self._generation + 1
        size = sum(map(len, known.values()))
        snapshot = await threads.run(
            size, registry.build, rules, mapper, known, generation, self._unreachable()
        )
        self._generation = generation
        self.snapshot = snapshot
        self._log_diagnostics(snapshot)

    def _log_diagnostics(self, snapshot: Snapshot) -> None:
        """A diagnostic is logged when it appears, not at each turn with other numbers in it."""
        found = {(item.path, item.code): item for item in snapshot.diagnostics}
        for key in sorted(found.keys() - self._seen_diagnostics):
            item = found[key]
            if item.code == diagnostics.QUARANTINED.code:
                continue  # told when the file was loaded
            log.warning(
                "rule problem",
                extra={"rule": item.path, "line": item.line, "code": item.code}
                | {"kind": diagnostics.CATALOGUE[item.code].name, "problem": item.message},
            )
        self._seen_diagnostics = frozenset(found)
