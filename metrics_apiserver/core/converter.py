"""Between Prometheus labels and Kubernetes resources, both ways, for one rule.

A ResourceMapping is what the file says, compiled without a cluster: a label template and
overrides. A ResourceConverter binds it to one RESTMapper. Overrides win over the template. An
override whose resource the cluster lacks does not break the rule, as it does in the predecessor:
it waits, and a converter over a later mapper takes it up. Of two labels mapped to one resource the
first in the file is used in queries. Refused: a template without `.Resource`. Follows the
predecessor's `pkg/naming/resource_converter.go` and `lbl_res.go`, and goes beyond them where the
two directions would disagree: a group that the template wrote with underscores is found again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core import gotemplate, naming
from metrics_apiserver.core.model import GroupResource
from metrics_apiserver.core.restmapper import RESTMapper

LABEL_FIELDS: Final[Mapping[str, type]] = {"Group": str, "Resource": str}
_SANITIZED: Final = str.maketrans({".": "_", "-": "_"})
_VERSION: Final = re.compile(r"v[0-9]+((alpha|beta)[0-9]+)?")
_RESOURCE: Final = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?")
# Of the core group; other groups' names may well begin with `core`.
_CORE_KINDS: Final = (
    *("pod", "namespace", "node", "service", "persistentvolume", "persistentvolumeclaim"),
    *("replicationcontroller", "configmap", "secret", "endpoint", "serviceaccount"),
)
_CORE: Final = frozenset((*_CORE_KINDS, *(f"{kind}s" for kind in _CORE_KINDS)))
_MAX_MEMO: Final = 4096  # labels remembered by one converter


@dataclass(frozen=True, slots=True)
class Override:
    """One entry of `resources.overrides`.

    Attributes:
        group_resource: as written, possibly singular or with part of a group.
        line: 1-based line in the file; two overrides that differ in it alone are equal.
    """

    label: str
    group_resource: GroupResource
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ResourceMapping:
    """`resources` of one rule, compiled offline.

    Attributes:
        template_text: `resources.template`; empty for none.
        overrides: in file order.
        template, pattern: None when there is no template text.
    """

    template_text: str
    overrides: tuple[Override, ...]
    template: gotemplate.Template | None = field(default=None, compare=False, repr=False)
    pattern: naming.Pattern | None = field(default=None, compare=False, repr=False)

    @property
    def empty(self) -> bool:
        return not self.template_text and not self.overrides


def compile_mapping(template_text: str, overrides: Iterable[Override]) -> ResourceMapping:
    """Compiles a template and overrides; either may be empty.

    Raises:
        TemplateError: the template does not parse, cannot be read backwards, or lacks `.Resource`.
    """
    kept = tuple(overrides)
    if not template_text:
        return ResourceMapping("", kept)
    template = gotemplate.compile(template_text, LABEL_FIELDS)
    return ResourceMapping(template_text, kept, template, _read_backwards(template))


def _read_backwards(template: gotemplate.Template) -> naming.Pattern:
    """The expression of the labels that the template makes, as the predecessor builds it."""
    text = template.render({"Group": "(?P<group>.+?)", "Resource": "(?P<resource>.+?)"})
    for group in ("(?P<group>", "(?P<resource>"):
        if text.count(group) > 1:  # Go refuses a repeated group name, RE2 takes the first
            raise TemplateError("the label template may use each of its fields once")
    try:
        pattern = naming.compile_regex(f"^{text}$")
    except ValueError as error:
        raise TemplateError(f"the label template makes no expression: {error}") from error
    if "resource" not in pattern.names:
        raise TemplateError("must include at least `<<.Resource>>` in the label template")
    return pattern


def why_impossible(named: GroupResource) -> str:
    """Why no cluster has a resource of this name, whatever is installed; empty where one may."""
    group, resource = named.group, named.resource
    if "/" in group:
        meant = group.partition("/")[0]
        return f"the group {group} has a version in it, and no group has: {_advice(meant)}"
    if _VERSION.fullmatch(group):
        return f"{group} is a version and not a group: {_advice('')}"
    if group == "core" and resource.lower() in _CORE:
        return f"the core group has no name: {_advice('')}"
    if not _RESOURCE.fullmatch(resource):
        hint = "; the group has a key of its own" if "." in resource or "/" in resource else ""
        return f"{resource} cannot be the name of a resource: write it as in pods{hint}"
    return ""


def _advice(group: str) -> str:
    if not group or _VERSION.fullmatch(group):
        return "leave `group` out"
    return f"write `group: {group}`"


class ResourceConverter:
    """A mapping bound to a cluster's resources; immutable but for what it remembers.

    Args:
        mapping: what the file says.
        mapper: what the cluster has.

    Attributes:
        waiting: (label, resource as written) of overrides whose resource the cluster lacks.
        repeated: (label left aside, resource) where an earlier label maps to the same resource.
    """

    __slots__ = (
        "_index",
        "_label_to_resource",
        "_memo",
        "_resource_to_label",
        "_written",
        "mapper",
        "mapping",
        "repeated",
        "waiting",
    )

    def __init__(self, mapping: ResourceMapping, mapper: RESTMapper) -> None:
        self.mapping = mapping
        self.mapper = mapper
        self._label_to_resource: dict[str, GroupResource | None] = {}
        self._resource_to_label: dict[GroupResource, str] = {}
        self._written: dict[GroupResource, str] = {}  # as many as the cluster has resources
        self._memo: dict[str, GroupResource | None] = {}
        self._index: dict[str, GroupResource] | None = None
        waiting: list[tuple[str, GroupResource]] = []
        repeated: list[tuple[str, GroupResource]] = []
        for override in mapping.overrides:
            found = mapper.resource_for(override.group_resource)
            if found is None:
                # The label keeps this meaning: the template must not give it another one.
                self._label_to_resource[override.label] = None
                waiting.append((override.label, override.group_resource))
                continue
            resource = found.group_resource
            self._label_to_resource[override.label] = resource
            if self._resource_to_label.setdefault(resource, override.label) != override.label:
                repeated.append((override.label, resource))
        self.waiting = tuple(waiting)
        self.repeated = tuple(repeated)

    def resources_for(self, labels: Iterable[str]) -> list[GroupResource]:
        """The resources that series with these label names are about, each once, sorted."""
        found = {self.resource_of(label) for label in labels}
        return sorted(resource for resource in found if resource is not None)

    def label_for(self, resource: GroupResource) -> str:
        """The label that carries the name of objects of a resource.

        Args:
            resource: as the mapper gives it, plural and with its whole group.

        Raises:
            LookupError: no override names it and the template, if any, makes no label of it.
        """
        label = self._resource_to_label.get(resource) or self._written.get(resource)
        if label is None:
            label = self._written[resource] = self._write(resource)
        return label

    def _write(self, resource: GroupResource) -> str:
        template = self.mapping.template
        if template is None:
            raise LookupError(
                f"unable to convert resource {resource} into label: "
                "no generic resource label form specified for this metric"
            )
        if self.mapper.exact(resource) is None:
            raise LookupError(
                f"unable to convert resource {resource} into label: the cluster has none"
            )
        values = {
            "Group": resource.group.translate(_SANITIZED),
            "Resource": self.mapper.singularize(resource.resource),
        }
        try:
            label = template.render(values)
        except TemplateError as error:
            raise LookupError(
                f"unable to convert resource {resource} into label: {error.message}"
            ) from error
        if not label:
            raise LookupError(
                f"unable to convert resource {resource} into label: "
                "empty label produced by label template"
            )
        return label

    def resource_of(self, label: str) -> GroupResource | None:
        """The resource that a label name means; None for the many that mean none."""
        if label in self._label_to_resource:
            return self._label_to_resource[label]
        if self.mapping.pattern is None:
            return None
        if label in self._memo:
            return self._memo[label]
        resource = self._read(self.mapping.pattern, label)
        if len(self._memo) < _MAX_MEMO:
            self._memo[label] = resource
        return resource

    def _read(self, pattern: naming.Pattern, label: str) -> GroupResource | None:
        match = pattern.search(label)
        if match is not None:
            groups = {name: match.groups[index] or "" for name, index in match.names.items()}
            partial = GroupResource(groups.get("group", ""), groups["resource"])
            found = self.mapper.resource_for(partial)
            if found is not None:
                return found.group_resource
        if self._index is None:
            self._index = self._written_labels()
        return self._index.get(label)

    def _written_labels(self) -> dict[str, GroupResource]:
        """Every label that the template makes; of resources that share one, the first.

        Empty where the template names no group: then the expression has found what there is.
        """
        template = self.mapping.template
        written: dict[str, GroupResource] = {}
        if template is None or "Group" not in template.fields_used:
            return written
        for resource in self.mapper.resources:
            try:
                written.setdefault(self._write(resource.group_resource), resource.group_resource)
            except LookupError:
                continue  # no label of this template is about it
        return written
