"""The environment in a cluster: clients of kube-apiserver, and what is watched through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from metrics_apiserver.app.environment import Check, Environment
from metrics_apiserver.app.supervisor import Loop
from metrics_apiserver.base import errors
from metrics_apiserver.base.collect import ErrorCollector
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.certs import ca_bundle
from metrics_apiserver.controllers import self_managed
from metrics_apiserver.controllers.self_managed import SelfManagedPair
from metrics_apiserver.controllers.trust import FlagTrust
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.kube import config, objects
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.discovery import MapperSource
from metrics_apiserver.kube.objects import PODS, ObjectCache, Spawn
from metrics_apiserver.kube.requestheader import AuthenticationSource
from metrics_apiserver.kube.reviews import AccessReviewer, TokenReviewer
from metrics_apiserver.options.settings import ServeSettings

_AUTHENTICATION = "authentication configuration"


class _Clients:
    """One client for each kubeconfig; roles that share a file share its connections."""

    def __init__(self) -> None:
        self._by_path: dict[str, KubeClient] = {}

    def of(self, path: str) -> KubeClient:
        if path not in self._by_path:
            self._by_path[path] = KubeClient(config.load(path))
        return self._by_path[path]

    async def close(self) -> None:
        for client in self._by_path.values():
            await client.close()


@dataclass(frozen=True, slots=True)
class _Sources:
    """What follows the cluster; the ConfigMap only where it is asked for."""

    mapper: MapperSource
    objects: ObjectCache
    authentication: AuthenticationSource
    reads_configmap: bool

    def loops(self, discovery_interval_seconds: float) -> dict[str, Loop]:
        loops: dict[str, Loop] = {
            "discovery": lambda: self.mapper.run(discovery_interval_seconds),
            "pod watch": self.objects.run,
        }
        if self.reads_configmap:
            loops[_AUTHENTICATION] = self.authentication.run
        return loops

    def checks(self) -> dict[str, Check]:
        checks: dict[str, Check] = {
            "discovery": lambda: self._unless(
                self.mapper.current is not None, "resources are not known yet", "discovery"
            ),
            "informer-sync": lambda: self._unless(
                self.objects.synced(), "pods are not known yet", _watch_of(PODS.plural)
            ),
        }
        if self.reads_configmap:
            checks["authentication-configuration"] = lambda: self._unless(
                self.authentication.synced,
                "the authentication ConfigMap is not read yet",
                _AUTHENTICATION,
            )
        return checks

    def _unless(self, good: bool, reason: str, part: str) -> str | None:
        if good:
            return None
        condition = self.conditions().get(part)
        return f"{reason}: {condition}" if condition else reason

    def conditions(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self.mapper.last_error is not None:
            found["discovery"] = _said(self.mapper.last_error)
        if self.reads_configmap:
            error = self.authentication.error
            parts = [*self.authentication.problems, *([_said(error)] if error else [])]
            if parts:
                found[_AUTHENTICATION] = "; ".join(parts)
        for state in self.objects.states():
            if state.last_error is not None:
                why = objects.unknown(state.resource, state.last_error)
                found[_watch_of(str(state.resource.group_resource))] = _said(why)
        return found

    def watched(self) -> Mapping[str, int]:
        return {str(s.resource.group_resource): s.objects for s in self.objects.states()}


def _watch_of(resource: str) -> str:
    return f"watch of {resource}"


def _said(error: errors.Unavailable) -> str:
    return f"{error.message} ({error.detail})" if error.detail else error.message


def build_environment(
    settings: ServeSettings,
    faults: ErrorCollector,
    telemetry: Telemetry,
    spawn: Spawn,
    on_mapper: Callable[[RESTMapper], None],
    on_trust: Callable[[], None],
) -> Environment | None:
    """Wires everything that a cluster gives; nothing is asked yet.

    Args:
        settings: what the flags say.
        faults: takes what cannot be used: a kubeconfig, the pod's service account, a bundle.
        telemetry: takes what is counted of self-managed certificates.
        spawn: starts background work.
        on_mapper: called with each new resource table.
        on_trust: called when the trusted authorities, or the pair to serve, have changed.

    Returns:
        The environment; None when there were faults.
    """
    clients = _Clients()
    kube = settings.kube
    lister = faults.of(lambda: clients.of(kube.lister_kubeconfig))
    authentication = faults.of(lambda: clients.of(kube.authentication_kubeconfig))
    authorization = faults.of(lambda: clients.of(kube.authorization_kubeconfig))
    flagged = faults.of(lambda: FlagTrust(settings.authentication))
    if lister is None or authentication is None or authorization is None or flagged is None:
        return None
    sources = _Sources(
        MapperSource(lister, on_change=on_mapper),
        ObjectCache(lister, spawn),
        AuthenticationSource(authentication, ca_bundle.parse, on_change=lambda _state: on_trust()),
        not settings.authentication.skip_lookup,
    )
    environment = Environment(
        mapper=lambda: sources.mapper.current,
        ask_mapper=sources.mapper.ask,
        objects=sources.objects,
        authentication=lambda: flagged.over(sources.authentication.current),
        tokens=TokenReviewer(authentication),
        access=AccessReviewer(authorization),
        close=clients.close,
        loops=sources.loops(kube.discovery_interval_seconds),
        checks=sources.checks(),
        conditions=sources.conditions,
        watched=sources.watched,
    )
    certificates = settings.certificates
    if not certificates.secret:
        return environment
    managed = faults.of(lambda: SelfManagedPair(certificates, authentication, telemetry, on_trust))
    return _with_certificates(environment, managed) if managed is not None else None


def _with_certificates(environment: Environment, managed: SelfManagedPair) -> Environment:
    """The environment of a server that keeps its pair in a Secret."""

    async def close() -> None:
        await environment.close()
        await managed.close()

    return replace(
        environment,
        close=close,
        loops={**environment.loops, self_managed.PART: managed.controller.run},
        checks={**environment.checks, self_managed.PART: managed.check},
        conditions=lambda: {**environment.conditions(), **managed.conditions()},
        pair_paths=managed.pair_paths,
    )
