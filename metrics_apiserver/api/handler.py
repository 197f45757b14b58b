"""From one request to one answer: parse, authenticate, authorise, dispatch.

The gate stands before everything, the 404 of an unknown path included, as in kube-apiserver. The
RequestInfo is made once; what is authorised is what is answered. Discovery, health and
`system:masters` may use the reserve of places, so that an overload of metric reads takes neither
the APIService nor the probes down.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

from metrics_apiserver.api import custom, external, parameters, requestinfo, resource, status
from metrics_apiserver.api.authn import Authenticator
from metrics_apiserver.api.authz import Authorizer
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.api.inflight import InFlight
from metrics_apiserver.api.server import Call
from metrics_apiserver.base import errors
from metrics_apiserver.core.model import RequestInfo, UserInfo
from metrics_apiserver.provider.custom import CustomProvider
from metrics_apiserver.provider.external import ExternalProvider
from metrics_apiserver.provider.resource import ResourceProvider

DEADLINE_SECONDS = 60.0
_MASTERS = "system:masters"

Page = Callable[[RequestInfo, Mapping[str, str]], Encoded | None]
Observe = Callable[[str, int, float], None]
Read = Callable[[RequestInfo, Mapping[str, str]], Awaitable[Encoded]]


class Gate(Protocol):
    """Who is asking, and may they."""

    async def enter(self, call: Call, info: RequestInfo) -> UserInfo: ...


@dataclass(frozen=True, slots=True)
class TwoStepGate:
    """Authentication, then authorisation."""

    authenticator: Authenticator
    authorizer: Authorizer

    async def enter(self, call: Call, info: RequestInfo) -> UserInfo:
        """The user of an allowed request.

        Raises:
            errors.Unauthorized, errors.Forbidden, errors.AuthorizerFailed: the request ends here.
        """
        user = await self.authenticator.authenticate(call.peer, call.headers)
        await self.authorizer.authorize(user, info)
        return user


@dataclass(frozen=True, slots=True)
class Columns:
    """The providers behind the three groups."""

    custom: CustomProvider
    external: ExternalProvider
    resource: ResourceProvider


class Handler:
    """Answers requests; an instance is the Server's handler.

    Args:
        gate: stands before everything.
        columns: answer what lies under a group version.
        pages: tried in order for everything else; None means "not mine".
        in_flight: places for requests being answered.
        observe: called with (API group or `other`, HTTP code, seconds) of each answer.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        gate: Gate,
        columns: Columns,
        pages: tuple[Page, ...],
        *,
        in_flight: InFlight,
        observe: Observe,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gate = gate
        self._reads: Mapping[str, Read] = {
            custom.GROUP: partial(custom.answer, columns.custom),
            external.GROUP: partial(external.answer, columns.external),
            resource.GROUP: partial(resource.answer, columns.resource),
        }
        self._pages = pages
        self._in_flight = in_flight
        self._observe = observe
        self._clock = clock

    async def __call__(self, call: Call) -> Encoded:
        """The answer.

        Raises:
            Exception: anything; the Server makes it a Status.
        """
        began = self._clock()
        group = "other"
        try:
            info = _parse(call.method, call.target)
            group = info.group if info.group in self._reads else "other"
            answer = await self._answer(call, info)
        except Exception as error:
            self._observe(group, status.code_of(error), self._clock() - began)
            raise
        self._observe(group, answer.status, self._clock() - began)
        return answer

    async def _answer(self, call: Call, info: RequestInfo) -> Encoded:
        user = await self._gate.enter(call, info)
        reserved = not info.is_resource or _MASTERS in user.groups
        with self._in_flight.place(reserved=reserved):
            if info.is_resource:
                async with asyncio.timeout(_deadline(info)):
                    if info.version not in _VERSIONS.get(info.group, ()):
                        raise errors.NotFound()
                    return await self._reads[info.group](info, call.headers)
            for page in self._pages:
                found = page(info, call.headers)
                if found is not None:
                    return found
            raise errors.NotFound()


# A controller repeats its requests word for word; RequestInfo is immutable, so one will do. The
# bounds hold what a caller without an identity can make us remember.
_REMEMBERED_TARGET = 512
_remembered = lru_cache(maxsize=2048)(requestinfo.parse)


def _parse(method: str, target: str) -> RequestInfo:
    if len(target) <= _REMEMBERED_TARGET:
        return _remembered(method, target)
    return requestinfo.parse(method, target)


def _deadline(info: RequestInfo) -> float:
    text = info.query.get("timeout")
    if not text:
        return DEADLINE_SECONDS
    seconds = parameters.duration_seconds(text)
    return min(seconds, DEADLINE_SECONDS) if seconds > 0 else DEADLINE_SECONDS


_VERSIONS: Mapping[str, tuple[str, ...]] = {
    custom.GROUP: custom.VERSIONS,
    external.GROUP: external.VERSIONS,
    resource.GROUP: resource.VERSIONS,
}
