"""Discovery by metric names: what a relist needs, for a fraction of what all series cost.

A relist wants, for each series query, the metric names and which of the labels that map to
resources occur on them. The label-values API returns that in a few kilobytes, with one call for all
names and one for each mapped label. It keeps a vanished name for as long as the head block holds
it (hours), so an exact count is taken now and then, and names it has not seen for `max_age` are
dropped. A backend that ignores `match[]` there would give the names of other rules; a probe for a
name that cannot exist detects that, and whole series are requested from such a backend. So they are
where a label endpoint refuses to answer (`prometheus/refusals`); a template, which needs the names
of labels, and overrides, which do not, are told apart.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from metrics_apiserver.base import errors
from metrics_apiserver.core import promql, seriesselector
from metrics_apiserver.core.converter import ResourceConverter
from metrics_apiserver.core.model import QueryResult, Series
from metrics_apiserver.core.promql import Matcher
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules.model import Rule, RuleFile
from metrics_apiserver.prometheus.refusals import CapabilityRefused, Refusals

log = logging.getLogger(__name__)

PROBE = '{__name__="metrics_apiserver:no_such_series"}'
CHECK_SECONDS = 300.0
CHECK_TIMEOUT_SECONDS = 30.0
MAX_LABELS = 64
MAX_SELECTORS = 4096
MAX_GONE = 500
_ANYTHING = Matcher("instance", "=~", ".*")


class NamesBackend(Protocol):
    """What discovery needs of the Prometheus client."""

    refusals: Refusals

    async def label_values(
        self, label: str, match: Sequence[str], *, start: float
    ) -> list[str]: ...

    async def label_names(self, match: Sequence[str], *, start: float) -> list[str]: ...

    async def series(
        self, selector: str, *, start: float, end: float | None = None
    ) -> set[Series]: ...

    async def query(self, text: str, *, timeout: float) -> QueryResult: ...


class MappedLabels:
    """Which labels of a series query map to a resource, for the rules in use.

    Args:
        rules: the rules in use.
        mapper: the cluster's resources; None while unknown, when no label maps.
    """

    def __init__(
        self, rules: Callable[[], RuleFile], mapper: Callable[[], RESTMapper | None]
    ) -> None:
        self._rules = rules
        self._mapper = mapper

    def candidates(self, selector: str) -> list[str] | None:
        """The labels that can map, or None when a template makes that any label."""
        mappings = [rule.mapping for rule in self._rules_of(selector)]
        if any(mapping.template is not None for mapping in mappings):
            return None
        return sorted({override.label for mapping in mappings for override in mapping.overrides})

    def mapped(self, selector: str, labels: Iterable[str]) -> list[str]:
        """Those of `labels` that map to a resource, sorted."""
        mapper = self._mapper()
        if mapper is None:
            return []
        converters = [ResourceConverter(rule.mapping, mapper) for rule in self._rules_of(selector)]
        return sorted(
            label
            for label in set(labels)
            if any(converter.resources_for((label,)) for converter in converters)
        )

    def _rules_of(self, selector: str) -> list[Rule]:
        return [rule for rule in self._rules().rules if rule.series_query == selector]


@dataclass(slots=True)
class _Seen:
    """What the exact checks of one selector saw.

    Attributes:
        alive: name to the monotonic time when it was last seen.
        checked: time of the last exact check.
    """

    checked: float
    alive: dict[str, float] = field(default_factory=dict)


class NameDiscovery:
    """Finds the series of a query by names where the backend can, else by series.

    Args:
        backend: the Prometheus client.
        labels: which labels map.
        max_age_seconds: how long a name that vanished is still offered, at least.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        backend: NamesBackend,
        labels: MappedLabels,
        max_age_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._labels = labels
        self._keep_seconds = max(max_age_seconds, 2 * CHECK_SECONDS)
        self._clock = clock
        self._by_names: bool | None = None
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    async def series(self, selector: str, *, start: float, end: float | None = None) -> set[Series]:
        """One Series for each metric name, with the mapped labels that occur on it.

        Args:
            selector: a rule's series query.
            start: epoch seconds from which a series counts.
            end: epoch seconds until which it counts; None for now.

        Raises:
            errors.MetricsError: Prometheus gave no usable answer.
        """
        try:
            found = await self._series_by_names(selector, start)
        except CapabilityRefused as refused:
            found = await self._backend.series(selector, start=start, end=end)
            self._backend.refusals.remember(refused)
        if found is None:
            found = await self._backend.series(selector, start=start, end=end)
        return found

    async def _series_by_names(self, selector: str, start: float) -> set[Series] | None:
        """None where whole series are to be asked for."""
        narrowed = await self._plan(selector, start)
        if narrowed is None:
            return None
        found: dict[str, set[str]] = {name: set() for name in await self._names(selector, start)}
        for label, text in narrowed.items():
            for name in await self._names(text, start):
                found.setdefault(name, set()).add(label)
        return {Series(name, frozenset(labels)) for name, labels in found.items()}

    async def _plan(self, selector: str, start: float) -> dict[str, str] | None:
        """Label to the selector of the series that have it; None to ask for whole series."""
        if self._by_names is None:
            probe = await self._label_values(PROBE, start)
            self._by_names = not probe
            if probe:
                log.warning(
                    "this backend ignores match[] when it lists names: series are requested instead"
                )
        if not self._by_names:
            return None
        candidates = self._labels.candidates(selector)
        if candidates is None:
            candidates = await self._backend.refusals.ask(
                "label_names", lambda: self._backend.label_names([selector], start=start)
            )
        mapped = self._labels.mapped(selector, candidates)
        if len(mapped) > MAX_LABELS:
            return None
        try:
            # Also where no label maps: what takes no matcher fits into no query either.
            seriesselector.narrow(selector, (_ANYTHING,))
            return {
                label: seriesselector.narrow(selector, (Matcher(label, "!=", ""),))
                for label in mapped
            }
        except ValueError:
            return None

    async def _label_values(self, selector: str, start: float) -> list[str]:
        """The names of metrics; CapabilityRefused where series are to be asked for."""
        return await self._backend.refusals.ask(
            "label_values", lambda: self._backend.label_values("__name__", [selector], start=start)
        )

    async def _names(self, selector: str, start: float) -> list[str]:
        names = await self._label_values(selector, start)
        now = self._clock()
        seen = self._seen.setdefault(selector, _Seen(checked=now))
        self._seen.move_to_end(selector)
        if len(self._seen) > MAX_SELECTORS:
            self._seen.popitem(last=False)
        seen.alive = {name: seen.alive.get(name, now) for name in names}
        if now - seen.checked >= CHECK_SECONDS:
            seen.checked = now
            await self._check(selector, seen)
        oldest = now - self._keep_seconds
        gone = [name for name, last in seen.alive.items() if last < oldest]
        if gone:
            # One of them may have come back; they have few series, so asking is cheap.
            await self._check(_only(selector, gone[:MAX_GONE]), seen)
        return [name for name, last in seen.alive.items() if last >= oldest]

    async def _check(self, selector: str, seen: _Seen) -> None:
        """Marks the names that have a sample now; a check that fails changes nothing."""
        try:
            result = await self._backend.query(
                f"count by (__name__) ({selector})", timeout=CHECK_TIMEOUT_SECONDS
            )
        except errors.MetricsError as error:
            log.info("exact check of names failed", extra={"error": error.detail or error.message})
            return
        now = self._clock()
        for sample in result.samples:
            name = sample.labels.get("__name__", "")
            if name in seen.alive:
                seen.alive[name] = now


def _only(selector: str, gone: Sequence[str]) -> str:
    """The selector for these names of its series."""
    try:
        matcher = promql.names_matcher("__name__", gone)
        # Asked once and long: not worth remembering.
        return seriesselector.narrow.__wrapped__(selector, (matcher,))
    except ValueError:
        return selector  # it names its only metric already, which may not be done twice
