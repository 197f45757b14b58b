"""The cluster's resources as one immutable table: any spelling of a name to the resource.

It answers as `meta.PriorityRESTMapper` over one `meta.DefaultRESTMapper` for each group version
does (apimachinery `pkg/api/meta`, client-go `restmapper/discovery.go`): names are singular or
plural in any case, an empty group means every group in discovery order with the core group
first, a given group is matched exactly and, failing that, as a prefix (`storage` finds
`storage.k8s.io`). Refused on purpose: names that two resources of one group share, because an
arbitrary one would then be read, and Go's guessed `<kind>s` and `<kind>list` entries, which name
nothing that a request can name.
"""

from __future__ import annotations

from collections.abc import Iterable

from metrics_apiserver.core.model import GroupResource, MappedResource


class RESTMapper:
    """Looks resources up by partial names.

    Args:
        resources: top-level resources in discovery order, which is the priority between groups.
            Of several entries for one group and plural the first counts.
    """

    __slots__ = ("_by_name", "_exact", "resources")

    def __init__(self, resources: Iterable[MappedResource]) -> None:
        exact: dict[GroupResource, MappedResource] = {}
        for resource in resources:
            exact.setdefault(resource.group_resource, resource)
        self._exact = exact
        self.resources: tuple[MappedResource, ...] = tuple(
            sorted(exact.values(), key=_outside_core)  # stable: core first, else discovery order
        )
        by_name: dict[str, list[MappedResource]] = {}
        for resource in self.resources:
            for name in {resource.plural, _singular(resource)}:
                by_name.setdefault(name, []).append(resource)
        self._by_name = {name: tuple(found) for name, found in by_name.items()}

    def __len__(self) -> int:
        return len(self.resources)

    def exact(self, group_resource: GroupResource) -> MappedResource | None:
        """The resource of that very group and plural."""
        return self._exact.get(group_resource)

    def resource_for(self, group_resource: GroupResource) -> MappedResource | None:
        """The resource that a partial name means; None for no or more than one candidate."""
        group = group_resource.group
        named = self._by_name.get(group_resource.resource.lower(), ())
        candidates = [found for found in named if found.group == group]
        if not candidates:
            candidates = [found for found in named if found.group.startswith(group)]
        if not candidates:
            return None
        first = candidates[0]
        rivals = sum(1 for found in candidates if found.group == first.group)
        return first if rivals == 1 else None

    def singularize(self, resource: str) -> str:
        """The singular of a resource name in the first group that has just one; else itself."""
        by_group: dict[str, set[str]] = {}
        for found in self._by_name.get(resource.lower(), ()):
            by_group.setdefault(found.group, set()).add(_singular(found))
        return next((one for one, *more in by_group.values() if not more), resource)


def _outside_core(resource: MappedResource) -> bool:
    return resource.group != ""


def _singular(resource: MappedResource) -> str:
    """Servers that name no singular mean the lower-cased kind."""
    return resource.singular or resource.kind.lower()
