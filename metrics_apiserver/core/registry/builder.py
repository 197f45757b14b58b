"""Builds the Snapshot: applies the rules in file order to the series that discovery found.

Nothing is refused: what is skipped, shadowed or waiting is a Diagnostic in the Snapshot, one for
all cases of a kind in a rule, with a count and an example, so that ten thousand series without a
label are one line. A later rule takes a metric from an earlier one, as in the predecessor, with a
Diagnostic; where the predecessor picks at random, the choice here is fixed. Follows its
`pkg/custom-provider/series_registry.go` and `pkg/external-provider/external_series_registry.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from metrics_apiserver.base.diagnostics import Diagnostic, Kind
from metrics_apiserver.core import diagnostics
from metrics_apiserver.core.converter import ResourceConverter, ResourceMapping, why_impossible
from metrics_apiserver.core.model import NAMESPACES, NODES, PODS, GroupResource, Series
from metrics_apiserver.core.naming import known_metric
from metrics_apiserver.core.registry import matching, quarantine
from metrics_apiserver.core.registry.matching import Count, Key, RuleMatch, SeriesByName
from metrics_apiserver.core.registry.quarantine import SetAside
from metrics_apiserver.core.registry.snapshot import (
    CompiledResourceRule,
    CompiledResourceRules,
    MetricSource,
    RuleStatus,
    Snapshot,
)
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules.model import (
    QuarantinedRule,
    ResourceRule,
    ResourceRules,
    Rule,
    RuleFile,
)

SeriesByQuery = Mapping[str, Collection[Series]]


def build(
    rules: RuleFile,
    mapper: RESTMapper,
    series: SeriesByQuery,
    generation: int,
    unreachable: str = "",
) -> Snapshot:
    """Applies every rule to its series.

    Args:
        rules: the parsed file.
        mapper: the cluster's resources.
        series: by the text of the series query; a rule whose query is absent gives no metrics.
        generation: number of the snapshot to be.
        unreachable: since when and why Prometheus has not answered, if it never has.
    """
    builder = _Builder(mapper, series)
    for rule in rules.rules:
        builder.add_custom(rule)
    for rule in rules.external_rules:
        builder.add_external(rule)
    for quarantined in rules.quarantined:
        builder.set_aside(quarantined)
    if unreachable:
        builder.diagnostics.append(diagnostics.UNREACHABLE.at(unreachable))
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
        diagnostics=tuple(builder.diagnostics),
        statuses=builder.statuses(),
        set_aside=tuple(builder.unusable),
        resource_fault=builder.resource_fault,
        unreachable=unreachable,
    )


class _Builder:
    """The state of one `build`."""

    def __init__(self, mapper: RESTMapper, series: SeriesByQuery) -> None:
        self.mapper = mapper
        self.series = series
        self.sources: dict[Key, MetricSource] = {}
        self.diagnostics: list[Diagnostic] = []
        self.unusable: list[SetAside] = []
        self.resource_fault = ""
        self._converters: dict[ResourceMapping, ResourceConverter] = {}
        self._groups: dict[str, SeriesByName] = {}  # by series query, which rules share
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

    def set_aside(self, rule: QuarantinedRule) -> None:
        text = quarantine.describe(rule)
        self.diagnostics.append(diagnostics.QUARANTINED.at(text, rule.path, rule.line))
        if rule.mapping is None:
            self.resource_fault = text
            return
        # What is odd about its labels beside is of no use to anybody.
        converter = ResourceConverter(rule.mapping, self.mapper)
        self.unusable.append(SetAside(rule.path, text, rule.metric, converter))

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
                    diagnostics.AMBIGUOUS,
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

    def _report(self, kind: Kind, rule: Rule | ResourceRule, message: str) -> None:
        self.diagnostics.append(kind.at(message, rule.path, rule.line))

    def _is_namespaced(self, resource: GroupResource | None) -> bool:
        mapped = self.mapper.exact(resource) if resource else None
        return mapped is not None and mapped.namespaced

    def _converter(self, rule: Rule | ResourceRule, mapping: ResourceMapping) -> ResourceConverter:
        """Rules with equal mappings share one; what is odd about it is reported for each."""
        converter = self._converters.get(mapping)
        if converter is None:
            converter = self._converters[mapping] = ResourceConverter(mapping, self.mapper)
        for label, resource in converter.waiting:
            self._report_unresolved(rule, label, resource, converter)
        for label, resource in converter.repeated:
            self._report(
                diagnostics.REPEATED,
                rule,
                f"resources.overrides.{label}: {resource} has a label already "
                f"({converter.label_for(resource)}), and that one is asked for",
            )
        return converter

    def _report_unresolved(
        self,
        rule: Rule | ResourceRule,
        label: str,
        resource: GroupResource,
        converter: ResourceConverter,
    ) -> None:
        place = f"resources.overrides.{label}"
        if why := why_impossible(resource):
            message = f"{place}: {why}; the label is not used"
            self._report(diagnostics.NEVER_RESOLVES, rule, message)
            if isinstance(rule, Rule):
                metric = known_metric(rule.namer, rule.series_query)
                text = f"{rule.path} (line {rule.line}): {message}"
                self.unusable.append(SetAside(rule.path, text, metric, converter, whole=False))
            return
        self._report(
            diagnostics.WAITING,
            rule,
            f"{place}: the cluster has no resource {resource}, "
            "so the label is not used until it has",
        )

    def _match(self, rule: Rule, converter: ResourceConverter | None) -> RuleMatch:
        query = rule.series_query
        if query not in self._groups:
            self._groups[query] = matching.group_by_name(self.series.get(query, ()))
        found = matching.match_series(rule.namer, self._groups[query], converter)
        self._matches.append((rule, found))
        self._report_match(rule, found)
        return found

    def _report_match(self, rule: Rule, found: RuleMatch) -> None:
        if found.unassociated.number:
            self._report(
                diagnostics.UNASSOCIATED,
                rule,
                f"{found.unassociated.number} of {found.accepted} series, such as "
                f"{found.unassociated.example}, have no label that maps to a resource of this "
                "cluster: map one in resources.overrides",
            )
        if found.unnameable.number:
            self._report(
                diagnostics.UNNAMEABLE,
                rule,
                f"{found.unnameable.number} series, such as {found.unnameable.example}, would "
                "give a metric name that is empty or holds / or %: change name.as",
            )
        if found.collided:
            key = min(found.collided, key=_readable)
            self._report(
                diagnostics.COLLISION,
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
                    diagnostics.UNMAPPED,
                    rule,
                    f"every query needs the label of {resource}, and there is none: {error}",
                )

    def _merge(self, found: Mapping[Key, MetricSource]) -> None:
        """Adds one rule's metrics; reports each rule that loses some to it."""
        lost: dict[str, tuple[Rule, Rule, Count]] = {}
        for key, source in found.items():
            earlier = self.sources.get(key)
            self.sources[key] = source
            if earlier is not None and earlier.rule.fingerprint != source.rule.fingerprint:
                entry = (earlier.rule, source.rule, Count())
                lost.setdefault(earlier.rule.path, entry)[2].add(_readable(key), 1)
        for loser, winner, count in sorted(lost.values(), key=lambda entry: entry[0].line):
            self._report(
                diagnostics.SHADOWED,
                loser,
                f"{count.number} of the metrics of {loser.path}, such as {count.example}, come "
                f"from {winner.path} too, which is later and is used: rename them (name.as) or "
                "narrow a seriesQuery",
            )


def _readable(key: Key) -> str:
    resource, metric = key
    return f"{resource}/{metric}" if resource else metric
