"""Random rules over a family, in the forms of published rule files.

A rule knows which metrics it makes and what may be special about their values, so that a difference
can be shown with its rule, and held against the ones that are documented.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.differential.families import Family

M = "<<.LabelMatchers>>"
S = "<<.Series>>{<<.LabelMatchers>>}"
G = "<<.GroupBy>>"
GROUPS = "<<range $i, $label := .GroupBySlice>><<if $i>>,<<end>><<$label>><<end>>"

# OTHER is the companion of the main series, EXTRA the first label beside those of objects.
GAUGE = (
    f"sum({S}) by ({G})",
    f"sum by ({G}) ({S})",
    f"avg({S}) by ({G})",
    f"max by ({G}) (max_over_time({S}[1m]))",
    f"ceil(avg by ({G}) (avg_over_time({S}[1m])))",
    f"100 * sum({S}) by ({G}) / sum(OTHER{{{M}}}) by ({G})",
    f"sum({S}) by ({G}) / on ({G}) sum(OTHER{{{M}}}) by ({G})",
    f"(sum({S} > 10) by ({G})) or (0 * sum({S}) by ({G}))",
    f"count({S}) by ({GROUPS})",
    f"quantile by ({G}) (0.5, {S})",
    f"clamp_max(sum({S}) by ({G}), 50) / 3",
    f'sum(<<.Series>>{{{M},EXTRA!=""}}) by ({G})',
    f"sum(max({S}) by ({G}, EXTRA)) by ({G})",
    f"sum(last_over_time({S}[2m])) by ({G})",
    f"min({S}) by ({G}) - 1",
    f'sum(label_replace({S}, "site", "$1", "EXTRA", "(.*)")) by ({G})',
    f"topk(1, sum({S}) by ({G}))",
    f"sum({S}) by ({G}) unless sum({S}) by ({G}) > 90",
    f"sum without (EXTRA) ({S})",
    f"<<if .LabelMatchers>>sum({S}) by ({G})<<else>>vector(0)<<end>>",
)
COUNTER = (
    f"sum(rate({S}[1m])) by ({G})",
    f"sum(rate({S}[2m])) by ({G})",
    f"sum by ({GROUPS}) (irate({S}[1m]))",
    f"round(sum(rate({S}[1m])) by ({G}), 0.001)",
    f"1000 * sum(rate({S}[1m])) by ({G})",
    f"sum(increase({S}[1m])) by ({G})",
    f'sum(rate(<<.Series>>{{{M},EXTRA=~".+"}}[1m])) by ({G})',
    f"sum(rate(OTHER{{{M}}}[1m])) by ({G}) / sum(rate({S}[1m])) by ({G})",
    f"avg(rate({S}[1m:20s])) by ({G})",
    f"sum(rate({S}[1m] offset 1m)) by ({G})",
    f"max(sum(rate({S}[1m])) by ({G}, EXTRA)) by ({G})",
)
HISTOGRAM = (
    f"histogram_quantile(0.9, sum(rate({S}[1m])) by (le, {G}))",
    f"histogram_quantile(0.5, sum by ({G}, le) (rate({S}[2m])))",
    f'sum(rate(<<.Series>>{{{M},le="0.5"}}[1m])) by ({G}) / sum(rate(OTHER{{{M}}}[1m])) by ({G})',
)
UNMATCHED = "<<.Series>>"
RAW_GAUGE = (S, f"max_over_time({S}[1m])", f"sum({S}) by ({G}, EXTRA)", UNMATCHED)
RAW_COUNTER = (f"rate({S}[1m])", f"sum(rate({S}[1m])) by ({G}, EXTRA)")
EXTERNAL_GAUGE = (
    S,
    f"sum({S})",
    f"sum({S}) by (EXTRA)",
    f"max({S}) or vector(0)",
    f"avg({S}) by ({G})",
)
EXTERNAL_COUNTER = (f"sum(rate({S}[1m])) by (EXTRA)", f"sum(rate({S}[1m]))", f"rate({S}[1m])")
EXTERNAL_HISTOGRAM = (f"histogram_quantile(0.9, sum(rate({S}[1m])) by (le))",)

_CUSTOM = {"gauge": GAUGE, "counter": COUNTER, "histogram": HISTOGRAM}
_RAW = {"gauge": RAW_GAUGE, "counter": RAW_COUNTER}
_EXTERNAL = {
    "gauge": EXTERNAL_GAUGE,
    "counter": EXTERNAL_COUNTER,
    "histogram": EXTERNAL_HISTOGRAM,
}


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        section: its list in the rule file.
        body: as in the file.
        metrics: the names that it makes.
        family: what it reads; None for resource rules.
        repeats: whether its query may give several series for one object.
        ignores_namespace: whether its query gives the series of all namespaces.
    """

    section: str
    body: dict[str, Any]
    metrics: tuple[str, ...]
    family: Family | None = None
    repeats: bool = False
    ignores_namespace: bool = False


