"""May they: `system:masters` always, the health paths for everybody, a SubjectAccessReview else.

A decision is remembered for ten seconds under the whole of what was asked, and asked once for all
who ask it at the same time. What could not be decided is refused, and never remembered. Follows
server/options/authorization.go, authorization/path and the webhook authorizer; 403 texts are those
of responsewriters/errors.go.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from metrics_apiserver.base import errors, strconv
from metrics_apiserver.base.caching import SingleFlight, TTLCache
from metrics_apiserver.core import selector
from metrics_apiserver.core.model import RequestInfo, UserInfo
from metrics_apiserver.kube.reviews import (
    AccessDecision,
    LabelRequirement,
    NonResourceAttributes,
    ResourceAttributes,
)

MASTERS = "system:masters"
_CAPACITY = 8192
_MAX_REMEMBERED_CHARACTERS = 10_000
_REVIEWS_AT_ONCE = 100
_LIST_VERBS = frozenset({"list", "watch", "deletecollection"})
_VERBS_BY_PATH = frozenset({"proxy", "watch"})
_OPERATORS: dict[selector.Operator, Literal["In", "NotIn", "Exists", "DoesNotExist"]] = {
    selector.Operator.IN: "In",
    selector.Operator.EQUALS: "In",
    selector.Operator.DOUBLE_EQUALS: "In",
    selector.Operator.NOT_IN: "NotIn",
    selector.Operator.NOT_EQUALS: "NotIn",
    selector.Operator.EXISTS: "Exists",
    selector.Operator.DOES_NOT_EXIST: "DoesNotExist",
}

Attributes = ResourceAttributes | NonResourceAttributes
Question = tuple[UserInfo, tuple[str, ...]]


class AccessReviewClient(Protocol):
    """Asks the cluster for one decision."""

    async def review(self, user: UserInfo, attributes: Attributes) -> AccessDecision: ...


@dataclass(frozen=True, slots=True)
class DecisionTTL:
    """Seconds for which a decision is remembered; 0 asks each time."""

    allowed_seconds: float = 10.0
    denied_seconds: float = 10.0


DEFAULT_TTL = DecisionTTL()


class AllowedPaths:
    """Non-resource paths that need no decision: whole paths, or prefixes that end in `*`.

    Raises:
        ValueError: a `*` elsewhere than at the end.
    """

    def __init__(self, paths: tuple[str, ...]) -> None:
        trimmed = [path.removeprefix("/") for path in paths]
        for path in trimmed:
            if "*" in path[:-1]:
                raise ValueError(f"only a trailing * is allowed in {path!r}")
        self._whole = frozenset(path for path in trimmed if not path.endswith("*"))
        self._prefixes = tuple(path[:-1] for path in trimmed if path.endswith("*"))

    def cover(self, path: str) -> bool:
        bare = path.removeprefix("/")
        return bare in self._whole or bare.startswith(self._prefixes)


class Authorizer:
    """Decides for one user and one request.

    Args:
        reviewer: raises errors.AuthorizerFailed when it was not decided; None forbids all that
            needs a decision.
        paths: allowed to everybody.
        ttl: how long decisions last.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        reviewer: AccessReviewClient | None,
        paths: AllowedPaths,
        ttl: DecisionTTL = DEFAULT_TTL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reviewer = reviewer
        self._paths = paths
        self._ttl = ttl
        self._cache: TTLCache[Question, AccessDecision] = TTLCache(_CAPACITY, clock)
        self._flights: SingleFlight[Question, AccessDecision] = SingleFlight()
        self._places = asyncio.Semaphore(_REVIEWS_AT_ONCE)

    async def authorize(self, user: UserInfo, info: RequestInfo) -> None:
        """Returns when the request may go on.

        Raises:
            errors.Forbidden: it may not.
            errors.AuthorizerFailed: that could not be found out, so it may not either.
        """
        if MASTERS in user.groups:
            return
        if not info.is_resource and self._paths.cover(info.path):
            return
        if self._reviewer is None:
            raise forbidden(user, info, "")
        question = (user, _parts_of(info))
        decision = self._cache.get(question)
        if decision is None:
            reviewer = self._reviewer
            decision = await self._flights.run(
                question, lambda: self._review(reviewer, question, info)
            )
        if not decision.allowed:
            raise forbidden(user, info, decision.reason)

    async def _review(
        self, reviewer: AccessReviewClient, question: Question, info: RequestInfo
    ) -> AccessDecision:
        user, parts = question
        async with self._places:
            decision = await reviewer.review(user, attributes_of(info))
        if sum(map(len, parts)) < _MAX_REMEMBERED_CHARACTERS:
            ttl = self._ttl
            seconds = ttl.allowed_seconds if decision.allowed else ttl.denied_seconds
            self._cache.put(question, decision, seconds)
        return decision


def attributes_of(info: RequestInfo) -> Attributes:
    """What a SubjectAccessReview asks about a request."""
    if not info.is_resource:
        return NonResourceAttributes(info.path, info.verb)
    return ResourceAttributes(
        verb=info.verb,
        group=info.group,
        version=info.version,
        resource=info.resource,
        subresource=info.subresource,
        namespace=info.namespace,
        name=info.name,
        label_requirements=_label_requirements(info),
    )


def forbidden(user: UserInfo, info: RequestInfo, reason: str) -> errors.Forbidden:
    """The 403 for a request, worded as kube-apiserver words it."""
    message = _escape(_cannot(user, info))
    if reason:
        message = f"{message}: {reason}"
    if not info.is_resource:
        return errors.Forbidden(f"forbidden: {message}")
    what = f"{info.resource}.{info.group}" if info.group else info.resource
    if info.name:
        what = f"{what} {strconv.quote(info.name)}"
    return errors.Forbidden(
        f"{what} is forbidden: {message}", name=info.name, group=info.group, kind=info.resource
    )


def _parts_of(info: RequestInfo) -> tuple[str, ...]:
    """All that `attributes_of` is made of; equal parts make equal attributes."""
    if not info.is_resource:
        return (info.path, info.verb)
    return (
        info.verb,
        info.group,
        info.version,
        info.resource,
        info.subresource,
        info.namespace,
        info.name,
        _reviewed_selector(info),
    )


def _reviewed_selector(info: RequestInfo) -> str:
    """The label selector where it narrows what is asked for: on lists, not on `/watch/` paths."""
    if info.verb not in _LIST_VERBS or info.resource_parts[0] in _VERBS_BY_PATH:
        return ""
    return info.label_selector


def _label_requirements(info: RequestInfo) -> tuple[LabelRequirement, ...]:
    """Requirements that a review can express; leaving one out asks for more, never for less."""
    text = _reviewed_selector(info)
    if not text:
        return ()
    try:
        parsed = selector.parse(text)
    except errors.InvalidSelector:
        return ()  # answered with 400 once the caller may ask at all
    return tuple(
        LabelRequirement(one.key, _OPERATORS[one.operator], one.values)
        for one in parsed.requirements
        if one.operator in _OPERATORS
    )


def _cannot(user: UserInfo, info: RequestInfo) -> str:
    who = f"User {strconv.quote(user.name)} cannot {info.verb}"
    if not info.is_resource:
        return f"{who} path {strconv.quote(info.path)}"
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    what = f"{who} resource {strconv.quote(resource)} in API group {strconv.quote(info.group)}"
    if info.namespace:
        return f"{what} in the namespace {strconv.quote(info.namespace)}"
    return f"{what} at the cluster scope"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
