"""Discovery documents of the fake kube-apiserver: aggregated v2, or the legacy three levels."""

from __future__ import annotations

from typing import Any

from metrics_apiserver.core.model import MappedResource


def _mapped(group: str, version: str, plural: str, kind: str, *, scoped: bool) -> MappedResource:
    return MappedResource(group, version, plural, kind.lower(), kind, scoped)


PODS = _mapped("", "v1", "pods", "Pod", scoped=True)
NODES = _mapped("", "v1", "nodes", "Node", scoped=False)
NAMESPACES = _mapped("", "v1", "namespaces", "Namespace", scoped=False)
SERVICES = _mapped("", "v1", "services", "Service", scoped=True)
CONFIGMAPS = _mapped("", "v1", "configmaps", "ConfigMap", scoped=True)
CLAIMS = _mapped("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", scoped=True)
DEPLOYMENTS = _mapped("apps", "v1", "deployments", "Deployment", scoped=True)
JOBS = _mapped("batch", "v1", "jobs", "Job", scoped=True)
INGRESSES = _mapped("networking.k8s.io", "v1", "ingresses", "Ingress", scoped=True)

RESOURCES = (NAMESPACES, NODES, PODS, SERVICES, CONFIGMAPS, CLAIMS, DEPLOYMENTS, JOBS, INGRESSES)


def document(
    path: str, resources: tuple[MappedResource, ...], *, legacy: bool
) -> dict[str, Any] | None:
    """The document at a discovery path; None for any other path."""
    core = tuple(r for r in resources if not r.group)
    named = tuple(r for r in resources if r.group)
    parts = path.strip("/").split("/")
    match parts:
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]} if legacy else _aggregated(core)
        case ["apis"]:
            return _groups(named) if legacy else _aggregated(named)
        case ["api", version]:
            return _resources(core, "", version)
        case ["apis", group, version] if any(r.group == group for r in named):
            return _resources(named, group, version)
        case _:
            return None


def _by_group(
    resources: tuple[MappedResource, ...],
) -> dict[str, dict[str, list[MappedResource]]]:
    groups: dict[str, dict[str, list[MappedResource]]] = {}
    for resource in resources:
        groups.setdefault(resource.group, {}).setdefault(resource.version, []).append(resource)
    return groups


def _aggregated(resources: tuple[MappedResource, ...]) -> dict[str, Any]:
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": group} if group else {"creationTimestamp": None},
                "versions": [
                    {
                        "version": version,
                        "freshness": "Current",
                        "resources": [_discovered(resource) for resource in found],
                    }
                    for version, found in versions.items()
                ],
            }
            for group, versions in _by_group(resources).items()
        ],
    }


def _discovered(resource: MappedResource) -> dict[str, Any]:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": ["get", "list", "watch"],
        "subresources": [{"subresource": "status", "responseKind": kind, "verbs": ["get"]}],
    }


def _groups(resources: tuple[MappedResource, ...]) -> dict[str, Any]:
    def named(group: str, version: str) -> dict[str, str]:
        return {"groupVersion": f"{group}/{version}", "version": version}

    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {
                "name": group,
                "versions": [named(group, version) for version in versions],
                "preferredVersion": named(group, next(iter(versions))),
            }
            for group, versions in _by_group(resources).items()
        ],
    }


def _resources(resources: tuple[MappedResource, ...], group: str, version: str) -> dict[str, Any]:
    found = [r for r in resources if (r.group, r.version) == (group, version)]
    listed = [
        {
            "name": name,
            "singularName": resource.singular if name == resource.plural else "",
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": ["get", "list", "watch"],
        }
        for resource in found
        for name in (resource.plural, f"{resource.plural}/status")
    ]
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "groupVersion": group_version, "resources": listed}
