"""The Secret and the APIServices of self-managed certificates, in kube-apiserver.

`get` and `update` on exactly the named objects, nothing else. One read takes the APIServices first
and the Secret after them, which the steps in `certs.rotation` rely on. Every write carries the
`resourceVersion` of its read; one that somebody overtook is a `Conflict`, not an error. The time of
a read is kube-apiserver's own, from its `Date` header, because certificates are validated by its
clock; ours counts only where there is no such header.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import email.utils
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson

from metrics_apiserver.base import errors
from metrics_apiserver.certs import publish
from metrics_apiserver.certs.publish import Name, Object
from metrics_apiserver.certs.rotation import View
from metrics_apiserver.certs.secret import Material
from metrics_apiserver.kube import wire

_API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
_MAX_BYTES = 4 << 20


class Conflict(Exception):
    """Somebody wrote the object since it was read: read it again."""


@dataclass(frozen=True, slots=True)
class PublishedState:
    """The objects as they were, and what they mean.

    Attributes:
        left_alone: APIServices that do not exist or lead elsewhere, and which of both.
    """

    view: View
    secret: Object = field(repr=False)
    api_services: Mapping[str, Object]
    left_alone: tuple[str, ...] = ()


class PublishedObjects:
    """Reads and writes them.

    Args:
        client: as somebody who may `get` and `update` the objects.
        secret: the Secret.
        api_services: names of APIServices; may be empty.
        service: where they lead when they are ours.
        wall_clock: epoch seconds.
    """

    def __init__(
        self,
        client: wire.Requests,
        secret: Name,
        api_services: tuple[str, ...],
        service: Name,
        wall_clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._wall_clock = wall_clock
        self.secret = secret
        self.api_services = api_services
        self._service = service

    @property
    def _secret_path(self) -> str:
        return f"/api/v1/namespaces/{self.secret.namespace}/secrets/{self.secret.name}"

    async def read(self) -> PublishedState:
        """The objects now.

        Raises:
            errors.KubeError: one cannot be read, the Secret does not exist, or another controller
                fills it.
        """
        found: dict[str, Object] = {}
        left_alone: list[str] = []
        for name, response in (await self._get_api_services()).items():
            item = wire.decode(response.body) if response is not None else None
            if item is None:
                left_alone.append(f"APIService {name} does not exist")
            elif not publish.leads_to(item, self._service):
                left_alone.append(f"APIService {name} does not lead to Service {self._service}")
            else:
                found[name] = item
        response = await self._get(self._secret_path)
        if response is None:
            raise errors.KubeError(
                f"Secret {self.secret} does not exist: create it, empty", kind="http", status=404
            )
        secret = wire.decode(response.body)
        if owner := publish.foreign_owner(secret):
            raise errors.KubeError(
                f"Secret {self.secret} is filled by another controller ({owner}): mount it and "
                "serve it by --tls-cert-file, or name another Secret",
                kind="protocol",
            )
        published = tuple(publish.read_api_service(name, item) for name, item in found.items())
        view = View(published, publish.read_secret(secret), self._instant(response))
        return PublishedState(view, secret, found, tuple(left_alone))

    async def write_secret(self, state: PublishedState, material: Material) -> None:
        """Replaces what is ours in the Secret.

        Raises:
            Conflict: it was written since the state.
            errors.KubeError: it cannot be written.
        """
        await self._put(self._secret_path, publish.secret_with(state.secret, material))

    async def write_api_service(self, state: PublishedState, name: str, bundle: bytes) -> None:
        """Replaces the `caBundle` of one APIService of the state.

        Raises:
            Conflict: it was written since the state.
            errors.KubeError: it cannot be written.
        """
        item = publish.api_service_with(state.api_services[name], bundle)
        await self._put(f"{_API_SERVICES}/{name}", item)

    async def _get_api_services(self) -> dict[str, wire.KubeResponse | None]:
        """All at once: a read that takes long sees a change late."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    name: group.create_task(self._get(f"{_API_SERVICES}/{name}"))
                    for name in self.api_services
                }
        except* errors.KubeError as failed:
            failure = failed.exceptions[0]
        else:
            return {name: task.result() for name, task in tasks.items()}
        raise failure

    async def _get(self, path: str) -> wire.KubeResponse | None:
        """The object; None when it does not exist."""
        response = await self._client.request(wire.KubeRequest("GET", path), max_bytes=_MAX_BYTES)
        if response.status == 404:
            return None
        if response.status != 200:
            raise _explain("read", path, wire.status_error(f"GET {path}", response))
        return response

    async def _put(self, path: str, item: Object) -> None:
        call = wire.KubeRequest("PUT", path, body=orjson.dumps(item))
        response = await self._client.request(call, max_bytes=_MAX_BYTES)
        if response.status in (404, 409):
            raise Conflict(path)
        if response.status not in (200, 201):
            raise _explain("written", path, wire.status_error(f"PUT {path}", response))

    def _instant(self, response: wire.KubeResponse) -> dt.datetime:
        try:
            instant = email.utils.parsedate_to_datetime(response.headers.get("Date", ""))
        except ValueError:
            instant = dt.datetime.fromtimestamp(self._wall_clock(), dt.UTC)
        return (
            instant.astimezone(dt.UTC)
            if instant.tzinfo is not None
            else instant.replace(tzinfo=dt.UTC)
        )


def _explain(done: str, path: str, error: errors.KubeError) -> errors.KubeError:
    """A 403 with what to grant."""
    if error.status != 403:
        return error
    kind, name = path.split("/")[-2:]
    return errors.KubeError(
        f"{kind} {name} may not be {done}: grant get and update on it by its name",
        kind=error.kind,
        status=error.status,
        detail=error.detail,
    )
