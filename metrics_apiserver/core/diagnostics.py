"""The catalogue of diagnostics: every kind of thing that can be said of rules, with its code.

`MA1xx` is about a rule file alone, and found by `core/rules`; `MA2xx` is about rules applied to the
resources of a cluster and the series of Prometheus, and found by `core/registry`. A code keeps its
meaning for ever and is never used again for another one. An error says by `spoils` how much of the
file it makes useless: what the predecessor refuses to start with is the whole file. Names are words
for machines too: those of `MA2xx` are the values of the label `kind` of
`metrics_apiserver_rule_problems`. Nothing in core makes a Diagnostic other than by a Kind of this
file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from metrics_apiserver.base.diagnostics import Kind

UNREADABLE: Final = Kind(
    "MA100",
    "unreadable",
    "error",
    "The rule file cannot be read",
    "Check that the file exists and that the server's user may read it.",
)
NOT_YAML: Final = Kind(
    "MA101",
    "not-yaml",
    "error",
    "The file is not YAML, or uses a part of YAML that rule files may not use",
    "Correct the syntax at this line; write tags out.",
)
REPEATED_KEY: Final = Kind(
    "MA102",
    "repeated-key",
    "error",
    "A key occurs twice in one mapping",
    "Remove one of the two.",
)
UNKNOWN_KEY: Final = Kind(
    "MA103",
    "unknown-key",
    "error",
    "A key is not one of the rule file's",
    "Correct its spelling, or remove it.",
)
WRONG_TYPE: Final = Kind(
    "MA104",
    "wrong-type",
    "error",
    "A value has another type than its field",
    "Write the value as the type that the message names.",
)
UNKNOWN_VALUE: Final = Kind(
    "MA105",
    "unknown-value",
    "error",
    "A value is not one of those that its field takes",
    "Use one of the values that the message lists.",
    spoils="rule",
)
MISSING_FIELD: Final = Kind(
    "MA106",
    "missing-field",
    "error",
    "A required field is missing",
    "Add the field.",
    spoils="rule",
)
TOO_MANY_RULES: Final = Kind(
    "MA107",
    "too-many-rules",
    "error",
    "The file has more rules than are allowed",
    "Merge rules that differ only in the name of the series.",
)
MISPLACED_FIELD: Final = Kind(
    "MA108",
    "misplaced-field",
    "error",
    "A field is set on a kind of rule that does not use it",
    "Remove the field.",
    spoils="rule",
)
MORE_ERRORS: Final = Kind(
    "MA109",
    "more-errors",
    "error",
    "The file has more errors than are listed",
    "Correct those that are listed, then validate again.",
)
INVALID_SELECTOR: Final = Kind(
    "MA110",
    "invalid-series-query",
    "error",
    "A seriesQuery is not a series selector",
    "Write a PromQL instant vector selector without offset or @.",
    spoils="rule",
)
INVALID_QUERY: Final = Kind(
    "MA111",
    "invalid-query",
    "error",
    "A query template works for no request, or never gives valid PromQL",
    "Correct the template; the message shows the query that it gives.",
    spoils="rule",
)
INVALID_REGEX: Final = Kind(
    "MA112",
    "invalid-regex",
    "error",
    "A regular expression is not one of RE2",
    "Use the syntax of https://github.com/google/re2/wiki/Syntax.",
)
INVALID_NAME: Final = Kind(
    "MA113",
    "invalid-name",
    "error",
    "It is not clear which part of the series name is the metric name",
    "Set name.as to the capture groups that make the metric name.",
)
INVALID_FILTER: Final = Kind(
    "MA114",
    "invalid-filter",
    "error",
    "A filter has neither or both of `is` and `isNot`",
    "Set exactly one of them.",
)
INVALID_LABEL_TEMPLATE: Final = Kind(
    "MA115",
    "invalid-label-template",
    "error",
    "resources.template cannot be used to map labels to resources",
    "Use `<<.Resource>>` once, and `<<.Group>>` at most once.",
)
INVALID_OVERRIDE: Final = Kind(
    "MA116",
    "invalid-override",
    "error",
    "An override does not map a label to a resource",
    "Write `label: {resource: plural}`, with `group` for resources outside the core group.",
)
INVALID_DURATION: Final = Kind(
    "MA117",
    "invalid-duration",
    "error",
    "A value is not a duration",
    "Write a Prometheus duration such as 5m.",
)
INVALID_TEMPLATE: Final = Kind(
    "MA118",
    "invalid-template",
    "error",
    "A query template has a syntax error",
    "Correct the template; its language is Go's text/template between << and >>.",
)
IMPOSSIBLE_OVERRIDE: Final = Kind(
    "MA119",
    "impossible-override",
    "error",
    "An override names a resource that no cluster can have",
    "Write the group without its version, and no group for the core group.",
    spoils="label",
)
NO_RULES: Final = Kind(
    "MA150",
    "no-rules",
    "warning",
    "The file has no rules",
    "Add rules, or leave the file as it is if no metric is wanted yet.",
)
NO_RESOURCES: Final = Kind(
    "MA151",
    "no-resources",
    "warning",
    "A rule maps no label to a resource",
    "Map the label that names the object in resources.overrides.",
)
NO_NAMESPACE_LABEL: Final = Kind(
    "MA152",
    "no-namespace-label",
    "warning",
    "An external rule is namespaced and maps no label to the namespace",
    "Map the namespace label in resources.overrides, or set resources.namespaced: false.",
)
SAME_FOR_ALL: Final = Kind(
    "MA153",
    "same-for-all",
    "warning",
    "A query does not depend on the request",
    "Use `<<.LabelMatchers>>` in the selectors of the query.",
)
OTHER_DIALECT: Final = Kind(
    "MA154",
    "other-dialect",
    "warning",
    "A query is not PromQL as known here, but may be valid for the backend",
    "Correct the query, unless the backend's own language allows it, such as MetricsQL.",
)
FAILS_SOMETIMES: Final = Kind(
    "MA155",
    "fails-sometimes",
    "warning",
    "A query template gives invalid PromQL for some requests",
    "Correct the template, unless those requests are never made.",
)
MORE_WARNINGS: Final = Kind(
    "MA156",
    "more-warnings",
    "warning",
    "The file has more warnings than are listed",
    "Handle those that are listed, then validate again.",
)
WAITING: Final = Kind(
    "MA201",
    "waiting",
    "warning",
    "An override names a resource that the cluster lacks",
    "Install the resource's definition, or correct the override.",
)
REPEATED: Final = Kind(
    "MA202",
    "repeated",
    "warning",
    "Two labels of one rule mean the same resource",
    "Remove the override that is not meant.",
)
UNASSOCIATED: Final = Kind(
    "MA203",
    "unassociated",
    "warning",
    "Series have no label that maps to a resource",
    "Map a label of the series in resources.overrides, or exclude them in seriesQuery.",
)
UNNAMEABLE: Final = Kind(
    "MA204",
    "unnameable",
    "warning",
    "A metric name cannot be part of a request path",
    "Change name.as.",
)
COLLISION: Final = Kind(
    "MA205",
    "collision",
    "warning",
    "Several series of one rule give the same metric",
    "Keep more of the series name in name.as.",
)
SHADOWED: Final = Kind(
    "MA206",
    "shadowed",
    "warning",
    "A later rule gives the same metric",
    "Give one of the metrics another name (name.as), or narrow a seriesQuery.",
)
UNMAPPED: Final = Kind(
    "MA207",
    "unmapped",
    "warning",
    "A resource that the queries of a rule need is mapped to no label",
    "Map the resource in resources.overrides.",
)
AMBIGUOUS: Final = Kind(
    "MA208",
    "ambiguous",
    "warning",
    "Names of external metrics differ only in case",
    "Give them names that differ in more than case (name.as).",
)
UNREACHABLE: Final = Kind(
    "MA220",
    "unreachable",
    "warning",
    "Prometheus has not answered since the start",
    "Check --prometheus-url, the network between, and the credentials.",
)

QUARANTINED: Final = Kind(
    "MA209",
    "quarantined",
    "warning",
    "A rule has a fault and is set aside, so that the others can be used",
    "Correct the rule; metrics-apiserver check names the fault.",
)
NEVER_RESOLVES: Final = Kind(
    "MA210",
    "never-resolves",
    "warning",
    "An override names a resource that no cluster can have",
    "Write the group without its version, and no group for the core group.",
)

# By code, in the order of this file.
CATALOGUE: Final[Mapping[str, Kind]] = {
    kind.code: kind for kind in list(globals().values()) if isinstance(kind, Kind)
}
