"""The environment in a cluster: clients of kube-apiserver, and what is watched through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from metrics_apiserver.app.environment import Environment
from metrics_apiserver.app.supervisor import Loop
from metrics_apiserver.base.collect import ErrorCollector
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.certs import ca_bundle
from metrics_apiserver.controllers import self_managed
from metrics_apiserver.controllers.cluster_state import AUTHENTICATION, ClusterState
from metrics_apiserver.controllers.self_managed import SelfManagedPair
from metrics_apiserver.controllers.trust import FlagTrust
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.kube import config
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.discovery import MapperSource
from metrics_apiserver.kube.objects import ObjectCache, Spawn
from metrics_apiserver.kube.requestheader import AuthenticationSource
from metrics_apiserver.kube.reviews import AccessReviewer, TokenReviewer
from metrics_apiserver.options.settings import ServeSettings


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
    state = ClusterState(
        MapperSource(lister, on_change=on_mapper),
        ObjectCache(lister, spawn),
        AuthenticationSource(authentication, ca_bundle.parse, on_change=lambda _state: on_trust()),
        not settings.authentication.skip_lookup,
    )
    flagged.follow(state.authentication)
    environment = Environment(
        mapper=lambda: state.mapper.current,
        ask_mapper=state.mapper.ask,
        objects=state.objects,
        authentication=flagged.current,
        tokens=TokenReviewer(authentication),
        access=AccessReviewer(authorization),
        close=clients.close,
        loops=_loops(state, kube.discovery_interval_seconds),
        checks=state.checks(),
        conditions=state.conditions,
        watched=state.watched,
    )
    certificates = settings.certificates
    if not certificates.secret:
        return environment
    managed = faults.of(lambda: SelfManagedPair(certificates, authentication, telemetry, on_trust))
    return _with_certificates(environment, managed) if managed is not None else None


def _loops(state: ClusterState, discovery_interval_seconds: float) -> dict[str, Loop]:
    loops: dict[str, Loop] = {
        "discovery": partial(state.mapper.run, discovery_interval_seconds),
        "pod watch": state.objects.run,
    }
    if state.reads_configmap:
        loops[AUTHENTICATION] = state.authentication.run
    return loops


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
