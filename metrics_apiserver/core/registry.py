"""The Snapshot: which metrics there are, by which rule and series, for one cluster and one moment.

`build` applies the rules in file order to the series that discovery found. It refuses nothing: what
is skipped, shadowed or waiting is data in the Snapshot. A later rule takes a metric from an earlier
one, as in the predecessor, and that is told; where the predecessor picks at random, the choice here
is fixed. Follows its `pkg/custom-provider/series_registry.go` and
`pkg/external-provider/external_series_registry.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from metrics_apiserver.core import association
from metrics_apiserver.core.association import Count, Groups, Key, RuleMatch
from metrics_apiserver.core.converter import ResourceConverter, ResourceMapping
from metrics_apiserver.core.model import NAMESPACES, NODES, PODS, GroupResource, Series
from metrics_apiserver.core.problems import Problem, ProblemKind, RuleStatus
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules.config import ResourceRule, ResourceRules, Rule, RuleFile


@dataclass(frozen=True, slots=True)
class MetricSource:
    """Where a metric comes from.

    Attributes:
        namespaced: custom: whether the resource is; external: whether the rule adds the namespace.
    """

    series_name: str
    rule: Rule
    converter: ResourceConverter
    namespaced: bool


@dataclass(frozen=True, slots=True)
class CompiledResourceRule:
    """The cpu or the memory rule, bound to the cluster."""

    rule: ResourceRule
    converter: ResourceConverter


@dataclass(frozen=True, slots=True)
class CompiledResourceRules:
    """Both halves of metrics.k8s.io; the window is what its answers say."""

    cpu: CompiledResourceRule
    memory: CompiledResourceRule
    window_seconds: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a request needs to know, replaced whole.

    Attributes:
        generation: as given to `build`.
        custom: by (resource, metric name).
        external: by metric name.
        external_folded: lower-cased name to name, where only one name is meant.
        problems: in the order they were found.
        statuses: custom rules, then external ones, in file order.
    """

    generation: int
    mapper: RESTMapper
    custom: Mapping[tuple[GroupResource, str], MetricSource]
    external: Mapping[str, MetricSource]
    external_folded: Mapping[str, str]
    resource_rules: CompiledResourceRules | None
    problems: tuple[Problem, ...]
    statuses: tuple[RuleStatus, ...]


SeriesByQuery = Mapping[str, Collection[Series]]


def build(rules: RuleFile, mapper: RESTMapper, series: SeriesByQuery, generation: int) -> Snapshot:
    """Applies every rule to its series.

    Args:
        rules: the parsed file.
        mapper: the cluster's resources.
        series: by the text of the series query; a rule whose query is absent gives no metrics.
        generation: number of the snapshot to be.
    """
    builder = _Builder(mapper, series)
    for rule in rules.rules:
        builder.add_custom(rule)
    for rule in rules.external_rules:
        builder.add_external(rule)
    sources = builder.sources
    external = {metric: source for (group, metric), source in sources.items() if group is None}
    return Snapshot(
        generation=generation,
        mapper=mapper,
        custom={
            (resource, metric): source
            for (resource, metric), source in sources.items()
            if resource is not None
        },
        external=external,
        external_folded=builder.fold(external),
        resource_rules=builder.bind(rules.resource_rules),
        problems=tuple(builder.problems),
        statuses=builder.statuses(),
    )


