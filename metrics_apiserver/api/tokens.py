"""Bearer tokens: read from the header, reviewed once, remembered for ten seconds.

The cache knows a token only by an HMAC under a random key, over token and audiences with their
lengths, so that no token lies in memory and no two questions share an answer. Equal tokens at the
same time share one review, at most twenty reviews run at once, and a review that failed is not
remembered. Follows bearertoken.go and cached_token_authenticator.go.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from metrics_apiserver.base.caching import SingleFlight, TTLCache
from metrics_apiserver.core.model import UserInfo

_CAPACITY = 32768
_REVIEWS_AT_ONCE = 20
_MAX_TOKEN_CHARACTERS = 64 * 1024


class TokenReviewClient(Protocol):
    """Asks the cluster whose a token is; None means nobody's."""

    async def review(self, token: str, audiences: Sequence[str] = ()) -> UserInfo | None: ...


@dataclass(frozen=True, slots=True)
class _Verdict:
    user: UserInfo | None


def bearer_token(authorization: str) -> str:
    """The token of an Authorization header; empty when it holds none.

    The scheme is read without regard to case; two spaces after it make an empty token, as in Go.
    """
    parts = authorization.strip().split(" ", 2)
    return parts[1] if len(parts) > 1 and parts[0].lower() == "bearer" else ""


class TokenAuthenticator:
    """Whose a token is, with as few questions to the cluster as possible.

    Args:
        reviewer: raises errors.Unavailable when it could not be decided.
        audiences: at least one of these must be the token's; none leaves it to the cluster.
        ttl_seconds: how long an answer, either way, is remembered; 0 asks each time.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        reviewer: TokenReviewClient,
        *,
        audiences: tuple[str, ...] = (),
        ttl_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reviewer = reviewer
        self._audiences = audiences
        self._ttl_seconds = ttl_seconds
        self._secret = secrets.token_bytes(32)
        self._cache: TTLCache[bytes, _Verdict] = TTLCache(_CAPACITY, clock)
        self._flights: SingleFlight[bytes, UserInfo | None] = SingleFlight()
        self._places = asyncio.Semaphore(_REVIEWS_AT_ONCE)

    async def authenticate(self, token: str) -> UserInfo | None:
        """The token's user, None when the cluster does not know the token.

        Raises:
            errors.Unavailable: not decided.
        """
        if len(token) > _MAX_TOKEN_CHARACTERS:
            return None
        key = self._key(token)
        known = self._cache.get(key)
        if known is not None:
            return known.user
        return await self._flights.run(key, lambda: self._review(key, token))

    async def _review(self, key: bytes, token: str) -> UserInfo | None:
        async with self._places:
            user = await self._reviewer.review(token, self._audiences)
        self._cache.put(key, _Verdict(user), self._ttl_seconds)
        return user

    def _key(self, token: str) -> bytes:
        mac = hmac.new(self._secret, digestmod="sha256")
        for text in (token, *self._audiences):
            data = text.encode("utf-8", "surrogateescape")
            mac.update(len(data).to_bytes(4, "big") + data)
        return mac.digest()
