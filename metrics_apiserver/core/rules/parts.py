"""The parts that rules of every kind are made of: names, resources and queries, read and compiled.

Each reader takes an opened Section, adds every error and warning to its Report with path and line,
and gives None where the part cannot be used. A query is tried on sample requests, so that a
template that gives an invalid query is found before it is used. Follows the predecessor's
`pkg/naming/metric_namer.go`, `resource_converter.go` and `metrics_query.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core import converter, diagnostics, gotemplate, naming
from metrics_apiserver.core.converter import Override, ResourceMapping
from metrics_apiserver.core.model import GroupResource
from metrics_apiserver.core.naming import MetricNamer, NameFilter, Pattern
from metrics_apiserver.core.rules import fields, querycheck
from metrics_apiserver.core.rules.fields import Report, Section
from metrics_apiserver.core.rules.model import QuarantinedRule
from metrics_apiserver.core.rules.yamlload import Entry, Scalar

Sample = Mapping[str, object]

QUERY_FIELDS: Final[Mapping[str, type]] = {
    "Series": str,
    "LabelMatchers": str,
    "LabelValuesByName": dict,
    "GroupBy": str,
    "GroupBySlice": list,
}
_FILTER: Final = ("is", "isNot")
_NAME: Final = ("matches", "as")
_RESOURCES: Final = ("template", "overrides", "namespaced")
_OVERRIDE: Final = ("group", "resource")


def read_selector(given: Section, key: str) -> str:
    """A series selector, as written."""
    written = given.text(key)
    _report(given, key, querycheck.check_selector(written.value), written)
    return written.value


def _report(given: Section, key: str, found: Diagnostic | None, written: Scalar) -> None:
    """Adds what querycheck found, with its place in the file."""
    if found is not None:
        given.report.add(replace(found, path=given.at(key), line=written.line))


def read_namer(given: Section) -> MetricNamer | None:
    """`seriesFilters` and `name`; None after an error."""
    filters = [
        _filter(fields.section(node, path, _FILTER, given.report))
        for path, node in given.items("seriesFilters")
    ]
    name = given.section("name", _NAME)
    before = given.report.error_count
    matches = _pattern(name, "matches") if name.text("matches").value else None
    template = name.text("as").value
    if not template and given.report.error_count == before:
        try:
            template = naming.default_template(matches)
        except ValueError as error:
            name.add(diagnostics.INVALID_NAME, "as", str(error), name.line)
    if given.report.error_count > before or None in filters:
        return None
    return MetricNamer(tuple(kept for kept in filters if kept), matches, template)


def set_aside(given: Section, fault: Diagnostic) -> QuarantinedRule:
    """What is known of a rule that cannot be used."""
    namer, mapping = read_namer(given), read_mapping(open_resources(given))
    query = given.text("seriesQuery").value
    metric = naming.known_metric(namer, query) if namer else ""
    return QuarantinedRule(given.path, given.line, fault, metric, mapping)


def _filter(given: Section) -> NameFilter | None:
    present = [key for key in _FILTER if given.text(key).value]
    if len(present) != 1:
        message = "must have either `is` or `isNot`, and not both"
        given.report.add(diagnostics.INVALID_FILTER.at(message, given.path, given.line))
        return None
    pattern = _pattern(given, present[0])
    return NameFilter(pattern, positive=present[0] == "is") if pattern else None


def _pattern(given: Section, key: str) -> Pattern | None:
    written = given.text(key)
    try:
        return naming.compile_regex(written.value)
    except ValueError as error:
        message = f"is not a valid Go regular expression: {error}"
        given.add(diagnostics.INVALID_REGEX, key, message, written.line)
        return None


def open_resources(rule: Section) -> Section:
    """The `resources` of a rule of any kind."""
    return rule.section("resources", _RESOURCES)


def read_mapping(given: Section) -> ResourceMapping | None:
    """The template and overrides of `resources`; None after an error."""
    path = given.at("overrides")
    overrides = [
        _override(entry, f"{path}.{entry.key}", given.report)
        for entry in fields.entries(given.node("overrides"), path, given.report)
    ]
    template = given.text("template")
    try:
        mapping = converter.compile_mapping(template.value, filter(None, overrides))
    except TemplateError as error:
        line = template.line_at(error.offset)
        given.add(diagnostics.INVALID_LABEL_TEMPLATE, "template", error.message, line)
        return None
    return None if None in overrides else mapping


def _override(entry: Entry, path: str, report: Report) -> Override | None:
    given = fields.section(entry.value, path, _OVERRIDE, report)
    group, resource = given.text("group").value, given.text("resource").value
    if not entry.key or not resource:
        message = "needs a label and a resource, such as `pod: {resource: pods}`"
        report.add(diagnostics.INVALID_OVERRIDE.at(message, path, entry.line))
        return None
    named = GroupResource(group, resource)
    if why := converter.why_impossible(named):
        report.add(diagnostics.IMPOSSIBLE_OVERRIDE.at(why, path, entry.line))
    return Override(entry.key, named, entry.line)


def read_query(given: Section, key: str, samples: Sequence[Sample]) -> gotemplate.Template | None:
    """A query template, compiled and tried on sample requests; None after an error."""
    written = given.text(key)
    if not written.value.strip():
        message = "is required: without it every query would be empty"
        given.add(diagnostics.MISSING_FIELD, key, message, written.line)
        return None
    try:
        template = gotemplate.compile(written.value, QUERY_FIELDS)
    except TemplateError as error:
        line = written.line_at(error.offset)
        kind = diagnostics.INVALID_TEMPLATE if error.syntax else diagnostics.INVALID_QUERY
        given.add(kind, key, error.message, line)
        return None
    _report(given, key, querycheck.check_query(template, samples, given.report.dialect), written)
    return template


def object_samples(
    mapping: ResourceMapping | None, extra_group_by: Sequence[str] = ()
) -> list[Sample]:
    """What reads of one object, and of several, put into a template."""
    group_by = ["pod", *extra_group_by]
    return [
        _sample(mapping, 'pod="a"', {"pod": "a", "namespace": "a"}, group_by),
        _sample(mapping, 'pod=~"a|b"', {"pod": "a|b", "namespace": "a"}, group_by),
    ]


def external_samples(mapping: ResourceMapping | None, *, namespaced: bool) -> list[Sample]:
    """What reads of an external metric put into a template: with a selector, and without."""
    own = 'namespace="a"' if namespaced else ""
    return [
        _sample(mapping, ",".join(filter(None, ('queue="a"', own))), {"queue": "a"}, []),
        _sample(mapping, own, {"namespace": "a"} if namespaced else {}, []),
    ]


def _sample(
    mapping: ResourceMapping | None,
    matchers: str,
    values: Mapping[str, str],
    group_by: Sequence[str],
) -> Sample:
    """Any label that the rule maps may be among the values of a request."""
    labels = [override.label for override in mapping.overrides] if mapping else []
    return {
        "Series": "series_name",
        "LabelMatchers": matchers,
        "LabelValuesByName": {**dict.fromkeys(labels, "a"), **values},
        "GroupBy": ",".join(group_by),
        "GroupBySlice": list(group_by),
    }
