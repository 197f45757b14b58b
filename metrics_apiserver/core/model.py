"""The nouns that floors hand to each other: frozen, slotted, without behaviour beyond reading.

Names are those of the Kubernetes API and of the predecessor (GroupResource, CustomMetricInfo,
RequestInfo, Series). Nothing here knows HTTP, YAML or PromQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, order=True)
class GroupResource:
    """An API group and a plural resource name; the core group is the empty string."""

    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @classmethod
    def parse(cls, text: str) -> GroupResource:
        """Splits at the first dot: `ingresses.networking.k8s.io`, `pods`."""
        resource, _, group = text.partition(".")
        return cls(group, resource)


NAMESPACES = GroupResource("", "namespaces")
NODES = GroupResource("", "nodes")
PODS = GroupResource("", "pods")


@dataclass(frozen=True, slots=True)
class MappedResource:
    """What the cluster says of one resource.

    Attributes:
        group: API group, empty for core.
        version: the group's preferred version that has the resource.
        plural: lower-case plural, as in URLs.
        singular: lower-case singular.
        kind: CamelCase kind.
        namespaced: False for cluster-scoped kinds.
        group_resource: group and plural.
        api_version: `apps/v1`; the core group is written `/v1`, as the predecessor writes it.
    """

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    group_resource: GroupResource = field(init=False, repr=False, compare=False)
    api_version: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Read several times by each request, so made once.
        object.__setattr__(self, "group_resource", GroupResource(self.group, self.plural))
        object.__setattr__(self, "api_version", f"{self.group}/{self.version}")


@dataclass(frozen=True, slots=True)
class Series:
    """A metric name with the names of the labels seen on it (values play no part in discovery)."""

    name: str
    labels: frozenset[str]


@dataclass(slots=True)
class Sample:
    """One value of an instant query. Not frozen: a large answer makes 100 000 of them.

    Attributes:
        labels: label name to value, including `__name__` when the expression keeps it.
        value: as Prometheus gave it; may be NaN or infinite.
        timestamp: seconds since the epoch.
    """

    labels: dict[str, str]
    value: float
    timestamp: float


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The answer to an instant query.

    Attributes:
        kind: `scalar` results hold one sample without labels.
        samples: in the order that Prometheus sent.
        warnings: the backend's `warnings` (partial answers); `infos` are not kept.
    """

    kind: Literal["vector", "scalar"]
    samples: list[Sample]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserInfo:
    """An identity as SubjectAccessReview takes it.

    Attributes:
        extra: key to values, keys lower-cased, sorted by key so that equal users compare equal.
    """

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """One HTTP request, parsed once; the gate and the handlers read only this.

    Attributes:
        method: upper-case HTTP method.
        path: decoded path, as SubjectAccessReview's nonResourceAttributes take it.
        parts: decoded segments of `path`, without empty ones.
        query: first value of each query parameter.
        repeated: all values of the parameters that were given more than once.
        is_resource: True from `/apis/{group}/{version}/x` on.
        verb: get, list, watch, create, update, patch, delete, deletecollection; for
            non-resource requests the lower-case method.
        group, version, namespace, resource, subresource, name: as kube-apiserver fills them;
            empty when absent.
        resource_parts: segments after `/apis/{group}/{version}`.
        label_selector, field_selector: raw parameters, empty when absent.
    """

    method: str
    path: str
    parts: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    repeated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_resource: bool = False
    verb: str = ""
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    resource_parts: tuple[str, ...] = ()
    label_selector: str = ""
    field_selector: str = ""
