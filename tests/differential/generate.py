"""Rounds of a comparison: objects, a rule file and its series, all from one seed.

The same seed gives the same round on every machine. Counters rise evenly, so a rate is the same at
each moment, and two servers that are asked one after the other must give one number.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

import yaml

from tests.differential import families, rules
from tests.differential.families import NAMESPACES, NODES, STEMS
from tests.differential.rules import RESOURCE, Rule

Object = dict[str, Any]

CUSTOM_RULES = (6, 9)
EXTERNAL_RULES = (2, 4)


@dataclass(frozen=True)
class Round:
    """Everything that both servers are asked in one turn."""

    rules: tuple[Rule, ...]
    series: str

    @property
    def rule_file(self) -> str:
        sections: dict[str, Any] = {"rules": [], "externalRules": []}
        for rule in self.rules:
            if rule.section == "resourceRules":
                sections["resourceRules"] = rule.body
            else:
                sections[rule.section].append(rule.body)
        unshared = json.loads(json.dumps(sections))  # no aliases
        return yaml.safe_dump(unshared, sort_keys=False, width=200)

    def rule_of(self, section: str, metric: str) -> Rule | None:
        """The rule that makes a metric; the last of several."""
        found = [one for one in self.rules if one.section == section and metric in one.metrics]
        return found[-1] if found else None


def objects(seed: str) -> list[Object]:
    """The cluster of a run, namespaces first; some pods have names that look alike in a regex."""
    rng = random.Random(f"{seed} objects")
    made: list[Object] = [_object("v1", "Namespace", "", name) for name in NAMESPACES]
    made += [_object("v1", "Node", "", name) for name in NODES]
    for space in NAMESPACES:
        for app in rng.sample(("api", "chat", "cart", "worker", "db.main"), 3):
            labels = {"app": app, "tier": rng.choice(("front", "back"))}
            made += _workload(space, app, labels)
            made += [
                _pod(space, f"{app}-{n}", {**labels, "zone": rng.choice("ab")})
                for n in range(rng.randint(1, 3))
            ]
    made += [_pod("lab", name, {"app": "alike"}) for name in ("a.b", "axb")]
    return made


def _object(version: str, kind: str, space: str, name: str, **more: Any) -> Object:
    metadata: Object = {"name": name, "labels": more.pop("labels", {})}
    if space:
        metadata["namespace"] = space
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def _pod(space: str, name: str, labels: dict[str, str]) -> Object:
    spec = {
        "nodeName": NODES[0],
        "automountServiceAccountToken": False,
        "containers": [{"name": "server", "image": "none"}, {"name": "proxy", "image": "none"}],
    }
    status = {"phase": "Running"}
    return _object("v1", "Pod", space, name, labels=labels, spec=spec, status=status)


def _workload(space: str, app: str, labels: dict[str, str]) -> list[Object]:
    """A Deployment without replicas, a Service and an Ingress."""
    name = app.replace(".", "-")
    containers = [{"name": "server", "image": "none"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    deployment = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    ports = {"ports": [{"port": 80, "protocol": "TCP"}]}
    backend = {"defaultBackend": {"service": {"name": name, "port": {"number": 80}}}}
    return [
        _object("apps/v1", "Deployment", space, name, labels=labels, spec=deployment),
        _object("v1", "Service", space, name, labels=labels, spec=ports),
        _object("networking.k8s.io/v1", "Ingress", space, name, labels=labels, spec=backend),
    ]


def generate(seed: str, number: int) -> Round:
    """The round of this number."""
    rng = random.Random(f"{seed} round {number}")
    cluster = objects(seed)
    customs, externals = rng.randint(*CUSTOM_RULES), rng.randint(*EXTERNAL_RULES)
    stems = rng.sample(STEMS, customs + externals)
    made = [families.family(rng, stem, cluster) for stem in stems]
    found = [rules.custom(rng, one) for one in made[:customs]]
    found += [rules.external(rng, one) for one in made[customs:]]
    lines = [line for one in made for line in one.lines]
    if rng.random() < 0.4:
        found.append(RESOURCE)
        lines += _usage(rng, cluster)
    return Round(tuple(found), "\n".join(lines) + "\n")


def _usage(rng: random.Random, cluster: list[Object]) -> list[str]:
    """cAdvisor's series: of every node, of most pods, with all of their containers."""
    cpu, memory = "container_cpu_usage_seconds_total", "container_memory_working_set_bytes"
    found = [f'{{id="/",node="{name}"' for name in NODES]
    for space, name in families.objects_of(cluster, "pods"):
        if rng.random() < 0.8:
            found += [
                f'{{namespace="{space}",pod="{name}",container="{container}"'
                for container in ("server", "proxy")
            ]
    return [
        line
        for labels in found
        for line in (
            f"{cpu}{labels}}} rate={rng.choice((0, 0.05, 0.333, 1.5))} base=100",
            f"{memory}{labels}}} {rng.choice((0.5, 1, 3)) * (1 << 28):.0f}",
        )
    ]
