"""What one backend refuses although it answers otherwise, and what is asked instead.

Managed backends and the proxies before them often lack the label endpoints or take GET only. What
they refuse is remembered, so that it costs a request once and not at each turn; it is tried again
after a pause that doubles from five minutes to an hour. A status that speaks of trouble (5xx but
501, 429, a timeout) is no refusal. Nothing is remembered before the other way has worked: bad
credentials or a wrong URL are refused by every way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeVar

from metrics_apiserver.base import errors
from metrics_apiserver.base.backoff import Backoff, no_jitter

_log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 300.0
MAX_PAUSE_SECONDS = 3600.0

Capability = Literal["label_values", "label_names", "post"]
_INSTEAD: Final[dict[Capability, str]] = {
    "label_values": "Prometheus refuses the values of labels: series are requested instead",
    "label_names": "Prometheus refuses the names of labels: series are requested instead",
    "post": "Prometheus refuses POST: long queries are sent by GET instead",
}
# Refused for its length, or for the moment.
_NOT_THE_ENDPOINT: Final = frozenset({408, 413, 414, 425, 429, 431})

Answer = TypeVar("Answer")


class CapabilityRefused(Exception):
    """The backend refuses this; `error` is None where that was known before."""

    def __init__(self, capability: Capability, error: errors.UpstreamError | None = None) -> None:
        super().__init__(capability)
        self.capability = capability
        self.error = error


class Refusals:
    """One for each backend.

    Args:
        report: called with a capability and whether it is refused, when that changes.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        report: Callable[[str, bool], None] = lambda _capability, _refused: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._clock = clock
        self._due: dict[Capability, float] = {}
        self._pauses: dict[Capability, Backoff] = {}

    def is_known(self, capability: Capability) -> bool:
        """Whether the last attempt was refused."""
        return capability in self._due

    def is_refused(self, capability: Capability) -> bool:
        """Whether to go the other way now; False for the one caller who is to try again."""
        due = self._due.get(capability)
        if due is None:
            return False
        if self._clock() < due:
            return True
        self._pause(capability)
        return False

    def refuse(self, capability: Capability, error: errors.UpstreamError) -> None:
        """Remembers a refusal, once the other way has worked."""
        if capability in self._due or error.status in _NOT_THE_ENDPOINT:
            return
        self._pauses[capability] = Backoff(
            first=FIRST_PAUSE_SECONDS, last=MAX_PAUSE_SECONDS, jitter=no_jitter
        )
        self._pause(capability)
        self._report(capability, True)
        reason = error.message.removeprefix("unable to fetch metrics: ")
        _log.warning(_INSTEAD[capability], extra={"reason": reason, "answer": error.detail[:300]})

    def accept(self, capability: Capability) -> None:
        """Forgets the refusal: the backend has answered."""
        if self._due.pop(capability, None) is not None:
            self._report(capability, False)
            _log.info("Prometheus answers again", extra={"capability": capability})

    async def ask(self, capability: Capability, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of the call.

        Raises:
            CapabilityRefused: go the other way, then `remember` it.
            errors.MetricsError: the call failed otherwise.
        """
        known = self.is_known(capability)
        if self.is_refused(capability):
            raise CapabilityRefused(capability)
        try:
            answer = await call()
        except errors.UpstreamError as error:
            if known or is_refusal(error):
                raise CapabilityRefused(capability, error) from error
            raise
        except errors.UpstreamTimeout as error:
            if known:
                raise CapabilityRefused(capability) from error
            raise
        self.accept(capability)
        return answer

    def remember(self, refused: CapabilityRefused) -> None:
        """The other way has worked."""
        if refused.error is not None:
            self.refuse(refused.capability, refused.error)

    def _pause(self, capability: Capability) -> None:
        self._due[capability] = self._clock() + self._pauses[capability].next()


def is_refusal(error: errors.UpstreamError) -> bool:
    """Whether the answer says "not here": a 4xx, a 501, a redirect, or no answer of the API."""
    if error.kind == "protocol":
        return True  # such as a page of a proxy
    if error.kind not in ("http", "api") or error.status in (408, 425, 429):
        return False
    return 300 <= error.status < 500 or error.status == 501