class _Builder:
    """The state of one `build`."""

    def __init__(self, mapper: RESTMapper, series: SeriesByQuery) -> None:
        self.mapper = mapper
        self.series = series
        self.sources: dict[Key, MetricSource] = {}
        self.problems: list[Problem] = []
        self._converters: dict[ResourceMapping, ResourceConverter] = {}
        self._groups: dict[str, Groups] = {}  # by series query, which rules share
        self._matches: list[tuple[Rule, RuleMatch]] = []

    def add_custom(self, rule: Rule) -> None:
        converter = self._converter(rule, rule.mapping)
        found = self._match(rule, converter)
        scopes = {resource: self._is_namespaced(resource) for resource, _ in found.sources}
        if True in scopes.values():
            self._require(rule, converter, (NAMESPACES,))
        self._merge(
            {
                key: MetricSource(series_name, rule, converter, scopes[key[0]])
                for key, series_name in found.sources.items()
            }
        )

    def add_external(self, rule: Rule) -> None:
        converter = self._converter(rule, rule.mapping)
        found = self._match(rule, None)
        if rule.namespaced and found.sources:
            self._require(rule, converter, (NAMESPACES,))
        self._merge(
            {
                key: MetricSource(series_name, rule, converter, rule.namespaced)
                for key, series_name in found.sources.items()
            }
        )

    def bind(self, rules: ResourceRules | None) -> CompiledResourceRules | None:
        """The resource rules over this cluster."""
        if rules is None:
            return None
        cpu, memory = (
            CompiledResourceRule(rule, self._converter(rule, rule.mapping))
            for rule in (rules.cpu, rules.memory)
        )
        for bound in (cpu, memory):
            self._require(bound.rule, bound.converter, (NAMESPACES, NODES, PODS))
        return CompiledResourceRules(cpu, memory, rules.window_seconds)

    def fold(self, external: Mapping[str, MetricSource]) -> dict[str, str]:
        """Lower-cased names, without those that several names share and none has exactly."""
        by_lower: dict[str, list[str]] = {}
        for name in sorted(external):
            by_lower.setdefault(name.lower(), []).append(name)
        folded: dict[str, str] = {}
        for lower, names in by_lower.items():
            if len(names) > 1:
                self._report(
                    "ambiguous",
                    external[names[0]].rule,
                    f"external metrics {', '.join(names[:3])} differ in case alone, and the "
                    "HorizontalPodAutoscaler asks in lower case: give them other names (name.as)",
                )
            if len(names) == 1 or lower in names:
                folded[lower] = names[0] if len(names) == 1 else lower
        return folded

    def statuses(self) -> tuple[RuleStatus, ...]:
        served: dict[str, int] = {}
        for source in self.sources.values():
            served[source.rule.path] = served.get(source.rule.path, 0) + 1
        return tuple(
            RuleStatus(
                rule_path=rule.path,
                discovered=rule.series_query in self.series,
                matched=len(self.series.get(rule.series_query, ())),
                accepted=found.accepted,
                unassociated=found.unassociated.number,
                metrics=served.get(rule.path, 0),
            )
            for rule, found in self._matches
        )

    def _report(self, kind: ProblemKind, rule: Rule | ResourceRule, message: str) -> None:
        self.problems.append(Problem(kind, rule.path, message, rule.line))

    def _is_namespaced(self, resource: GroupResource | None) -> bool:
        mapped = self.mapper.exact(resource) if resource else None
        return mapped is not None and mapped.namespaced

    def _converter(self, rule: Rule | ResourceRule, mapping: ResourceMapping) -> ResourceConverter:
        """Rules with equal mappings share one; each is told what is odd about it."""
        converter = self._converters.get(mapping)
        if converter is None:
            converter = self._converters[mapping] = ResourceConverter(mapping, self.mapper)
        for label, resource in converter.waiting:
            self._report(
                "waiting",
                rule,
                f"resources.overrides.{label}: the cluster has no resource {resource}, "
                "so the label is not used until it has",
            )
        for label, resource in converter.repeated:
            self._report(
                "repeated",
                rule,
                f"resources.overrides.{label}: {resource} has a label already "
                f"({converter.label_for(resource)}), and that one is asked for",
            )
        return converter

    def _match(self, rule: Rule, converter: ResourceConverter | None) -> RuleMatch:
        query = rule.series_query
        if query not in self._groups:
            self._groups[query] = association.group_by_name(self.series.get(query, ()))
        found = association.match_series(rule.namer, self._groups[query], converter)
        self._matches.append((rule, found))
        self._report_match(rule, found)
        return found

    def _report_match(self, rule: Rule, found: RuleMatch) -> None:
        if found.unassociated.number:
            self._report(
                "unassociated",
                rule,
                f"{found.unassociated.number} of {found.accepted} series, such as "
                f"{found.unassociated.example}, have no label that maps to a resource of this "
                "cluster: map one in resources.overrides",
            )
        if found.unnameable.number:
            self._report(
                "unnameable",
                rule,
                f"{found.unnameable.number} series, such as {found.unnameable.example}, would "
                "give a metric name that is empty or holds / or %: change name.as",
            )
        if found.collided:
            key = min(found.collided, key=_readable)
            self._report(
                "collision",
                rule,
                f"{len(found.collided)} of its metrics, such as {_readable(key)}, come from more "
                f"than one series; {found.sources[key]} is used: keep more of the name in name.as",
            )

    def _require(
        self,
        rule: Rule | ResourceRule,
        converter: ResourceConverter,
        resources: tuple[GroupResource, ...],
    ) -> None:
        for resource in resources:
            try:
                converter.label_for(resource)
            except LookupError as error:
                self._report(
                    "unmapped",
                    rule,
                    f"every query needs the label of {resource}, and there is none: {error}",
                )

    def _merge(self, found: Mapping[Key, MetricSource]) -> None:
        """Adds one rule's metrics; tells each rule that loses some to it."""
        lost: dict[str, tuple[Rule, Rule, Count]] = {}
        for key, source in found.items():
            earlier = self.sources.get(key)
            self.sources[key] = source
            if earlier is not None and earlier.rule.fingerprint != source.rule.fingerprint:
                entry = (earlier.rule, source.rule, Count())
                lost.setdefault(earlier.rule.path, entry)[2].add(_readable(key), 1)
        for loser, winner, count in sorted(lost.values(), key=lambda entry: entry[0].line):
            self._report(
                "shadowed",
                loser,
                f"{count.number} of the metrics of {loser.path}, such as {count.example}, come "
                f"from {winner.path} too, which is later and is used: rename them (name.as) or "
                "narrow a seriesQuery",
            )


def _readable(key: Key) -> str:
    resource, metric = key
    return f"{resource}/{metric}" if resource else metric
