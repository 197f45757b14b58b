"""The rule file: YAML text to compiled rules, or all that is wrong with it at once.

The file is the predecessor's (`pkg/config/config.go`), read as strictly and checked further: what
there starts and then fails each query is an error of that rule where that is certain, and a warning
where it may be meant. Beside its keys a rule may say `onNaN` and, where it gives a custom metric,
`onDuplicate`. Nothing here knows the cluster: `core/registry` maps labels to its resources.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, Literal, cast, get_args

from metrics_apiserver.base import durations
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.diagnostics import Kind as DiagnosticKind
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.core import diagnostics, gotemplate
from metrics_apiserver.core.converter import ResourceMapping
from metrics_apiserver.core.rules import fields, parts, yamlload
from metrics_apiserver.core.rules.fields import Before, Report, Section
from metrics_apiserver.core.rules.model import (
    OnDuplicate,
    OnNaN,
    QuarantinedRule,
    ResourceRule,
    ResourceRules,
    Rule,
    RuleFile,
)
from metrics_apiserver.core.rules.querycheck import Dialect
from metrics_apiserver.core.rules.yamlload import Node

__all__ = ["OnDuplicate", "OnNaN", "ResourceRule", "ResourceRules", "Rule", "RuleFile", "parse"]

Kind = Literal["custom", "external"]

MAX_RULES: Final = 2000
_FILE: Final = ("rules", "externalRules", "resourceRules")
_RULE: Final = (
    "seriesQuery",
    "seriesFilters",
    "resources",
    "name",
    "metricsQuery",
    "onNaN",
    "onDuplicate",
)
_RESOURCE_RULES: Final = ("cpu", "memory", "window")
_RESOURCE_RULE: Final = ("containerQuery", "nodeQuery", "resources", "containerLabel")


def parse(
    text: bytes, source: str, *, quarantine: bool = False, dialect: Dialect = "backend"
) -> RuleFile:
    """Reads a rule file.

    Args:
        text: YAML in UTF-8, at most 1 MiB.
        source: name of the file, for messages.
        quarantine: whether a rule with a fault of its own is set aside, so that the others can be
            used; what the predecessor refuses as a whole is refused all the same.
        dialect: what queries are held to.

    Raises:
        ConfigError: with every error, by line.
    """
    document = yamlload.load(text, source)
    report = Report(dialect=dialect)
    quarantined: list[QuarantinedRule] = []
    for repeated in document.diagnostics:
        report.add(repeated)
    top = fields.section(document.root, "", _FILE, report)
    rules = tuple(_rules(top, "rules", "custom", quarantined))
    external_rules = tuple(_rules(top, "externalRules", "external", quarantined))
    resource_rules = _sound_resource_rules(top, quarantined)
    blank = not any(map(top.has, _FILE))
    if blank:
        report.add(diagnostics.NO_RULES.at("has no rules: no metric will be served"))
    if report.file_errors or (report.errors and not quarantine):
        raise ConfigError(
            source, _by_line(report.errors, report.error_count, diagnostics.MORE_ERRORS)
        )
    more = diagnostics.MORE_WARNINGS
    of_labels = [one for one in report.errors if _spoils_a_label(one)]
    count = report.warning_count + len(of_labels)
    warnings = _by_line([*of_labels, *report.warnings], count, more)
    return RuleFile(
        rules, external_rules, resource_rules, warnings, tuple(quarantined), blank=blank
    )


def _spoils_a_label(error: Diagnostic) -> bool:
    return diagnostics.CATALOGUE[error.code].spoils == "label"


def _by_line(kept: list[Diagnostic], count: int, more: DiagnosticKind) -> tuple[Diagnostic, ...]:
    """Sorted, each once, with the number of those that were not kept."""
    found = sorted(dict.fromkeys(kept), key=lambda one: (one.line, one.path))
    if count > len(kept):
        found.append(more.at(f"and {count - len(kept)} more"))
    return tuple(found)


def _rules(
    top: Section, key: str, kind: Kind, quarantined: list[QuarantinedRule]
) -> Iterator[Rule]:
    items = list(top.items(key))
    if len(items) > MAX_RULES:
        message = f"has {len(items)} rules, and {MAX_RULES} are allowed"
        top.add(diagnostics.TOO_MANY_RULES, key, message, top.line)
        return
    for path, node in items:
        before = Before(top.report)
        given = fields.section(node, path, _RULE, top.report)
        rule = _rule(given, kind, json.dumps(_plain(node)))
        fault = before.fault(path, given.line)
        if fault is not None:
            quarantined.append(parts.set_aside(given, fault))
        elif rule is not None:
            yield rule


def _plain(node: Node) -> object:
    """A node without its lines."""
    if isinstance(node, yamlload.Mapping):
        return [[entry.key, _plain(entry.value)] for entry in node.entries]
    if isinstance(node, yamlload.Sequence):
        return {"items": [_plain(item) for item in node.items]}
    return None if node.null else node.value


def _rule(given: Section, kind: Kind, fingerprint: str) -> Rule | None:
    series_query = parts.read_selector(given, "seriesQuery")
    namer = parts.read_namer(given)
    resources = parts.open_resources(given)
    mapping = parts.read_mapping(resources)
    namespaced = resources.flag("namespaced", default=True)
    if kind == "custom":
        samples = parts.object_samples(mapping)
    else:
        samples = parts.external_samples(mapping, namespaced=namespaced)
    template = parts.read_query(given, "metricsQuery", samples)
    on_nan = given.choice("onNaN", get_args(OnNaN), "zero" if kind == "custom" else "drop")
    on_duplicate = given.choice("onDuplicate", get_args(OnDuplicate), "max")
    if kind == "external" and given.has("onDuplicate"):
        message = "is for custom rules: items of an external metric are never merged"
        line = given.node("onDuplicate").line
        given.add(diagnostics.MISPLACED_FIELD, "onDuplicate", message, line)
    if namer is None or mapping is None or template is None:
        return None
    _warn_of_mapping(given, kind, mapping, namespaced)
    _warn_of_template(given, kind, template, namespaced)
    return Rule(
        path=given.path,
        line=given.line,
        fingerprint=fingerprint,
        series_query=series_query,
        namer=namer,
        mapping=mapping,
        template=template,
        namespaced=namespaced,
        on_nan=cast("OnNaN", on_nan),
        on_duplicate=cast("OnDuplicate", on_duplicate),
    )


def _warn_of_mapping(given: Section, kind: Kind, mapping: ResourceMapping, named: bool) -> None:
    if kind == "custom" and mapping.empty:
        message = "maps no label to a resource, so no metric comes of the rule: add overrides"
        given.add(diagnostics.NO_RESOURCES, "resources", message, given.line)
    if kind == "external" and named and not _maps_namespaces(mapping):
        message = (
            "maps no label to the namespace, which each query needs: add an override, "
            "or say resources.namespaced: false"
        )
        given.add(diagnostics.NO_NAMESPACE_LABEL, "resources", message, given.line)


def _warn_of_template(
    given: Section, kind: Kind, template: gotemplate.Template, named: bool
) -> None:
    """An external rule that says `namespaced: false` may well be one whole query."""
    if template.fields_used & {"LabelMatchers", "LabelValuesByName"}:
        return
    if kind == "custom" or named:
        message = (
            "uses neither .LabelMatchers nor .LabelValuesByName: "
            "every request gets the same answer, whatever it asks for"
        )
        if kind == "custom":
            message += (
                "; series that name another namespace are left out of it, and series that name "
                "none are the object's in every namespace"
            )
        given.add(
            diagnostics.SAME_FOR_ALL, "metricsQuery", message, given.text("metricsQuery").line
        )


def _maps_namespaces(mapping: ResourceMapping) -> bool:
    meant = {
        override.group_resource.resource.lower()
        for override in mapping.overrides
        if not override.group_resource.group
    }
    return bool(mapping.template_text) or not meant.isdisjoint(("namespace", "namespaces"))


def _sound_resource_rules(top: Section, quarantined: list[QuarantinedRule]) -> ResourceRules | None:
    """Both halves or none: metrics.k8s.io answers cpu and memory together."""
    before = Before(top.report)
    found = _resource_rules(top)
    path, line = top.at("resourceRules"), top.node("resourceRules").line
    fault = before.fault(path, line)
    if fault is None:
        return found
    quarantined.append(QuarantinedRule(path, fault.line or line, fault))
    return None


def _resource_rules(top: Section) -> ResourceRules | None:
    if not top.has("resourceRules"):
        return None
    given = top.section("resourceRules", _RESOURCE_RULES)
    cpu, memory = (_resource_rule(given, key) for key in ("cpu", "memory"))
    window = given.text("window")
    try:
        seconds = durations.parse_prometheus(window.value) if given.has("window") else 0.0
    except ValueError as error:
        given.add(diagnostics.INVALID_DURATION, "window", str(error), window.line)
        return None
    return ResourceRules(cpu, memory, seconds) if cpu and memory else None


def _resource_rule(rules: Section, key: str) -> ResourceRule | None:
    if not rules.has(key):
        message = "is required: metrics.k8s.io answers cpu and memory together"
        rules.add(diagnostics.MISSING_FIELD, key, message, rules.line)
        return None
    given = rules.section(key, _RESOURCE_RULE)
    mapping = parts.read_mapping(parts.open_resources(given))
    container_label = given.text("containerLabel").value
    if not container_label:
        message = "is required: the label that names the container"
        given.add(diagnostics.MISSING_FIELD, "containerLabel", message, given.line)
    of_containers = parts.object_samples(mapping, [container_label or "container"])
    container = parts.read_query(given, "containerQuery", of_containers)
    node = parts.read_query(given, "nodeQuery", parts.object_samples(mapping))
    if mapping is None or container is None or node is None:
        return None
    if mapping.empty:
        message = "maps no label to a resource, so every query fails: add overrides"
        given.add(diagnostics.NO_RESOURCES, "resources", message, given.line)
    return ResourceRule(given.path, given.line, container, node, mapping, container_label)
