"""GET or POST, for each request to one backend.

`auto` sends long queries by POST. That was our choice and not the operator's, so where just that is
refused, GET is tried before anything is said of credentials; if it works, the backend gets GET from
then on. A verb that was given by flag is never changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from metrics_apiserver.base import errors
from metrics_apiserver.prometheus import failures
from metrics_apiserver.prometheus.failures import PrometheusError
from metrics_apiserver.prometheus.refusals import Refusals

_LONG_QUERY_CHARACTERS = 2048
_POST_REFUSED = frozenset({401, 403, 404, 405, 501})
_TOO_LONG = frozenset({413, 414, 431})


class Verb:
    """Chooses the method and says what its refusal means.

    Args:
        setting: `--prometheus-verb`.
        refusals: of the backend.
    """

    def __init__(self, setting: str, refusals: Refusals) -> None:
        self._setting = setting
        self._refusals = refusals

    def choose(self, form: str, *, may_post: bool) -> str:
        """The method for these parameters."""
        if not may_post or self._setting == "GET":
            return "GET"
        if self._setting == "POST":
            return "POST"
        if len(form) <= _LONG_QUERY_CHARACTERS or self._refusals.is_refused("post"):
            return "GET"
        return "POST"

    async def settle(
        self,
        method: str,
        refused: PrometheusError | None,
        get: Callable[[], Awaitable[PrometheusError | None]],
    ) -> PrometheusError | None:
        """What the answer to `method` means; None if there is a good one after all.

        Args:
            method: by which the request was sent.
            refused: None for a good answer.
            get: sends the same request by GET.
        """
        if method == "GET":
            return self._explain_length(refused) if self._refusals.is_known("post") else refused
        if refused is None:
            if self._setting == "auto":
                self._refusals.accept("post")
            return None
        if not isinstance(refused, errors.UpstreamError) or refused.status not in _POST_REFUSED:
            return refused
        if self._setting == "POST":
            return failures.post_refused(refused)
        by_get = await get()
        if by_get is None:
            self._refusals.refuse("post", refused)
        return self._explain_length(by_get)

    def _explain_length(self, refused: PrometheusError | None) -> PrometheusError | None:
        """A GET that is refused for its length, where POST is refused as well."""
        if not isinstance(refused, errors.UpstreamError):
            return refused
        is_bare_400 = refused.status == 400 and refused.kind == "http"
        if refused.status in _TOO_LONG or is_bare_400:
            return failures.too_long_without_post(refused)
        return refused
