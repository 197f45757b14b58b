"""The requests of a round: reads of every metric that is listed, with selectors of all kinds."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from tests.differential import families, generate
from tests.differential.families import NAMESPACES, NODES
from tests.differential.generate import Object, Round
from tests.differential.rules import RESOURCE, Rule

REQUESTS_OF_ONE_METRIC = 3
CUSTOM = "/apis/custom.metrics.k8s.io"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
RESOURCES = "/apis/metrics.k8s.io/v1beta1"


@dataclass(frozen=True)
class Request:
    """One GET.

    Attributes:
        path: with its query, as sent.
        rule: what gives the metric; None for lists of metrics.
        traits: what is special about the request, by the names that `compare` knows.
    """

    path: str
    rule: Rule | None = None
    traits: frozenset[str] = frozenset()


# Selector text, and what is special about it.
_OBJECT_SELECTORS = (
    ("", ""),
    ("", ""),
    ("tier=front", ""),
    ("app in (api,chat),tier", ""),
    ("!zone", ""),
    ("app=nothing", ""),
    ("tier!=back", ""),
)
_SERIES_SELECTORS = (
    ("{label}={value}", ""),
    ("{label} in ({value},other)", "set"),
    ("{label} notin ({value})", "set"),
    ("{label}", ""),
    ("!{label}", ""),
    ("{label}!={value}", "not-equals"),
    ("{label}>5", "comparison"),
    ("{label}={value},", "malformed"),
    ("=,=", "malformed"),
    ("queue.name={value}", "label-name"),
)
_VALUES = {"gpu": "0", "queue": "orders", "code": "503", "model_name": "chat-8b"}


def draw(seed: str, number: int, made: Round, listed: Iterable[str]) -> list[Request]:
    """What to ask: a few reads of every metric, drawn anew for each round.

    Args:
        listed: `resource.group/metric` of the custom metrics, as both servers list them, and the
            names of external metrics.
    """
    rng = random.Random(f"{seed} requests {number}")
    cluster = generate.objects(seed)
    found: list[Request] = []
    for name in sorted(set(listed)):
        count = rng.randint(1, REQUESTS_OF_ONE_METRIC)
        if "/" in name:
            found += [_custom(rng, made, name, cluster) for _ in range(count)]
        else:
            found += [_external(rng, made, name) for _ in range(count)]
    if RESOURCE in made.rules:
        found += _usages(rng, cluster)
    return list({one.path: one for one in found}.values())


def _custom(rng: random.Random, made: Round, listed: str, cluster: list[Object]) -> Request:
    resource, _, metric = listed.partition("/")
    rule = made.rule_of("rules", metric)
    root = f"{CUSTOM}/{rng.choice(('v1beta1', 'v1beta2'))}"
    plural = resource.partition(".")[0]
    traits: set[str] = set()
    if plural == "namespaces":
        path = f"{root}/namespaces/{rng.choice((*NAMESPACES, 'absent', '*'))}/metrics/{metric}"
    else:
        places = list(families.objects_of(cluster, plural))
        space, name = rng.choice(places)
        name = rng.choice((name, "*", "*", "*", "absent"))
        place = f"/namespaces/{space}" if space else ""
        path = f"{root}{place}/{quote(resource)}/{quote(name)}/{metric}"
    query = []
    if "*" in path or "%2A" in path:
        selector, _ = rng.choice(_OBJECT_SELECTORS)
        query += [f"labelSelector={quote(selector, safe='')}"] if selector else []
    if rng.random() < 0.35:
        selector, trait = _series_selector(rng, rule)
        query.append(f"metricLabelSelector={quote(selector, safe='')}")
        traits.add(trait)
    return Request(path + _joined(query), rule, frozenset(traits - {""}))


def _series_selector(rng: random.Random, rule: Rule | None) -> tuple[str, str]:
    extras = rule.family.extras if rule and rule.family else ()
    label = rng.choice(extras or ("gpu",))
    form, trait = rng.choice(_SERIES_SELECTORS)
    return form.format(label=label, value=_VALUES.get(label, "server")), trait


def _external(rng: random.Random, made: Round, metric: str) -> Request:
    rule = made.rule_of("externalRules", metric)
    path = f"{EXTERNAL}/namespaces/{rng.choice((*NAMESPACES, 'absent'))}/{metric}"
    traits = {"capitals"} if metric != metric.lower() else set()
    query = []
    if rng.random() < 0.6:
        selector, trait = _series_selector(rng, rule)
        query.append(f"labelSelector={quote(selector, safe='')}")
        traits.add(trait)
    return Request(path + _joined(query), rule, frozenset(traits - {""}))


def _usages(rng: random.Random, cluster: list[Object]) -> list[Request]:
    space, name = rng.choice(list(families.objects_of(cluster, "pods")))
    paths = (
        "/pods",
        "/nodes",
        f"/nodes/{NODES[1]}",
        f"/namespaces/{space}/pods",
        f"/namespaces/{space}/pods/{name}",
        f"/namespaces/{space}/pods?labelSelector=tier%3Dfront",
        f"/namespaces/{space}/pods/absent",
    )
    return [Request(RESOURCES + path, RESOURCE) for path in paths]


def _joined(query: list[str]) -> str:
    return f"?{'&'.join(query)}" if query else ""
