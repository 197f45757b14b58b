"""The surroundings in a cluster: clients of kube-apiserver, and what is watched through them."""

from __future__ import annotations

from collections.abc import Callable

from metrics_apiserver.app import upstream
from metrics_apiserver.app.supervisor import Loop
from metrics_apiserver.app.trust import FlagTrust
from metrics_apiserver.app.world import Check, World
from metrics_apiserver.certs import chain
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.kube import config
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.discovery import MapperSource
from metrics_apiserver.kube.objects import ObjectCache, Spawn
from metrics_apiserver.kube.requestheader import AuthenticationSource
from metrics_apiserver.kube.reviews import AccessReviewer, TokenReviewer
from metrics_apiserver.settings import ServeSettings


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


def make_world(
    settings: ServeSettings,
    spawn: Spawn,
    on_mapper: Callable[[RESTMapper], None],
    on_trust: Callable[[], None],
) -> World:
    """Wires everything that a cluster gives; nothing is asked yet.

    Args:
        settings: what the flags say.
        spawn: starts background work.
        on_mapper: told of each new resource table.
        on_trust: told when it changed whom to believe.

    Raises:
        errors.ConfigError: a kubeconfig, or the pod's service account, cannot be used.
    """
    clients = _Clients()
    lister = clients.of(settings.kube.lister_kubeconfig)
    authentication = clients.of(settings.kube.authentication_kubeconfig)
    authorization = clients.of(settings.kube.authorization_kubeconfig)
    mapper = MapperSource(lister, on_change=on_mapper)
    objects = ObjectCache(lister, spawn)
    source = AuthenticationSource(
        authentication, chain.parse_bundle, on_change=lambda _state: on_trust()
    )
    trust = FlagTrust(settings.authentication, lambda: source.current)
    loops: dict[str, Loop] = {
        "discovery": lambda: mapper.run(settings.kube.discovery_interval_seconds),
        "pod watch": objects.run,
    }
    checks: dict[str, Check] = {
        "discovery": lambda: _unless(mapper.current is not None, "resources are not known yet"),
        "informer-sync": lambda: _unless(objects.synced(), "pods are not known yet"),
    }
    if not settings.authentication.skip_lookup:
        loops["authentication configuration"] = source.run
        checks["authentication-configuration"] = lambda: _unless(
            source.synced, "the authentication ConfigMap is not read yet"
        )
    return World(
        mapper=lambda: mapper.current,
        ask_mapper=mapper.ask,
        objects=objects,
        authentication=trust.current,
        tokens=TokenReviewer(authentication),
        access=AccessReviewer(authorization),
        close=clients.close,
        loops=loops,
        checks=checks,
        prometheus=upstream.from_kubeconfig(settings),
    )


def _unless(good: bool, reason: str) -> str | None:
    return None if good else reason