def custom(rng: random.Random, family: Family) -> Rule:
    """A rule of `rules`."""
    raw = family.kind in _RAW and rng.random() < 0.2
    form = rng.choice((_RAW if raw else _CUSTOM)[family.kind])
    body, metrics = _discovered(rng, family)
    body["resources"] = dict(rng.choice(family.style.mappings))
    body["metricsQuery"] = _filled(form, family)
    repeats = raw or "without" in form
    return Rule("rules", body, metrics, family, repeats, form == UNMATCHED)


def external(rng: random.Random, family: Family) -> Rule:
    """A rule of `externalRules`."""
    body, metrics = _discovered(rng, family)
    namespaced = family.style.namespace and rng.random() < 0.5
    label = {family.style.namespace: {"resource": "namespace"}}
    body["resources"] = {"overrides": label} if namespaced else {"namespaced": False}
    body["metricsQuery"] = _filled(rng.choice(_EXTERNAL[family.kind]), family)
    return Rule("externalRules", body, metrics, family)


def _filled(form: str, family: Family) -> str:
    extra = family.extras[0] if family.extras else "instance_id"
    if 'EXTRA!=""' in form and not family.extras:
        form = form.replace('EXTRA!=""', 'EXTRA=""')
    return form.replace("OTHER", family.names[1]).replace("EXTRA", extra)


Namer = Callable[[str], str]


def _discovered(rng: random.Random, family: Family) -> tuple[dict[str, Any], tuple[str, ...]]:
    """seriesQuery, seriesFilters and name of a rule, and the metrics that follow from them."""
    main, companion = family.names
    label = next(iter(family.style.objects.values()), family.style.namespace)
    form = rng.choice(("name", "labelled", "quoted", "pattern", "filtered"))
    if family.kind == "histogram" and form in {"pattern", "filtered"}:
        form = "name"
    series: tuple[str, ...] = (main,)
    body: dict[str, Any] = {}
    if form == "name":
        body["seriesQuery"] = main
    elif form == "labelled":
        body["seriesQuery"] = f'{main}{{{label}!=""}}'
    elif form == "quoted":
        body["seriesQuery"] = f'{{__name__="{main}",{label}!=""}}'
    else:
        body["seriesQuery"] = f'{{__name__=~"^{family.stem}(_.*)?$",{label}!=""}}'
        series = (main, companion)
    if form == "filtered":
        series, filters = rng.choice(
            (((main,), [{"is": f"^{main}$"}]), ((companion,), [{"isNot": f"^{main}$"}]))
        )
        body["seriesFilters"] = filters
    name, namer = _name(rng, family, len(series))
    if name:
        body["name"] = name
    return body, tuple(namer(one) for one in series)


def _name(rng: random.Random, family: Family, count: int) -> tuple[dict[str, str], Namer]:
    """`name` of a rule, and what it makes of a series' name."""
    options: list[tuple[dict[str, str], Namer]] = [
        ({}, lambda name: name),
        ({"matches": "^(.*)$", "as": "${1}_now"}, lambda name: f"{name}_now"),
        ({"matches": ".*", "as": "my_$0"}, lambda name: f"my_{name}"),
        ({"matches": f"^{family.stem[:3]}(.*)$"}, lambda name: name[3:]),
    ]
    if family.kind == "counter":
        suffix = {"matches": "^(.*)_total$", "as": "${1}_per_second"}
        options.append((suffix, lambda name: f"{name.removesuffix('_total')}_per_second"))
    if count == 1:
        fixed = f"{family.stem.lower().replace(':', '_')}_{rng.choice(('rate', 'load', 'p90'))}"
        options.append(({"matches": "", "as": fixed}, lambda _: fixed))
        options.append(({"as": fixed}, lambda _: fixed))
    return rng.choice(options)


RESOURCE = Rule(
    "resourceRules",
    {
        resource: {
            "containerQuery": query.format(by="<<.GroupBy>>", extra=',container!=""'),
            "nodeQuery": query.format(by="<<.GroupBy>>", extra=',id="/"'),
            "resources": {
                "overrides": {
                    "namespace": {"resource": "namespace"},
                    "pod": {"resource": "pod"},
                    "node": {"resource": "node"},
                }
            },
            "containerLabel": "container",
        }
        for resource, query in (
            (
                "cpu",
                "sum by ({by}) (rate(container_cpu_usage_seconds_total"
                "{{<<.LabelMatchers>>{extra}}}[1m]))",
            ),
            (
                "memory",
                "sum by ({by}) (container_memory_working_set_bytes{{<<.LabelMatchers>>{extra}}})",
            ),
        )
    }
    | {"window": "1m"},
    (),
)
