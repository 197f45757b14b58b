"""TokenReview and SubjectAccessReview: authentication and authorization by kube-apiserver.

Responses are read strictly: only a complete, consistent review counts, and anything else is an
error, never an identity and never a permission. Retries follow
apiserver's webhook package (five tries within ten seconds, on 500, 504, 429, a reset connection
or Retry-After). Nothing is cached here; tokens appear in no message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from metrics_apiserver.base import errors
from metrics_apiserver.base.backoff import Backoff
from metrics_apiserver.core.model import UserInfo
from metrics_apiserver.kube import wire
from metrics_apiserver.kube.client import KubeClient

MAX_RESPONSE_BYTES = 1 << 20
_TOKEN_API = "authentication.k8s.io/v1"  # noqa: S105 - an API group, not a secret
_ACCESS_API = "authorization.k8s.io/v1"
_RETRIED_STATUSES = frozenset({429, 500, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and for how long a review is retried.

    Attributes:
        timeout_seconds: for all tries and the waits between them.
        first_wait_seconds: grows by half with each try.
    """

    tries: int = 5
    timeout_seconds: float = 10.0
    first_wait_seconds: float = 0.5


DEFAULT_RETRIES = RetryPolicy()


@dataclass(frozen=True, slots=True)
class LabelRequirement:
    """One requirement of a request's label selector; values are empty for the last two."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResourceAttributes:
    """A request for a resource, as SubjectAccessReview names its parts; empty is absent."""

    verb: str
    group: str
    version: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    label_requirements: tuple[LabelRequirement, ...] = ()

    def to_spec(self) -> dict[str, Any]:
        """The `resourceAttributes` member."""
        fields: dict[str, Any] = {
            "namespace": self.namespace,
            "verb": self.verb,
            "group": self.group,
            "version": self.version,
            "resource": self.resource,
            "subresource": self.subresource,
            "name": self.name,
        }
        attributes = {key: value for key, value in fields.items() if value}
        if self.label_requirements:
            requirements = [
                {"key": each.key, "operator": each.operator}
                | ({"values": list(each.values)} if each.values else {})
                for each in self.label_requirements
            ]
            attributes["labelSelector"] = {"requirements": requirements}
        return {"resourceAttributes": attributes}


@dataclass(frozen=True, slots=True)
class NonResourceAttributes:
    """A request for a path that is no resource."""

    path: str
    verb: str

    def to_spec(self) -> dict[str, Any]:
        """The `nonResourceAttributes` member."""
        return {"nonResourceAttributes": {"path": self.path, "verb": self.verb}}


@dataclass(frozen=True, slots=True)
class AccessDecision:
    """The decision of the cluster; `reason` is its own text and may be shown to the caller."""

    allowed: bool
    reason: str = ""


class TokenReviewer:
    """Authenticates bearer tokens by TokenReview."""

    def __init__(self, client: KubeClient, retries: RetryPolicy = DEFAULT_RETRIES) -> None:
        self._client = client
        self._retries = retries

    async def review(self, token: str, audiences: Sequence[str] = ()) -> UserInfo | None:
        """The token's user; None when it is not valid.

        Args:
            token: as the caller sent it.
            audiences: at least one of these must be the token's; none leaves it to the cluster.

        Raises:
            errors.Unavailable: not decided; the caller is then not authenticated.
        """
        spec: dict[str, Any] = {"token": token}
        if audiences:
            spec["audiences"] = list(audiences)
        try:
            body = orjson.dumps(_document("TokenReview", _TOKEN_API, spec))
        except TypeError:
            return None  # not valid Unicode: no token that a cluster ever issued
        path = f"/apis/{_TOKEN_API}/tokenreviews"
        try:
            review = await _post(self._client, path, body, self._retries)
        except errors.KubeError as error:
            error.detail = wire.redact(error.detail, token)
            raise
        status = _status(review, "TokenReview", _TOKEN_API)
        authenticated = status.get("authenticated", False)
        if not isinstance(authenticated, bool):
            raise _unusable("authenticated is not a boolean")
        if not authenticated or (audiences and not _intersects(audiences, status)):
            return None
        if review.get("kind") != "TokenReview":
            raise _unusable("kind is missing")
        return _user(status.get("user"))


class AccessReviewer:
    """Authorizes requests by SubjectAccessReview."""

    def __init__(self, client: KubeClient, retries: RetryPolicy = DEFAULT_RETRIES) -> None:
        self._client = client
        self._retries = retries

    async def review(
        self, user: UserInfo, attributes: ResourceAttributes | NonResourceAttributes
    ) -> AccessDecision:
        """The decision for one request of one user.

        Raises:
            errors.AuthorizerFailed: not decided; the request is then refused.
        """
        spec: dict[str, Any] = {**attributes.to_spec(), "user": user.name}
        if user.groups:
            spec["groups"] = list(user.groups)
        if user.extra:
            spec["extra"] = {key: list(values) for key, values in user.extra}
        if user.uid:
            spec["uid"] = user.uid
        try:
            body = orjson.dumps(_document("SubjectAccessReview", _ACCESS_API, spec))
            path = f"/apis/{_ACCESS_API}/subjectaccessreviews"
            review = await _post(self._client, path, body, self._retries)
            return _decision(review)
        except TypeError:
            raise errors.AuthorizerFailed("the request is not valid Unicode") from None
        except errors.KubeError as error:
            detail = f"{error.message}: {error.detail}"
            message = "the permission could not be checked"
            raise errors.AuthorizerFailed(message, detail=detail) from error


def _document(kind: str, api_version: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "apiVersion": api_version, "metadata": {}, "spec": spec}


async def _post(client: KubeClient, path: str, body: bytes, retries: RetryPolicy) -> dict[str, Any]:
    """The review that kube-apiserver returns.

    Raises:
        errors.KubeError: there is none, after as many tries as `retries` allows.
    """
    backoff = Backoff(first=retries.first_wait_seconds, last=retries.timeout_seconds, factor=1.5)
    try:
        async with asyncio.timeout(retries.timeout_seconds):
            for _ in range(retries.tries - 1):
                try:
                    return await _try(client, path, body, retries)
                except errors.KubeError as error:
                    if not _is_retried(error):
                        raise
                    await asyncio.sleep(max(backoff.next(), error.retry_after or 0.0))
            return await _try(client, path, body, retries)
    except TimeoutError:
        raise wire.failure("timeout", f"POST {path}") from None


async def _try(client: KubeClient, path: str, body: bytes, retries: RetryPolicy) -> dict[str, Any]:
    call = wire.KubeRequest("POST", path, body=body)
    timeout = retries.timeout_seconds
    response = await client.request(call, timeout=timeout, max_bytes=MAX_RESPONSE_BYTES)
    if response.status in (200, 201):
        return wire.decode(response.body)
    error = wire.status_error(f"POST {path}", response)
    if response.status == 403:
        error.detail += '; bind the ClusterRole "system:auth-delegator" to this server'
    raise error


def _is_retried(error: errors.KubeError) -> bool:
    return (
        error.kind == "reset"
        or error.status in _RETRIED_STATUSES
        or (error.status != 0 and error.retry_after is not None)
    )


def _unusable(detail: str) -> errors.KubeError:
    return wire.failure("protocol", f"review: {detail}")


def _status(review: dict[str, Any], kind: str, api_version: str) -> dict[str, Any]:
    """The status of a review. Kind and version may be missing, which no permission follows from.

    Raises:
        errors.KubeError: it is another kind of review.
    """
    if review.get("kind", kind) != kind or review.get("apiVersion", api_version) != api_version:
        raise _unusable(f"not a {kind}")
    status = review.get("status", {})
    if not isinstance(status, dict):
        raise _unusable("status is not an object")
    return status


def _decision(review: dict[str, Any]) -> AccessDecision:
    status = _status(review, "SubjectAccessReview", _ACCESS_API)
    allowed, denied = status.get("allowed", False), status.get("denied", False)
    reason = status.get("reason", "")
    if not isinstance(allowed, bool) or not isinstance(denied, bool) or not isinstance(reason, str):
        raise _unusable("a field of the status has the wrong type")
    if allowed and denied:
        raise _unusable("both allowed and denied")
    if allowed and review.get("kind") != "SubjectAccessReview":
        raise _unusable("kind is missing")
    return AccessDecision(allowed, reason)


def _intersects(audiences: Sequence[str], status: dict[str, Any]) -> bool:
    """Whether the token is meant for one of `audiences`; a status without any says no."""
    given = status.get("audiences")
    return isinstance(given, list) and any(audience in given for audience in audiences)


def _user(user: object) -> UserInfo:
    if not isinstance(user, dict):
        raise _unusable("no user")
    name, uid = user.get("username"), user.get("uid", "")
    groups, extra = user.get("groups", []), user.get("extra", {})
    if not isinstance(name, str) or not name or not isinstance(uid, str) or not _are_texts(groups):
        raise _unusable("the user has no proper name, uid or groups")
    if not isinstance(extra, dict) or not all(map(_are_texts, extra.values())):
        raise _unusable("the user's extra is not text")
    return UserInfo(
        name=name,
        uid=uid,
        groups=tuple(groups),
        extra=tuple(sorted((key, tuple(values)) for key, values in extra.items())),
    )


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
