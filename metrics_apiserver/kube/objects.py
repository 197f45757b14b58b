"""Which objects exist and what labels they carry, without asking on a read.

Holds one metadata-only watch for each kind that is read: pods from the start, others from their
first use until nobody has asked for half an hour. A first use waits for the kind's LIST, but not
long. While kube-apiserver is away the last known names are served, up to a limit of age; a kind
that the server may not list is an error that names the missing rule, never an empty answer.

Pods that have finished are neither listed nor watched: they use nothing, and in clusters with many
Jobs they outnumber the others. A pod that finishes arrives as DELETED.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from metrics_apiserver.base import errors
from metrics_apiserver.base.backoff import Backoff
from metrics_apiserver.core.model import MappedResource
from metrics_apiserver.core.selector import Selector
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.collection import Collection
from metrics_apiserver.kube.store import Labels, ObjectStore
from metrics_apiserver.kube.watch import FINAL_STATUSES, Reflector

PODS = MappedResource(
    group="", version="v1", plural="pods", singular="pod", kind="Pod", namespaced=True
)

FIRST_USE_SECONDS = 5.0
IDLE_SECONDS = 1800.0
STALE_SECONDS = 600.0
MAX_KINDS = 64
POD_BACKOFF_SECONDS = 1.5

Spawn = Callable[[Coroutine[Any, Any, None], str], None]
"""Starts a named task; the coroutine returns only when its kind went idle."""

# The plain type last: servers that cannot cut objects down to metadata answer with whole ones.
_LIST_ACCEPT = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_WATCH_ACCEPT = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

_UNFINISHED = {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}


@dataclass(frozen=True, slots=True)
class KindState:
    """For telemetry and health.

    Attributes:
        age_seconds: since the last sign of life of the watch; None before the first.
        lists: completed LISTs; more than one means that the watch was restarted.
    """

    resource: MappedResource
    objects: int
    synced: bool
    age_seconds: float | None
    lists: int
    last_error: errors.KubeError | None


class _Kind:
    def __init__(self, reflector: Reflector, store: ObjectStore, used_at: float) -> None:
        self.reflector = reflector
        self.store = store
        self.used_at = used_at


class ObjectCache:
    """Names and labels of the cluster's objects.

    Args:
        client: to kube-apiserver.
        spawn: starts the watch of a kind other than pods; the caller owns the task.
        clock: monotonic seconds.
        first_use_seconds: longest wait of a read for a kind's first LIST.
        idle_seconds: an unread kind's watch stops after this.
        stale_seconds: names older than this are not served.
    """

    def __init__(
        self,
        client: KubeClient,
        spawn: Spawn,
        *,
        clock: Callable[[], float] = time.monotonic,
        first_use_seconds: float = FIRST_USE_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        stale_seconds: float = STALE_SECONDS,
    ) -> None:
        self._client = client
        self._spawn = spawn
        self._clock = clock
        self._first_use_seconds = first_use_seconds
        self._idle_seconds = idle_seconds
        self._stale_seconds = stale_seconds
        self._kinds: dict[MappedResource, _Kind] = {}
        self._pods = self._add(PODS, Backoff(last=POD_BACKOFF_SECONDS))

    async def run(self) -> None:
        """Watches pods; never returns."""
        await self._pods.reflector.run()

    async def names(
        self, resource: MappedResource, namespace: str, selector: Selector
    ) -> list[str]:
        """Names of the selected objects, sorted; the list is shared, so only read it.

        Args:
            resource: the kind.
            namespace: ignored for cluster-scoped kinds. For a namespaced kind, empty gives the
                names of all namespaces, each once; `objects` tells them apart.
            selector: on the objects' labels.

        Raises:
            errors.Unavailable: not known (yet), or not allowed to know.
        """
        store = await self._ready(resource)
        if not resource.namespaced:
            return store.names("", selector)
        if namespace:
            return store.names(namespace, selector)
        return sorted({name for _, name, _ in store.objects(None, selector)})

    async def objects(
        self, resource: MappedResource, namespace: str, selector: Selector
    ) -> list[tuple[str, str, Labels]]:
        """Namespace, name and labels of the selected objects, sorted.

        An empty namespace is every namespace; a cluster-scoped kind has none. Raises as `names`.
        """
        store = await self._ready(resource)
        return store.objects((resource.namespaced and namespace) or None, selector)

    async def get(self, resource: MappedResource, namespace: str, name: str) -> Labels | None:
        """Labels of one object, None when it does not exist. Raises as `names` does."""
        store = await self._ready(resource)
        return store.get(namespace if resource.namespaced else "", name)

    def synced(self, resource: MappedResource = PODS) -> bool:
        """Whether the kind's LIST was completed once; False for a kind that nobody reads."""
        kind = self._kinds.get(resource)
        return kind is not None and kind.reflector.synced

    def states(self) -> list[KindState]:
        """One state for each kind that is watched."""
        now = self._clock()
        return [
            KindState(
                resource=resource,
                objects=len(kind.store),
                synced=kind.reflector.synced,
                age_seconds=_age(kind.reflector, now),
                lists=kind.reflector.lists,
                last_error=kind.reflector.last_error,
            )
            for resource, kind in self._kinds.items()
        ]

    async def _ready(self, resource: MappedResource) -> ObjectStore:
        kind = self._kinds.get(resource) or self._start(resource)
        now = kind.used_at = self._clock()
        reflector = kind.reflector
        if not reflector.synced:
            await reflector.wait(self._first_use_seconds)
            if not reflector.synced:
                raise unknown(resource, reflector.last_error)
        elif (_age(reflector, now) or 0.0) > self._stale_seconds:
            raise unknown(resource, reflector.last_error)
        return kind.store

    def _start(self, resource: MappedResource) -> _Kind:
        if len(self._kinds) >= MAX_KINDS:
            raise errors.Unavailable(
                f"object names of {resource.group_resource} are not known: "
                f"{MAX_KINDS} kinds are watched already"
            )
        kind = self._add(resource, Backoff())
        self._spawn(self._run_until_idle(resource, kind), f"watch {resource.group_resource}")
        return kind

    def _add(self, resource: MappedResource, backoff: Backoff) -> _Kind:
        store = ObjectStore()
        query = _UNFINISHED if resource.group_resource == PODS.group_resource else {}
        collection = Collection(_path(resource), _LIST_ACCEPT, _WATCH_ACCEPT, query)
        reflector = Reflector(self._client, collection, store, backoff=backoff, clock=self._clock)
        kind = self._kinds[resource] = _Kind(reflector, store, self._clock())
        return kind

    async def _run_until_idle(self, resource: MappedResource, kind: _Kind) -> None:
        def wanted() -> bool:
            if self._clock() - kind.used_at < self._idle_seconds:
                return True
            # No await lies between this and the end of the task: a reader that comes later
            # finds no entry and starts a new watch.
            del self._kinds[resource]
            return False

        await kind.reflector.run(wanted)


def _path(resource: MappedResource) -> str:
    prefix = f"/apis/{resource.group}" if resource.group else "/api"
    return f"{prefix}/{resource.version}/{resource.plural}"


def _age(reflector: Reflector, now: float) -> float | None:
    return None if reflector.last_contact is None else now - reflector.last_contact


def unknown(resource: MappedResource, error: errors.KubeError | None) -> errors.Unavailable:
    """Why names of a kind are not known, with the permission to grant where that is the reason."""
    target = resource.group_resource
    why = "kube-apiserver has not sent them yet"
    if error is not None and error.status == 403:
        why = f'this server may not read them: grant "list,watch" on {target} in its ClusterRole'
    elif error is not None and error.status in FINAL_STATUSES:
        why = f"kube-apiserver answers {error.status} to a list of them"
    elif error is not None:
        why = error.message
    return errors.Unavailable(
        f"object names of {target} are not known: {why}",
        detail="" if error is None else error.detail,
    )
