"""What the server knows of the cluster: its resources, the watched objects, whom to trust.

Gives the readiness checks of these three, and as conditions what keeps each from being current.
Asks kube-apiserver nothing by itself: the loops of its parts do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metrics_apiserver.base import errors
from metrics_apiserver.kube import objects
from metrics_apiserver.kube.discovery import MapperSource
from metrics_apiserver.kube.objects import PODS, ObjectCache
from metrics_apiserver.kube.requestheader import AuthenticationSource

AUTHENTICATION = "authentication configuration"
_DISCOVERY = "discovery"


@dataclass(frozen=True, slots=True)
class ClusterState:
    """Discovery, the object cache, and the ConfigMap where it is asked for."""

    mapper: MapperSource
    objects: ObjectCache
    authentication: AuthenticationSource
    reads_configmap: bool

    def checks(self) -> dict[str, Callable[[], str | None]]:
        """Readiness checks by name; each gives None or the reason why not."""
        checks = {"discovery": self._check_discovery, "informer-sync": self._check_informers}
        if self.reads_configmap:
            checks["authentication-configuration"] = self._check_authentication
        return checks

    def _check_discovery(self) -> str | None:
        known = self.mapper.current is not None
        return None if known else self._reason("resources are not known yet", _DISCOVERY)

    def _check_informers(self) -> str | None:
        if self.objects.synced():
            return None
        return self._reason("pods are not known yet", _watch_of(PODS.plural))

    def _check_authentication(self) -> str | None:
        if self.authentication.synced:
            return None
        return self._reason("the authentication ConfigMap is not read yet", AUTHENTICATION)

    def _reason(self, text: str, name: str) -> str:
        condition = self.conditions().get(name)
        return f"{text}: {condition}" if condition else text

    def conditions(self) -> dict[str, str]:
        """What is wrong now, by name."""
        found: dict[str, str] = {}
        if self.mapper.last_error is not None:
            found[_DISCOVERY] = _explain(self.mapper.last_error)
        if self.reads_configmap:
            error = self.authentication.error
            parts = [*self.authentication.problems, *([_explain(error)] if error else [])]
            if parts:
                found[AUTHENTICATION] = "; ".join(parts)
        for state in self.objects.states():
            if state.last_error is not None:
                why = objects.unknown(state.resource, state.last_error)
                found[_watch_of(str(state.resource.group_resource))] = _explain(why)
        return found

    def watched(self) -> Mapping[str, int]:
        """Number of objects held, by resource."""
        return {str(s.resource.group_resource): s.objects for s in self.objects.states()}


def _watch_of(resource: str) -> str:
    return f"watch of {resource}"


def _explain(error: errors.Unavailable) -> str:
    return f"{error.message} ({error.detail})" if error.detail else error.message
