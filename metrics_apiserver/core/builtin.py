"""The resources of a cluster that is not there: what standalone mode maps labels to.

The usual kinds in the order that kube-apiserver lists them, and, for what a rule file names beyond
them, a namespaced kind made up from the name. Never used beside a kube-apiserver.
"""

from __future__ import annotations

from collections.abc import Iterable

from metrics_apiserver.core.converter import ResourceMapping
from metrics_apiserver.core.model import GroupResource, MappedResource
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules.config import RuleFile

_KINDS = (
    # group, version, kind, plural, namespaced
    ("", "v1", "Pod", "pods", True),
    ("", "v1", "Namespace", "namespaces", False),
    ("", "v1", "Node", "nodes", False),
    ("", "v1", "Service", "services", True),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", True),
    ("", "v1", "PersistentVolume", "persistentvolumes", False),
    ("", "v1", "ReplicationController", "replicationcontrollers", True),
    ("apps", "v1", "Deployment", "deployments", True),
    ("apps", "v1", "StatefulSet", "statefulsets", True),
    ("apps", "v1", "DaemonSet", "daemonsets", True),
    ("apps", "v1", "ReplicaSet", "replicasets", True),
    ("batch", "v1", "Job", "jobs", True),
    ("batch", "v1", "CronJob", "cronjobs", True),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", True),
)


def mapper(rules: RuleFile) -> RESTMapper:
    """The built-in kinds and those that only the overrides of these rules name."""
    known = [
        MappedResource(group, version, plural, kind.lower(), kind, namespaced)
        for group, version, kind, plural, namespaced in _KINDS
    ]
    builtin = RESTMapper(known)
    extra = {
        named: _made_up(named)
        for mapping in _mappings(rules)
        for named in (override.group_resource for override in mapping.overrides)
        if builtin.resource_for(named) is None
    }
    return RESTMapper([*known, *extra.values()])


def _mappings(rules: RuleFile) -> Iterable[ResourceMapping]:
    for rule in (*rules.rules, *rules.external_rules):
        yield rule.mapping
    if rules.resource_rules is not None:
        yield rules.resource_rules.cpu.mapping
        yield rules.resource_rules.memory.mapping


def _made_up(named: GroupResource) -> MappedResource:
    """A kind for a name that may be the singular or the plural, as English forms them."""
    word = named.resource.lower()
    if word.endswith("ies"):
        singular, plural = f"{word[:-3]}y", word
    elif word.endswith("s"):
        singular, plural = word[:-1], word
    elif word.endswith("y"):
        singular, plural = word, f"{word[:-1]}ies"
    else:
        singular, plural = word, f"{word}s"
    return MappedResource(named.group, "v1", plural, singular, singular.capitalize(), True)
